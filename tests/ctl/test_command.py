"""alertctl as a program: help, colours, secrets, and what goes wrong outside of Telegram."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from types import SimpleNamespace

import aiohttp
import pytest

from alerting.ctl import direct, remote
from alerting.ctl.__main__ import COMMANDS, Command, main, run
from alerting.ctl.output import CannotRunError, Output
from alerting.ctl.test import tell
from alerting.state import Database
from alerting.telegram import rows
from alerting.telegram.shot import Report, Stage
from tests.ctl.site import BOT, Setup, alerting, play, site, unused_port
from tests.telegram_api import GROUP, TOKEN, StandIn, Standing


@pytest.mark.parametrize(
    ("argv", "code"),
    [pytest.param([], 2, id="alone: nothing was done"), pytest.param(["--help"], 0, id="asked for")],
)
async def test_help(argv, code, capsys):
    """Names every command and what it is for."""
    assert await run(argv, {}) == code
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {command.summary}" in shown for name, command in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
async def test_help_of_a_command(name, capsys):
    """Says what the exit codes mean and lists the flags."""
    assert await run([name, "--help"], {}) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Exit code: 0" in shown
    assert all(
        f"--{flag}" in shown
        for flag in ("rule", "severity", "receiver", "dry-run", "alerting.url", "config.file")
    )


async def test_an_unknown_command(capsys):
    """One line, exit code 2."""
    assert await run(["tst"], {}) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("alertctl: ")
    assert said.err.endswith("; alertctl --help lists what there is\n")


async def test_a_token_on_the_command_line(capsys):
    """A slip that quotes it does not show it."""
    assert await run(["test", TOKEN], {}) == 2
    assert TOKEN not in capsys.readouterr().err


async def test_a_bug_is_a_sentence(capsys):
    """Whatever happens inside: no traceback, exit code 2, and not the token."""

    async def stumble(*_):
        raise RuntimeError(f"bot{TOKEN}")

    broken = Command(summary="", details="", add_flags=lambda _: None, run=stumble)
    assert await run(["test"], {}, commands={"test": broken}) == 2
    said = capsys.readouterr().err
    assert said == "alertctl: RuntimeError: bot123456789:<secret>; this is a bug, please report it\n"


class Screen:
    """A terminal, or not."""

    def __init__(self, terminal):
        self.isatty = lambda: terminal
        self.text = ""
        self.write = self._write
        self.flush = lambda: None

    def _write(self, text):
        self.text += text


@pytest.mark.parametrize(
    ("environ", "terminal", "expected"),
    [
        pytest.param({}, True, "\x1b[32mfine\x1b[0m\n", id="a terminal"),
        pytest.param({}, False, "fine\n", id="a file"),
        pytest.param({"NO_COLOR": "1"}, True, "fine\n", id="NO_COLOR"),
        pytest.param({"NO_COLOR": ""}, True, "\x1b[32mfine\x1b[0m\n", id="an empty NO_COLOR"),
        pytest.param({"TERM": "dumb"}, True, "fine\n", id="a terminal without colours"),
    ],
)
def test_colours(environ, terminal, expected, monkeypatch):
    """Only where somebody sees them and did not refuse."""
    monkeypatch.setattr(sys, "stdout", Screen(terminal))
    Output(environ).good("fine")
    assert sys.stdout.text == expected


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        pytest.param({}, f"https://api.telegram.org/bot{TOKEN}/getMe", id="whole, in a URL"),
        pytest.param({"TELEGRAM_BOT_TOKEN": "1234:short-secret"}, "x 1234:short-secret y", id="damaged"),
        pytest.param(
            {"TELEGRAM_CHAT_ID": "1234:short-secret"}, "'1234:short-secret'", id="in the wrong variable"
        ),
    ],
)
def test_the_token_is_hidden(environ, text, capsys):
    """However it got into a sentence."""
    Output(environ).bad(text)
    said = capsys.readouterr().err
    assert "<secret>" in said
    assert TOKEN.partition(":")[2] not in said
    assert "short-secret" not in said


async def test_the_token_of_a_file_is_hidden(tmp_path, capsys):
    """A token that no pattern would know, from a file, in the configuration's error."""
    (tmp_path / "token").write_text("damaged-token\n")
    environ = {
        "TELEGRAM_BOT_TOKEN_FILE": str(tmp_path / "token"),
        "TELEGRAM_CHAT_ID": "1",
        "XDG_STATE_HOME": str(tmp_path),
    }
    flags = ["--dry-run", "--receiver", "damaged-token"]
    assert await run(["test", *flags], environ) == 2
    assert "damaged-token" not in capsys.readouterr().err


