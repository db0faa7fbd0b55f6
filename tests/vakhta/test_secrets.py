"""Secrets do not show themselves, and come from exactly one place."""

import pickle

import pytest

from vakhta.secrets import Secret, SecretError, from_env


@pytest.mark.parametrize(
    "show",
    [str, repr, "{}".format, "{!r:>20}".format, lambda s: f"{s:>20}", lambda s: f"{[s]}"],
    ids=["str", "repr", "format", "padded repr", "f-string", "in a list"],
)
def test_a_secret_does_not_print_itself(show):
    """Every way of printing shows <secret>."""
    text = show(Secret("hunter2"))
    assert "hunter2" not in text
    assert "<secret>" in text


def test_a_secret_cannot_be_pickled():
    """Pickling would write it down in the clear."""
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(Secret("hunter2"))


def test_equality_is_by_value():
    """Two secrets are equal when their values are, and a secret equals no plain string."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"TOKEN": ""}, None, id="empty counts as absent"),
        pytest.param({"TOKEN": " value\n"}, "value", id="from the variable, without white space"),
        pytest.param({"TOKEN_FILE": "good"}, "from file", id="from a file, without its newline"),
        pytest.param({"TOKEN": "", "TOKEN_FILE": "good"}, "from file", id="empty beside a file"),
    ],
)
def test_from_env(tmp_path, environ, expected):
    """A secret comes from the variable or from its file."""
    (tmp_path / "good").write_text("from file\n")
    environ = {
        key: str(tmp_path / value) if key.endswith("_FILE") and value else value
        for key, value in environ.items()
    }
    found = from_env("TOKEN", environ)
    assert (found.reveal() if found else None) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(
            {"TOKEN": "a", "TOKEN_FILE": "{}/good"},
            "TOKEN and TOKEN_FILE are both set: unset one of them",
            id="both",
        ),
        pytest.param(
            {"TOKEN_FILE": "{}/none"},
            "TOKEN_FILE: cannot read {}/none: No such file or directory; check the path and its permissions",
            id="no such file",
        ),
        pytest.param(
            {"TOKEN_FILE": "{}"},
            "TOKEN_FILE: cannot read {}: Is a directory; check the path and its permissions",
            id="directory",
        ),
        pytest.param(
            {"TOKEN_FILE": "{}/empty"},
            "TOKEN_FILE: {}/empty is empty; write the secret into it as one line",
            id="empty file",
        ),
        pytest.param(
            {"TOKEN_FILE": "{}/binary"},
            "TOKEN_FILE: {}/binary is not text; write the secret into it as one line",
            id="binary",
        ),
    ],
)
def test_faults_name_variable_and_remedy(tmp_path, environ, message):
    """A fault says which variable, what is wrong and what to do, without the secret."""
    (tmp_path / "good").write_text("x")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SecretError) as caught:
        from_env("TOKEN", {key: value.format(tmp_path) for key, value in environ.items()})
    assert str(caught.value) == message.format(tmp_path)
