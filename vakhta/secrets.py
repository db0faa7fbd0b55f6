"""Secrets: a type that cannot be printed by accident, and the two ways the environment hands one over."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

__all__ = ["Secret", "SecretError", "from_env"]

_SHOWN: Final = "<secret>"


class SecretError(ValueError):
    """A secret was given in a way that cannot be used; the text names the variable, the fault and the remedy."""


class Secret:
    """A string that shows itself as `<secret>` wherever it is printed, formatted or put into a repr."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return _SHOWN

    def __str__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return format(_SHOWN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a secret is not written down: pass the Secret itself, or reveal() it where it is needed"
        )


def from_env(name: str, environ: Mapping[str, str]) -> Secret | None:
    """Return the secret that a variable holds, or that the file named by its `_FILE` twin holds.

    An empty variable counts as absent, because Compose passes `${NAME:-}` as an empty one. White space around the value is
    dropped: editors end files with a newline.

    Args:
        name: The variable; `<name>_FILE` is its twin.
        environ: The environment to look in.

    Raises:
        SecretError: Both are set, or the file cannot be read or is empty.
    """
    twin = f"{name}_FILE"
    value, path = environ.get(name, "").strip(), environ.get(twin, "").strip()
    if value and path:
        raise SecretError(f"{name} and {twin} are both set: unset one of them")
    if value:
        return Secret(value)
    return Secret(_read(twin, Path(path))) if path else None


def _read(variable: str, path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise SecretError(
            f"{variable}: cannot read {path}: {reason}; check the path and its permissions"
        ) from None
    except UnicodeDecodeError:
        raise SecretError(f"{variable}: {path} is not text; write the secret into it as one line") from None
    if not value:
        raise SecretError(f"{variable}: {path} is empty; write the secret into it as one line")
    return value
