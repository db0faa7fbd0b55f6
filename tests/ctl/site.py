"""The set-ups alertctl meets: a Telegram, perhaps a service, perhaps something else in the service's place."""

from __future__ import annotations

import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from types import SimpleNamespace

from aiohttp import web

from alerting.config import Config
from alerting.ctl.__main__ import run
from alerting.ctl.remote import Patience
from alerting.ctl.test import Tempo
from alerting.rules.load import load_files
from alerting.service import Alerting, Settings
from alerting.telegram.announce import Chat as Destination
from alerting.telegram.shot import Pace
from tests.telegram_api import GROUP, TOKEN, Chat, StandIn
from vakhta.paths import shipped
from vakhta.secrets import Secret
from vakhta.web import WebServer

QUICK = Tempo(
    pace=Pace(limit=timedelta(seconds=20), settle=timedelta(0)), patience=Patience(answer=20, line=20)
)
# For set-ups in which the end of patience is what is tested.
HASTY = Tempo(
    pace=Pace(limit=timedelta(seconds=0.5), settle=timedelta(0)), patience=Patience(answer=0.5, line=0.5)
)
BOT = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": str(GROUP)}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One set-up: what is configured, how the world is, and what is typed.

    ``env`` and ``config`` may say ``{telegram}`` and ``{folder}``; ``world`` breaks the Telegram; ``service`` takes a site
    and gives the thing that answers as the service; with ``several`` chats the order of the lines is chance.
    """

    id: str
    env: dict[str, str] = field(default_factory=lambda: BOT)
    config: str = ""
    files: dict[str, str] = field(default_factory=dict)
    argv: str = "test"
    chats: tuple[Chat, ...] = ()
    world: object = None
    service: object = None
    tempo: Tempo = QUICK
    several: bool = False


@asynccontextmanager
async def site(setup, folder):
    """A world in which a set-up is true."""
    async with StandIn() as telegram:
        for chat in setup.chats:
            telegram.api.open(chat)
        made = SimpleNamespace(
            telegram=telegram, folder=folder, tempo=setup.tempo, url=f"http://127.0.0.1:{unused_port()}"
        )
        if setup.world is not None:
            await setup.world(telegram)
        if setup.service is None:
            yield made
            return
        async with setup.service(made) as url:
            made.url = url
            yield made


async def play(setup, folder, capsys):
    """Type the command; return what a person sees, with what differs from run to run taken out."""
    async with site(setup, folder) as made:
        known = {"telegram": made.telegram.url, "folder": str(folder)}
        for name, text in {**setup.files, **({"alerting.yml": setup.config} if setup.config else {})}.items():
            (folder / name).write_text(text.format(**known))
        environ = {"TELEGRAM_API_URL": made.telegram.url, "XDG_STATE_HOME": str(folder)}
        environ |= {name: value.format(**known) for name, value in setup.env.items()}
        argv = [word.format(**known) for word in setup.argv.split()]
        if setup.config:
            argv += ["--config.file", str(folder / "alerting.yml")]
        if "--alerting.url" not in argv:
            argv += ["--alerting.url", made.url]
        capsys.readouterr()
        code = await run(argv, environ, setup.tempo)
        said = capsys.readouterr()
        places = {str(folder): "FOLDER", made.telegram.url: "TELEGRAM", made.url: "ALERTING"}
        places |= {
            url.removeprefix("http://"): name for url, name in places.items() if url.startswith("http")
        }
        return transcript(setup, code, said.out, said.err, places), telegram_saw(made.telegram)


def transcript(setup, code, out, err, places):
    """Return a run as one text."""
    given = "".join(f"{name}={value}\n" for name, value in setup.env.items())
    config = f"--- alerting.yml\n{setup.config}" if setup.config else ""
    out = "".join(sorted(out.splitlines(keepends=True))) if setup.several else out
    text = f"--- environment\n{given}{config}--- alertctl {setup.argv}\n--- exit code {code}\n--- stdout\n{out}--- stderr\n{err}"
    text = text.replace(TOKEN, "<the token>") if TOKEN not in out + err else text
    for place, name in places.items():
        text = text.replace(place, name)
    text = re.sub(r"\b\d+\.\d\d s\b", "N.NN s", text)
    return re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", text)


def telegram_saw(telegram):
    """Return the writes that were asked for and the messages that stand, for tests that look at the other end."""
    shown = [m for chat in telegram.api.chats.values() for m in chat.messages.values()]
    return SimpleNamespace(writes=telegram.api.ledger.writes(), messages=shown)


def unused_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def alerting(token=TOKEN, receivers=None, **more):
    """The running service, watching nothing."""

    @asynccontextmanager
    async def started(made):
        groups = load_files(sorted(shipped("rules").glob("*.yml")), interval=timedelta(seconds=5))
        storage = Path(made.folder) / "state"
        storage.mkdir()
        settings = Settings(
            listen="127.0.0.1:0",
            storage=storage,
            zone=UTC,
            token=Secret(token) if token else None,
            chats=(Destination(chat_id=GROUP),),
            api_url=made.telegram.url,
        )
        service = Alerting(Config(receivers=receivers or {}, **more), groups, settings)
        await service.start()
        service.trial.pace = made.tempo.pace
        made.service = service
        try:
            yield service.url
        finally:
            await service.stop()

    return started


def stranger(answer):
    """Something else that listens where the service should."""

    @asynccontextmanager
    async def started(_made):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        server = WebServer(app)
        await server.start()
        try:
            yield server.url
        finally:
            await server.stop()

    return started
