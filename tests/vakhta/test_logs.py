"""One line per record, and never a token in it."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest

from vakhta import logs

TOKEN = "123456789:AAH" + "x" * 32
SENTENCE = f"GET /bot{TOKEN}/getMe"


@pytest.fixture
def stream():
    """A configured stream; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    held = {
        name: logging.getLogger(name).level for name in ("httpx", "httpcore", "urllib3", "docker", "asyncio")
    }
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in held.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(capture=False)


def written(stream, log_it, **options):
    """Return what was written while something was logged."""
    logs.configure(stream=stream, **options)
    log_it(logs.get("room"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({"name": "web"}, "name=web", id="a plain word stays bare"),
        pytest.param({"name": "a b"}, 'name="a b"', id="a space is quoted"),
        pytest.param({"name": ""}, 'name=""', id="an empty value is quoted"),
        pytest.param({"q": 'a"b'}, r'q="a\"b"', id="a quote is escaped"),
        pytest.param({"text": "a\nb"}, r'text="a\nb"', id="a line break stays on the line"),
        pytest.param({"text": "a=b"}, 'text="a=b"', id="an equals sign is quoted"),
        pytest.param(
            {"n": 3, "s": 0.25, "t": True, "x": None}, "n=3 s=0.25 t=true x=null", id="plain values"
        ),
        pytest.param({"name": "Вахта"}, "name=Вахта", id="Cyrillic stays readable"),
        pytest.param({"level": "x"}, "fact_level=x", id="a fact cannot pose as a field of ours"),
        pytest.param(
            {"at": datetime(2026, 9, 21, tzinfo=UTC)}, "at=2026-09-21T00:00:00Z", id="times are RFC 3339"
        ),
    ],
)
def test_logfmt(stream, facts, expected):
    """Facts follow the event in logfmt, quoted only where needed."""
    line = written(stream, lambda log: log.info("something happened", **facts))
    head, _, tail = line.rstrip("\n").partition(' event="something happened" ')
    assert tail == expected
    assert head.endswith("Z level=info logger=room")
    assert head.startswith("ts=20")


def test_json(stream):
    """The JSON format carries the same fields, typed."""
    line = json.loads(
        written(stream, lambda log: log.warning("odd", n=1, name="a b", at=None), format="json")
    )
    assert {key: line[key] for key in ("level", "logger", "event", "n", "name", "at")} == {
        "level": "warning", "logger": "room", "event": "odd", "n": 1, "name": "a b", "at": None,
    }  # fmt: skip


def fail_with_token(log):
    """Log an exception, a fact and a key that hold the token."""
    try:
        raise OSError(f"https://api.telegram.org/bot{TOKEN}/getMe")
    except OSError:
        log.exception("call failed", url=f"/bot{TOKEN}/x", **{TOKEN: "a key"})


@pytest.mark.parametrize("format_", logs.FORMATS)
@pytest.mark.parametrize(
    "log_it",
    [
        pytest.param(fail_with_token, id="exception, facts and keys"),
        pytest.param(
            lambda _: logging.getLogger("foreign").warning("GET %s", f"/bot{TOKEN}/x"),
            id="arguments of a foreign record",
        ),
        pytest.param(lambda _: logging.getLogger("foreign").warning(SENTENCE), id="message"),
        pytest.param(lambda log: log.info(SENTENCE), id="event"),
        pytest.param(lambda _: logging.getLogger("foreign").warning("x", stack_info=bool(TOKEN)), id="stack"),
    ],
)
def test_a_token_is_never_written(stream, log_it, format_):
    """Wherever a bot token turns up in a record, its secret half is masked."""
    text = written(stream, log_it, format=format_)
    assert TOKEN not in text
    assert "x" * 20 not in text
    if "stack" not in text:
        assert "123456789:<secret>" in text


def test_a_chained_exception_is_masked(stream):
    """A token in the cause of an exception is masked too."""

    def log_it(log):
        try:
            try:
                raise OSError(TOKEN)
            except OSError as exc:
                raise RuntimeError("outer") from exc
        except RuntimeError:
            log.exception("failed")

    text = written(stream, log_it)
    assert "OSError: 123456789:<secret>" in text
    assert "RuntimeError: outer" in text


def test_request_logs_of_http_clients_are_held_back(stream):
    """Httpx writes every URL at INFO; that is held back even at level debug."""
    logs.configure(stream=stream, level="debug")
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("httpcore.connection").debug("connect")
    assert stream.getvalue() == ""


def test_levels(stream):
    """What is below the level is not written."""
    logs.configure(stream=stream, level="warning")
    logs.get("room").info("quiet")
    logs.get("room").error("loud")
    assert [line.split("event=")[1] for line in stream.getvalue().splitlines()] == ["loud"]


def test_configuring_twice_writes_once(stream):
    """A second configuration replaces the first."""
    logs.configure(stream=stream)
    logs.configure(stream=stream)
    logs.get("room").info("once")
    assert len(stream.getvalue().splitlines()) == 1
