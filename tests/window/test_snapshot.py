"""Snapshots: a restart does not forget, and a damaged file is refused whole."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.labels import Labels
from alerting.promql import is_stale, parse
from alerting.window import SnapshotError, Window, restore, save
from tests.size import examples

if TYPE_CHECKING:
    from pathlib import Path

_A = Labels({"__name__": "a", "x": 'é\n"'})
_B = Labels({"__name__": "b"})


def _all(window: Window) -> dict[Labels, list[tuple[int, str]]]:
    matchers = parse('{__name__!=""}').selectors[0].matchers
    return {
        one.labels: [(t, repr(v)) for t, v in one.points()] for one in window.select(matchers, -1, 1 << 60)
    }


def _filled() -> Window:
    window = Window()
    for t, v in ((1000, 1.5), (2500, math.inf), (2501, math.nan), (9000, -0.0)):
        window.append(_A, t, v)
    window.append(_B, 1_700_000_000_000, 1e-300)
    window.stale(_B, 1_700_000_001_000)
    return window


def test_what_was_saved_is_restored(tmp_path: Path) -> None:
    """Series, times and values, also infinities and stale markers."""
    path = tmp_path / "window.snapshot"
    save(_filled(), path)
    window = Window()
    assert restore(window, path) == 2
    assert _all(window) == _all(_filled())
    assert is_stale(window.select(parse("b").selectors[0].matchers, 0, 1 << 60)[0].v[1])
    assert [file.name for file in tmp_path.iterdir()] == ["window.snapshot"]


def test_without_a_file_nothing_is_restored(tmp_path: Path) -> None:
    """The first start is no error."""
    assert restore(Window(), tmp_path / "missing") == 0


def test_only_what_is_kept_now_is_restored() -> None:
    """The rules may have changed meanwhile."""
    window = Window(keep=parse("b").selectors)
    assert window.load(_filled().dump()) == 1
    assert set(_all(window)) == {_B}


def test_a_series_that_is_already_here_is_left_alone() -> None:
    """What was scraped since is newer than any snapshot."""
    window = Window()
    window.append(_A, 5, 5.0)
    assert window.load(_filled().dump()) == 1
    assert _all(window)[_A] == [(5, "5.0")]


def test_a_restored_series_goes_on() -> None:
    """It takes newer samples and refuses older ones."""
    window = Window()
    window.load(_filled().dump())
    assert window.append(_A, 9001, 1.0)
    assert not window.append(_A, 8000, 1.0)


def test_a_long_series_is_restored() -> None:
    """Also one longer than what a new row holds."""
    window, other = Window(), Window()
    for t in range(100):
        window.append(_A, t, float(t))
    other.load(window.dump())
    assert _all(other) == _all(window)


def test_an_empty_window_has_a_snapshot_too() -> None:
    """It restores to nothing."""
    assert Window().load(Window().dump()) == 0


_GOOD = _filled().dump()
_BODY = zlib.decompress(_GOOD[len(b"vakhta window 1\n") :])


def _packed(body: bytes) -> bytes:
    return b"vakhta window 1\n" + zlib.compress(body)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "not a window snapshot", id="empty"),
        pytest.param(b"vakhta window 2\nxxx", "not a window snapshot of this version", id="another version"),
        pytest.param(_GOOD[:-5], "damaged", id="cut short"),
        pytest.param(_GOOD[:40] + b"\x00" + _GOOD[41:], "damaged", id="a byte changed"),
        pytest.param(_packed(_BODY[:-16]), "do not fit together", id="a sample missing"),
        pytest.param(_packed(_BODY[:8] + b"[" + _BODY[9:]), "damaged", id="no header"),
        pytest.param(_packed((2).to_bytes(8, "little") + b"[]"), "damaged", id="a header of another kind"),
        pytest.param(_packed(b""), "damaged", id="nothing in it"),
    ],
)
def test_a_damaged_snapshot_is_refused_whole(data: bytes, reason: str) -> None:
    """The window is as it was."""
    window = Window()
    with pytest.raises(SnapshotError, match=reason):
        window.load(data)
    assert window.series_count == 0


def test_times_that_do_not_rise_are_refused() -> None:
    """They would break every search."""
    good = _filled()
    body = zlib.decompress(good.dump()[16:])
    end = 8 + int.from_bytes(body[:8], "little")
    times = bytearray(body)
    times[end + 8 : end + 16] = (0).to_bytes(8, "little")
    with pytest.raises(SnapshotError, match="do not rise"):
        Window().load(_packed(bytes(times)))


@given(st.binary(max_size=200), st.integers(0, 300))
@settings(max_examples=examples(300), deadline=None)
def test_any_damage_is_a_snapshot_error_or_harmless(noise: bytes, at: int) -> None:
    """Whatever a file holds, only SnapshotError is raised, and a window that took it works."""
    for data in (noise, _packed(noise), _packed(_BODY[:at] + noise + _BODY[at + len(noise) :])):
        window = Window()
        failed = False
        try:
            window.load(data)
        except SnapshotError:
            failed = True
        assert not (failed and window.series_count)
        window.rewind(1 << 50)
        assert window.append(_B, 1 << 50, 1.0)
        assert _B in _all(window)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    """The file is replaced in one step or not at all."""
    path = tmp_path / "folder" / "window"
    with pytest.raises(OSError, match="folder"):
        save(Window(), path)
