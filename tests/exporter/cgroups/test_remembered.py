"""What is made of a file's text is made once for as long as the text is the same."""

import pytest

from exporter.cgroups.files import CgroupFiles, Descriptors


def test_made_once_for_each_text():
    """Another text, or another file with the same one, is made sense of anew."""
    files, made = CgroupFiles({}, Descriptors(0)), []

    def make(text):
        made.append(text)
        return [text]

    first = files.made_of("memory.stat", b"a 1", make)
    assert files.made_of("memory.stat", b"a 1", make) is first
    assert files.made_of("memory.stat", b"a 2", make) == [b"a 2"]
    assert files.made_of("io.stat", b"a 2", make) == [b"a 2"]
    assert files.made_of("memory.stat", b"a 1", make) == [b"a 1"]
    assert made == [b"a 1", b"a 2", b"a 2", b"a 1"]


def test_a_fault_is_not_remembered():
    """It is told each time."""
    files = CgroupFiles({}, Descriptors(0))
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            files.made_of("memory.stat", b"x", int)
