"""Reads numbers out of the text of cgroup files. Pure; what is not a number the kernel could mean is a ValueError."""

from operator import itemgetter
from typing import Final

__all__ = ["Fields", "clamp", "device_numbers", "limit", "number"]

_LARGEST: Final = 2**64 - 1
# Version 1 writes the largest number of pages for "no limit", in bytes: 9223372036854771712.
_UNLIMITED: Final = 2**62

# How many words there are, what picks the names out of them, those names, and where the numbers stand (0: nowhere).
_Learned = tuple[int, "itemgetter[int]", tuple[bytes, ...], tuple[int, ...]]


def clamp(value: int) -> int:
    """Return a value the kernel counted: never below 0, and an error beyond 64 bits."""
    if value > _LARGEST:
        raise ValueError("a number beyond 64 bits")
    return max(value, 0)


def number(text: bytes) -> int:
    """Read a file of one number."""
    return clamp(int(text))


def limit(text: bytes) -> int:
    """Read a limit, `max` or a number; 0: unlimited."""
    if text.strip() == b"max":
        return 0
    found = number(text)
    return 0 if found > _UNLIMITED else found


def device_numbers(text: bytes) -> tuple[int, int]:
    """Read a block device's major and minor number, `8:0`."""
    major, colon, minor = text.partition(b":")
    if not colon:
        raise ValueError("a line does not begin with a device's numbers")
    return number(major), number(minor)


class Fields:
    """Picks the numbers of some names out of a file of `name value` lines.

    A kernel writes the same names in the same order every time: where they stand is learned once and checked by comparing the names,
    which is a third of the cost of a dict of all lines.

    Args:
        names: In the order in which the numbers are wanted; at least two.
        required: How many of them, from the first, must be there.
    """

    def __init__(self, *names: str, required: int = 0) -> None:
        self._names = tuple(name.encode() for name in names)
        self._required = required
        # One value, because two collections may read at a time while one of them was stuck.
        self._learned: _Learned = (-1, itemgetter(0), (), ())

    def read(self, text: bytes) -> list[int | None]:
        """Return the numbers; None for a name that is not there.

        Raises:
            ValueError: A required name is missing, or something is not a number.
        """
        words = text.split()
        count, names_of, present, places = self._learned
        if len(words) != count or names_of(words) != present:
            self._learned = _, _, _, places = self._learn(words)
        # A value never stands first.
        found = [int(words[place]) if place else None for place in places]
        for value in found:
            if value is not None and not 0 <= value <= _LARGEST:
                return [None if each is None else clamp(each) for each in found]
        return found

    def _learn(self, words: list[bytes]) -> _Learned:
        if len(words) % 2:
            raise ValueError("a line is not a name and a number")
        places = {name: 2 * index + 1 for index, name in reversed(list(enumerate(words[::2])))}
        for name in self._names[: self._required]:
            if name not in places:
                raise ValueError(f"no line {name.decode()}")
        present = [name for name in self._names if name in places]
        # itemgetter gives a tuple from two items on; asking for the first twice makes it one always.
        asked = [places[name] - 1 for name in present]
        return (
            len(words) if words else -1,
            itemgetter(*(asked[:1] * 2 or [0, 0]), *asked[1:]),
            (*present[:1], *present) if present else (words[0], words[0]) if words else (),
            tuple(places.get(name, 0) for name in self._names),
        )
