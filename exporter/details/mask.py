"""Values that look like secrets, masked: best effort, because nobody can know what a program prints.

Found are passwords in URLs, values beside telling names (`key=value`, `key: value`, JSON, flags of a command), what follows `Bearer` and its
like, private key blocks, and tokens whose form gives them away. Preferred is to mask too much rather than too little, except where
a log line would lose what it is about: "unexpected token: EOF", "password: required", counts, paths, references to variables.

Every expression is RE2's, so the time is linear in the text, whatever the text is; see the rows of its tests for what it is to do.
"""

import functools
import re
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
    for pattern, replace, counts in _rules():
        pieces: list[str] = []
        end = 0
        for match in pattern.finditer(text):
            found = match.group()
            put = replace(match)
            if put == found:
                continue
            count += counts
            pieces += (text[end : match.start()], put)
            end = match.end()
        text = "".join((*pieces, text[end:])) if pieces else text
    return Masked(text=text, count=count)


# --- names that tell ---

_STRONG: Final = (
    "password|passwd|passphrase|pwd|secret|(?:api|app)[_-]?key|(?:access|secret|private|encryption|signing|master|account|auth)[_-]?key"
    "|shared[_-]?access[_-]?(?:key|signature)|(?:access|refresh|auth|bot|id|bearer|session|api|security)[_-]?token|credentials?"
    "|x-amz-(?:signature|credential)"
)
_WEAK: Final = "token|pass|passw|auth|cookie|sid|session|session[_-]?id|jwt|otp|sig|signature"

# What may follow a name and belongs to it: DB_PASSWORD_PROD, SECRET_KEY_BASE, passwordConfirm; but not SECRETARY.
_SUFFIX: Final = r"(?P<suffix>[0-9]{0,3}(?:[_.-][A-Za-z0-9_.-]*|(?-i:[A-Z][a-z0-9][A-Za-z0-9_.-]*)))"
_NUMBER: Final = "(?P<suffix>[0-9]{0,3})"
# Weak names are followed by far more that is no secret, such as token_type and session_timeout.
_WEAK_SUFFIX: Final = (
    "(?P<suffix>[0-9]{0,3}(?:[_-](?:prod|production|staging|stage|dev|test|live|main|primary|secondary|replica|old|new|current|previous|next"
    "|value|raw|base64))?)"
)

# A quote, perhaps escaped because the text is JSON within JSON, then what separates a name from its value.
_SEPARATOR: Final = r"""(?:\\*["'])?\]?[ \t]{0,3}(?::=|=>|=|:)[ \t]{0,3}"""
_QUOTED: Final = (
    r'"(?:[^"\\\n]|\\[^\n])*'
    r"|'(?:[^'\\\n]|\\[^\n])*"
    r"""|\\+["'](?:[^"'\\\n]|\\+[^"'\\\n])*"""
)
# A comma may belong to a password, but much more often something else follows it, which may be the next secret's name: see _REST.
_BARE: Final = r"""[^\s"'&;,]+"""
_VALUE: Final = f"(?P<value>{_QUOTED}|{_BARE})"
# What stands between a masked value and the next name belongs to the value.
_REST: Final = r"""([=:>][ \t]{0,3}\*\*\*)((?:[,;&][^\s"'&;,=:]+)+)(?:$|[\s"'&;,])"""

# In a URL a password should not hold these, but people write it as it is.
_USER: Final = r"""://[^\s:/?#@"'<>\[]*:"""
_BASES: Final = "postgres|mysql|maria|mongodb|redis|valkey|amqp|mssql|sqlserver|clickhouse"

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
    r"\bbase64:[A-Za-z0-9+/_-]{32,}=*",  # keys of Laravel and others
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


def _rest(match: Any) -> str:
    """Drop what belongs to the masked value before it."""
    head, rest = match.group(1), match.group(2)
    return str(head + _tail(rest) + match.group()[len(head) + len(rest) :])


def _url(match: Any) -> str:
    """Mask a password with slashes, unless it is a port with a path."""
    password = match.group(2)
    return str(match.group()) if _begins_with_port(password) and not password.isdigit() else _second(match)