def report(**more):
    """A report about one chat."""
    return Report(
        **{"receiver": "r", "chat_id": -1, "thread_id": None, "stage": Stage.FIRING, "ok": True, **more}
    )


@pytest.mark.parametrize(
    ("given", "out", "err"),
    [
        pytest.param(
            report(message_id=5, seconds=0.314), "r: chat -1: delivered as message 5 in 0.31 s\n", "", id="delivered"
        ),
        pytest.param(
            report(thread_id=7, stage=Stage.RESOLVED, message_id=5, seconds=12.0),
            "r: chat -1, topic 7: resolved as message 5 in 12.00 s\n", "", id="resolved in a topic",
        ),
        pytest.param(report(ok=False, error="mend it"), "", "r: chat -1: not delivered: mend it\n", id="not delivered"),
        pytest.param(
            report(ok=False, error="mend it", message_id=5, seconds=1.0),
            "", "r: chat -1: delivered as message 5 in 1.00 s, but mend it\n", id="not where it belongs",
        ),
    ],
)  # fmt: skip
def test_lines(given, out, err, capsys):
    """Results on stdout, faults on stderr."""
    tell(given, Output({}))
    assert capsys.readouterr() == (out, err)


def connector_error(os_error, kind=aiohttp.ClientConnectorError):
    """As aiohttp raises it."""
    return kind(SimpleNamespace(host="host", port=9818, is_ssl=False, ssl=None), os_error)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        pytest.param(ConnectionRefusedError(errno.ECONNREFUSED, "x"), True, id="one address"),
        pytest.param(
            OSError("Multiple exceptions: [Errno 111] x, [Errno 111] y"), True, id="several addresses"
        ),
        pytest.param(OSError(errno.EHOSTUNREACH, "x"), False, id="no route"),
        pytest.param(OSError("something else"), False, id="anything else"),
    ],
)
def test_when_no_service_runs(error, refused):
    """Only a refused connection says so: then the test is sent directly."""
    assert remote._refused(error) is refused


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            connector_error(OSError(-2, "x"), aiohttp.ClientConnectorDNSError),
            "no address is known for this name",
        ),
        (connector_error(OSError(errno.EHOSTUNREACH, "No route to host")), "No route to host"),
        (connector_error(OSError("odd")), "odd"),
    ],
    ids=["name", "route", "no number"],
)
def test_why_it_cannot_be_reached(error, words):
    """In words."""
    assert remote._why(error) == words


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"receiver": "r"}',
        b'{"receiver": "r", "chat_id": "x", "stage": "firing", "ok": true}',
        b'{"receiver": "r", "chat_id": 1, "stage": "later", "ok": true}',
        b'{"receiver": "r", "chat_id": 1, "stage": "firing", "ok": true, "seconds": []}',
    ],
)
def test_lines_that_are_not_a_tests(line):
    """Each is a sentence, never a traceback."""
    with pytest.raises(CannotRunError, match="another version"):
        remote._report("u", remote._parse("u", line))


async def test_direct_leaves_the_services_queue_alone(tmp_path, capsys):
    """What waits in the state file is the service's to send; the file is not even written."""
    state = tmp_path / "vakhta"
    state.mkdir()
    database = await Database.open(state / "alerting.db")
    await database.write(lambda c: c.execute(
        "INSERT INTO outbox (key, chat_id, kind, priority, state, html, plain, buttons, silent, created_at)"
        f" VALUES ('real', {GROUP}, 'send', 0, 'queued', 'real', 'real', '[]', 0, 1)"
    ))  # fmt: skip
    await database.close()
    before = (state / "alerting.db").read_bytes()
    shown, saw = await play(Setup(id=""), tmp_path, capsys)
    assert "--- exit code 0" in shown
    assert [entry.method for entry in saw.writes] == ["sendMessage", "editMessageText"]
    assert (state / "alerting.db").read_bytes() == before


