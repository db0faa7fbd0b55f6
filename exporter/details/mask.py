"""Values that look like secrets, masked: best effort, because nobody can know what a program prints.

Found are passwords in URLs, values beside telling names (`key=value`, `key: value`, JSON, flags of a command), what follows `Bearer` and its
like, private key blocks, and tokens whose form gives them away. Preferred is to mask too much rather than too little, except where
a log line would lose what it is about: "unexpected token: EOF", "password: required", counts, paths, references to variables.

Every expression is RE2's, so the time is linear in the text, whatever the text is; see the rows of its tests for what it is to do.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import re2

__all__ = ["MASK", "Masked", "mask"]

MASK: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A text and how many of its values were masked."""

    text: str
    count: int


def mask(text: str) -> Masked:
    """Mask what looks like a secret; the number of lines stays the same.

    Args:
        text: Clean text, of one line or many: the lines of a key block belong together.
    """
    count = 0
    for pattern, replace in _rules():
        pieces: list[str] = []
        end = 0
        for match in pattern.finditer(text):
            found = match.group()
            put = replace(match)
            if put == found:
                continue
            count += 1
            pieces += (text[end : match.start()], put)
            end = match.end()
        text = "".join((*pieces, text[end:])) if pieces else text
    return Masked(text=text, count=count)


# --- names that tell ---

_STRONG: Final = (
    "password|passwd|passphrase|pwd|secret|api[_-]?key|(?:access|secret|private|encryption|signing|master|account|auth)[_-]?key"
    "|shared[_-]?access[_-]?(?:key|signature)|(?:access|refresh|auth|bot|id|bearer|session|api|security)[_-]?token|credentials?"
    "|x-amz-(?:signature|credential)"
)
_WEAK: Final = "token|pass|passw|auth|cookie|sid|session|session[_-]?id|jwt|otp|sig|signature"

# A quote, perhaps escaped because the text is JSON within JSON, then what separates a name from its value.
_SEPARATOR: Final = r"""(?:\\*["'])?[ \t]{0,3}(?::=|=>|=|:)[ \t]{0,3}"""
_QUOTED: Final = (
    r'"(?:[^"\\\n]|\\[^\n])*'
    r"|'(?:[^'\\\n]|\\[^\n])*"
    r"""|\\+["'](?:[^"'\\\n]|\\+[^"'\\\n])*"""
)
# A comma may belong to a password, but much more often something else follows it, which may be the next secret's name.
_BARE: Final = r"""[^\s"'&;,]+"""
_VALUE: Final = f"(?:{_QUOTED}|{_BARE})"

_SCHEMES: Final = "bearer|basic|token|digest|negotiate|apikey"

# --- forms that tell, whatever stands beside them ---

_TOKENS: Final = (
    r"[0-9]{6,12}:[A-Za-z0-9_-]{32,}",  # Telegram's bots
    r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b",  # AWS
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON web tokens
    r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    r"\bgithub_pat_[A-Za-z0-9_]{22,}",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bAIza[A-Za-z0-9_-]{35}",  # Google
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    r"\bhvs\.[A-Za-z0-9_-]{20,}",  # Vault
    r"\bdop_v1_[a-f0-9]{32,}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bpypi-[A-Za-z0-9_-]{32,}",
    r"\bAGE-SECRET-KEY-1[A-Z0-9]{20,}",
    r"\$(?:2[abxy]|5|6|y|apr1|argon2[a-z]*)\$[A-Za-z0-9./$,=+]{20,}",  # hashes of passwords
)
_HOOKS: Final = (
    r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/[0-9]+/)([A-Za-z0-9_/-]{16,})"
)

_KEY_NAME: Final = "(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?"
_BASE64_LINES: Final = r"(?:(?:\s|\\r|\\n)*[A-Za-z0-9+/=]{16,})*"


def _key_block(match: Any) -> str:
    """Mask a block, keeping its first marker and its number of lines."""
    found: str = match.group()
    first = found.partition("\n")[0]
    head = match.group(1) or ""
    if first == found:
        return head + MASK
    rest = found.count("\n")
    return (head or MASK) + ("\n" + MASK) * rest


def _key_rest(match: Any) -> str:
    """Mask the beginning of a block whose end is missing, unless the marker is only mentioned."""
    return _key_block(match) if match.group(2) else str(match.group())


def _second(match: Any) -> str:
    """Mask what follows the first group, unless that is a reference or masked already."""
    head, value = match.group(1), match.group(2)
    return str(
        match.group() if _is_no_secret(value) else head + MASK + match.group()[len(head) + len(value) :]
    )


def _beside(plausible: Callable[[str, str], bool]) -> Callable[[Any], str]:
    """Return what masks the value (group 2) beside a name and its separator (group 1)."""

    def replace(match: Any) -> str:
        head, raw = match.group(1), match.group(2)
        value = raw.lstrip("\\").lstrip("\"'")
        opening = raw[: len(raw) - len(value)]
        tail = "" if opening else _tail(value)
        value = value.removesuffix(tail)
        if _is_no_secret(value) or not plausible(head + opening, value):
            return str(match.group())
        return str(head + opening + MASK + tail)

    return replace