def _beside(plausible: Callable[[str, str, str], bool]) -> Callable[[Any], str]:
    """Return what masks the value beside a name and its separator (group 1)."""

    def replace(match: Any) -> str:
        head, raw = match.group(1), match.group("value")
        value = raw.lstrip("\\").lstrip("\"'")
        opening = raw[: len(raw) - len(value)]
        tail = "" if opening else _tail(value)
        value = value.removesuffix(tail)
        if _is_no_secret(value) or not plausible(head + opening, match.group("suffix"), value):
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
    " changed ok error errors set string bytes unexpected authentication authorization does has was should please for no the a an and or option flag instead"
    " can don doesn didn isn wasn hasn won".split()
)
# What a longer name is about when it ends so, rather than the secret: PASSWORD_FILE, secretName, PasswordEncoder.java.
_ABOUT: Final = frozenset(
    "file files filename path dir directory name names id ids count total length len size min max type kind policy strength pattern rule"  # noqa: SIM905 - words
    " expired expires expiry expiration ttl age at on date time timestamp timeout lifetime interval version required enabled disabled changed"
    " updated created rotated rotation reset status state valid invalid attempts retries encryption encoding algorithm algo method format mode"
    " url uri endpoint host hostname port region user username owner email source provider manager service store ref reference field label"
    " mount env var command checker encoder java kt scala go py js ts rb php rs cs".split()
)
_LAST_WORD: Final = re.compile(r"(?:[A-Z]+|[A-Z]?[a-z0-9]+)$")


def _is_no_secret(value: str) -> bool:
    """Whether a value is none, hidden already, or the name of a variable (`$DB_PASSWORD`, `${DB_PASSWORD}`)."""
    bare = value.strip("<>[](){}*").lower()
    if not bare or bare in _NOTHING:
        return True
    if value.startswith("${"):
        return True
    name = value[1:]
    return value[0] == "$" and name.isupper() and name.replace("_", "").isalnum()


def _is_strong(head: str, _: str, value: str) -> bool:
    """Judge a value beside a name that nearly always means a secret."""
    if value[0] == "/" and "pwd" in head.lower():
        return False  # the working directory
    # With a space after it a colon may be a sentence's.
    return not (head[-1] in " \t" and value.rstrip(":!?").lower() in _PROSE)


def _is_long(head: str, suffix: str, value: str) -> bool:
    """Judge a value beside a name with a suffix: not whether a secret's name is in it, but whether it names one."""
    if _is_about(suffix) or MASK in value or not _is_strong(head, suffix, value):
        return False
    if "_" in suffix:
        return True
    if head[-1] == ":" and head[-2].isalnum():
        return not _begins_with_port(value)  # a host's name or a file's, and a number
    # "SecretClient: Connecting" is a logger's name and a sentence.
    return not (head[-1] in " \t" and head.rstrip()[-1] == ":" and _is_word(value))


def _is_about(suffix: str) -> bool:
    word = _LAST_WORD.search(suffix[-40:])
    return word is not None and word.group().lower() in _ABOUT


def _is_word(value: str) -> bool:
    return value.isalpha() and (value.islower() or value.istitle())


def _begins_with_port(value: str) -> bool:
    digits = len(value) - len(value.lstrip("0123456789"))
    return 0 < digits < 6 and value[digits : digits + 1] in ("", "/", "?", ",", ";", ":")


def _is_weak(_head: str, _suffix: str, value: str) -> bool:
    """Judge a value beside a name that often means something else: only one that could be made by a machine is a secret."""
    if len(value) < 8:
        return False
    return (len(value) >= 16 or not _is_word(value)) and not value.replace(".", "").isdigit()


def _bearer(match: Any) -> str:
    value = match.group(2)
    # "Bearer authentication failed" is a sentence.
    made = len(value) >= 20 or any(sign.isdigit() for sign in value)
    return str(match.group(1) + MASK) if made else str(match.group())


def _token(_: Any) -> str:
    return MASK