async def test_direct_obeys_a_pause_that_the_service_was_given(tmp_path, capsys):
    """A 429 outlives the service; a pause for another reason does not hold a person's test back."""
    state = tmp_path / "vakhta"
    state.mkdir()
    database = await Database.open(state / "alerting.db")
    await database.write(lambda c: rows.pause(c, GROUP, 4_000_000_000.0, "flood: Too Many Requests"))
    await database.write(lambda c: rows.pause(c, 5, 4_000_000_000.0, "chat_unreachable: kicked"))
    await database.close()
    assert [chat for chat, *_ in direct.asked_pauses(state / "alerting.db")] == [GROUP]
    shown, saw = await play(Setup(id=""), tmp_path, capsys)
    assert "--- exit code 1" in shown
    assert "Telegram asks to leave this chat alone for " in shown
    assert saw.writes == []


@pytest.mark.parametrize("content", [None, b"", b"no database"], ids=["no file", "empty", "garbage"])
def test_a_state_file_that_says_nothing(tmp_path, content):
    """It is not what is tested: no pauses are known."""
    path = tmp_path / "alerting.db"
    if content is not None:
        path.write_bytes(content)
    assert direct.asked_pauses(path) == []


async def spawn(*argv, **environ):
    """Start alertctl as it is installed."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alerting.ctl", *argv, env={**clean, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_the_program(tmp_path):
    """Started as a person starts it: exit code 0, two lines, two seconds between the messages."""
    async with StandIn() as telegram:
        process = await spawn(
            "test", "--alerting.url", f"http://127.0.0.1:{unused_port()}",
            **BOT, TELEGRAM_API_URL=telegram.url, XDG_STATE_HOME=str(tmp_path),
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == 0, err
        assert [line.split(" in ")[0].split(": ")[-1] for line in out.decode().splitlines()] == [
            "delivered as message 1",
            "resolved as message 1",
        ]
        sent, edited = telegram.api.ledger.writes()
        assert 1.9 < edited.at - sent.at < 10


async def test_the_program_says_one_line_for_a_fault(tmp_path):
    """What the libraries and the outbox log about it is not for this reader."""
    async with StandIn() as telegram:
        telegram.api.chats[GROUP].standing = Standing.KICKED
        process = await spawn(
            "test", "--alerting.url", f"http://127.0.0.1:{unused_port()}",
            **BOT, TELEGRAM_API_URL=telegram.url, XDG_STATE_HOME=str(tmp_path),
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert (process.returncode, out) == (1, b"")
        told, fault = err.decode().splitlines()
        assert told.startswith("No vakhta-alerting runs at ")
        assert fault.endswith(": not delivered: the bot was removed from this chat: add it again")


async def test_ctrl_c(tmp_path):
    """One word, exit code 2."""
    async with site(Setup(id="", service=alerting()), tmp_path) as made:
        arrived = asyncio.Event()
        made.telegram.api.listeners.append(arrived.set)
        process = await spawn("test", "--alerting.url", made.url)
        made.service.trial.pace = type(made.tempo.pace)()
        async with asyncio.timeout(60):
            await arrived.wait()
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
        assert (process.returncode, err) == (2, b"alertctl: interrupted\n")


async def test_a_reader_that_has_gone(tmp_path):
    """`alertctl test --dry-run | true` ends without a word."""
    read, write = os.pipe()
    os.close(read)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alerting.ctl", "test", "--dry-run", env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=write, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(write)
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert b"Traceback" not in err
    assert b"BrokenPipe" not in err


def test_main_returns_the_code(capsys, monkeypatch):
    """For the console script."""
    monkeypatch.setattr(sys, "argv", ["alertctl", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("alertctl ")