def _tail(value: str) -> str:
    """Return what stands after an unquoted value and belongs to what is around it."""
    return value[len(value.rstrip(",)}]>.")) :]


# Not values, but the absence of one or somebody's mask.
_NOTHING: Final = frozenset(
    "true false null none nil undefined yes no on off masked hidden redacted filtered xxxxx *".split()  # noqa: SIM905 - words
)
# What logs say about passwords and tokens.
_PROSE: Final = frozenset(
    "required invalid incorrect expired missing wrong failed failure failing denied is not must cannot can too empty mismatch unset"  # noqa: SIM905 - words
    " changed ok error errors set string bytes unexpected authentication authorization does has was should please for no the a an and or option flag instead".split()
)


def _is_no_secret(value: str) -> bool:
    """Whether a value is none, hidden already, or the name of a variable (`$DB_PASSWORD`, `${DB_PASSWORD}`)."""
    bare = value.strip("<>[](){}*").lower()
    if not bare or bare in _NOTHING:
        return True
    if value.startswith("${"):
        return True
    name = value[1:]
    return value[0] == "$" and name.isupper() and name.replace("_", "").isalnum()


def _is_strong(head: str, value: str) -> bool:
    """Judge a value beside a name that nearly always means a secret."""
    if value[0] == "/" and "pwd" in head.lower():
        return False  # the working directory
    # With a space after it a colon may be a sentence's.
    return not (head[-1] in " \t" and value.rstrip(":!?").lower() in _PROSE)


def _is_weak(_: str, value: str) -> bool:
    """Judge a value beside a name that often means something else: only one that could be made by a machine is a secret."""
    if len(value) < 8:
        return False
    return (
        len(value) >= 16 or not (value.isalpha() and (value.islower() or value.istitle()))
    ) and not value.replace(".", "").isdigit()


def _bearer(match: Any) -> str:
    value = match.group(2)
    # "Bearer authentication failed" is a sentence.
    made = len(value) >= 20 or any(sign.isdigit() for sign in value)
    return str(match.group(1) + MASK) if made else str(match.group())


def _token(_: Any) -> str:
    return MASK


@functools.cache
def _rules() -> tuple[tuple[Any, Callable[[Any], str]], ...]:
    """Return the expressions with what each puts instead, in the order they are tried; made when first needed: they take memory."""
    rows: tuple[tuple[str, Callable[[Any], str]], ...] = (
        (rf"(?s)(-----BEGIN {_KEY_NAME}-----).*?-----END {_KEY_NAME}-----", _key_block),
        (rf"(-----BEGIN {_KEY_NAME}-----)({_BASE64_LINES})", _key_rest),
        (rf"()(?:[A-Za-z0-9+/=]{{16,}}(?:\s|\\r|\\n)+)+(?:[A-Za-z0-9+/=]+\s+)?-----END {_KEY_NAME}-----", _key_block),
        (r"""([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@"'<>]*:)([^\s/?#"'<>]+)@""", _second),
        (r"""([A-Za-z][A-Za-z0-9+.-]*://)([^\s:/?#@"'<>]{20,})@""", _second),
        (_HOOKS, _second),
        (rf"(?i)(authorization{_SEPARATOR}\\*[\"']?(?:{_SCHEMES})[ \t]+)([^\s\"'\\]+)", _second),
        (r"""(?i)(\bcookie:[ \t]*)([^\s"'=]+=[^\n"']*)""", _second),
        (r"(?i)(\bbearer[ \t]+)([A-Za-z0-9._~+/-]{8,}=*)", _bearer),
        (r"(\bBasic[ \t]+)([A-Za-z0-9+/]{6,}={1,2})", _second),
        (rf"(?i)((?:{_STRONG})[0-9]{{0,3}}{_SEPARATOR})({_VALUE})", _beside(_is_strong)),
        (rf"(?i)((?:^|[^A-Za-z])(?:[a-z0-9.-]*[_.-])?(?:{_WEAK})[0-9]{{0,3}}{_SEPARATOR})({_VALUE})", _beside(_is_weak)),
        (rf"(?i)(\s--?(?:[a-z0-9]+-)*(?:{_STRONG}|token|pass)[ \t]+)([^\s\"'-][^\s\"']*|\"[^\"\n]+|'[^'\n]+)", _beside(_is_flag)),
        (r"""(?i)(\bcurl\b[^|;\n]*?\s(?:-u|--user)[ =]*["']?[^\s:"']+:)([^\s"']+)""", _second),
        (r"""(\b(?:mysql|mariadb)[a-z-]*\b[^|;&\n]*?\s-p["']?)([^\s"']+)""", _second),
        (r"""(\bredis-cli\b[^|;&\n]*?\s(?:-a|--pass)[ \t]+["']?)([^\s"']+)""", _second),
        ("|".join(_TOKENS), _token),
    )  # fmt: skip
    return tuple((re2.compile(pattern), replace) for pattern, replace in rows)


def _is_flag(_: str, value: str) -> bool:
    """Judge the word after a flag: a sentence may mention one."""
    return value.rstrip(".,:!?").lower() not in _PROSE