def _is_flag(_: str, suffix: str, value: str) -> bool:
    """Judge the word after a flag: a sentence may mention one."""
    return not _is_about(suffix) and value.rstrip(".,:!?").lower() not in _PROSE


@functools.cache
def _rules() -> tuple[tuple[Any, Callable[[Any], str], bool], ...]:
    """Return the expressions, what each puts instead and whether that counts, in the order they are tried.

    They are made when first needed: they take memory.
    """
    rows: tuple[tuple[str, Callable[[Any], str]], ...] = (
        (rf"(?s)(-----BEGIN {_KEY_NAME}-----).*?-----END {_KEY_NAME}-----", _key_block),
        (rf"(-----BEGIN {_KEY_NAME}-----)({_BASE64_LINES})", _key_rest),
        (rf"()(?:[A-Za-z0-9+/=]{{16,}}(?:\s|\\r|\\n)+)+(?:[A-Za-z0-9+/=]+\s+)?-----END {_KEY_NAME}-----", _key_block),
        (rf"""(?i)((?:{_BASES})[a-z0-9+.-]*{_USER})([^\s?,;"'<>]+)@""", _url),
        (rf"""([A-Za-z][A-Za-z0-9+.-]*{_USER})([^\s/?#"'<>]+)@""", _second),
        (rf"""([A-Za-z][A-Za-z0-9+.-]*{_USER})([^\s@/?#"'<>]*[/?#][^\s@"'<>]*(?:@[^\s@/?#"'<>]*)*)@""", _url),
        (r"""([A-Za-z][A-Za-z0-9+.-]*://)([^\s:/?#@"'<>]{20,})@""", _second),
        (r"""([A-Za-z0-9_.-]*:)([^\s"']+)@(?:tcp[46]?|udp|unix|cloudsql)\(""", _second),
        (_HOOKS, _second),
        (rf"(?i)(authorization{_SEPARATOR}\\*[\"']?(?:{_SCHEMES})[ \t]+)([^\s\"'\\]+)", _second),
        (r"""(?i)(\bcookie:[ \t]*)([^\s"'=]+=[^\n"']*)""", _second),
        (r"(?i)(\bbearer[ \t]+)([A-Za-z0-9._~+/-]{8,}=*)", _bearer),
        (r"(\bBasic[ \t]+)([A-Za-z0-9+/]{6,}={1,2})", _second),
        (rf"(?i)((?:{_STRONG}){_NUMBER}{_SEPARATOR}){_VALUE}", _beside(_is_strong)),
        # Later, because what a longer name is about may hold a shorter name with its value.
        (rf"(?i)((?:{_STRONG}){_SUFFIX}{_SEPARATOR}){_VALUE}", _beside(_is_long)),
        (rf"(?i)((?:^|[^A-Za-z])(?:[a-z0-9.-]*[_.-])?(?:{_WEAK}){_WEAK_SUFFIX}{_SEPARATOR}){_VALUE}", _beside(_is_weak)),
        (_REST, _rest),
        (rf"(?i)((?:^|\s)--?(?:[a-z0-9]+-)*(?:{_STRONG}|token|pass)(?P<suffix>(?:-[a-z0-9-]*)?)[ \t]+)(?P<value>[^\s\"'-][^\s\"']*|\"[^\"\n]+|'[^'\n]+)", _beside(_is_flag)),
        (r"""(?i)(\bidentified\s+by\s+(?:password\s+)?["'])([^"'\n]+)""", _second),
        (r"""(?i)(\bcurl\b[^|;\n]*?\s(?:-u|--user)[ =]*["']?[^\s:"']+:)([^\s"']+)""", _second),
        (r"""(\b(?:mysql|mariadb)[a-z-]*\b[^|;&\n]*?\s-p["']?)([^\s"']+)""", _second),
        (r"""(\bredis-cli\b[^|;&\n]*?\s(?:-a|--pass)[ \t]+["']?)([^\s"']+)""", _second),
        ("|".join(_TOKENS), _token),
    )  # fmt: skip
    return tuple((re2.compile(pattern), replace, replace is not _rest) for pattern, replace in rows)
