"""alerting.yml: the sections of prometheus.yml and alertmanager.yml that people know, in one file.

Without a file the defaults serve: the local exporter every 5 s, the shipped rules, one receiver.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2

from alerting.dispatch.inhibit import InhibitRule
from alerting.dispatch.matchers import MatcherError, parse_matchers, regex_fault
from alerting.dispatch.route import ALL_LABELS, Route
from alerting.labels import Labels, Matcher, MatchOp
from alerting.scrape.target import Target
from alerting.telegram.announce import Chat
from vakhta.secrets import Secret
from vakhta.yamlnodes import Node, load

DEFAULT_RECEIVER: Final = "telegram"
DEFAULT_GROUP_BY: Final = ("host", "project", "service", "domain")
EXPORTER_JOB: Final = "vakhta-exporter"
OWN_JOB: Final = "vakhta-alerting"
_GLOBAL: Final = (
    "evaluation_interval",
    "scrape_interval",
    "scrape_timeout",
    "telegram_api_url",
    "telegram_bot_token",
    "telegram_bot_token_file",
    "timezone",
)
_TOP: Final = ("global", "inhibit_rules", "receivers", "route", "rule_files", "scrape_configs")
_ROUTE: Final = (
    "continue",
    "group_by",
    "group_interval",
    "group_wait",
    "match",
    "match_re",
    "matchers",
    "receiver",
    "repeat_interval",
    "routes",
)
_SCRAPE: Final = (
    "events_path",
    "job_name",
    "metrics_path",
    "scheme",
    "scrape_interval",
    "scrape_timeout",
    "static_configs",
)
_INHIBIT: Final = (
    "equal",
    "source_match",
    "source_match_re",
    "source_matchers",
    "target_match",
    "target_match_re",
    "target_matchers",
)
_SCHEMES: Final = ("http", "https")
_CHAT: Final = ("chat_id", "disable_notifications", "message_thread_id")


def _equal(name: str, value: str) -> Matcher:
    return Matcher(name, MatchOp.EQUAL, value)


def _regex(name: str, value: str) -> Matcher:
    return Matcher(name, MatchOp.REGEX, value)


# rules.md of the project's design, "Inhibition": what explains what.
SHIPPED_INHIBIT_RULES: Final = (
    InhibitRule(
        source=(_equal("alertname", "ExporterDown"),),
        target=(Matcher("alertname", MatchOp.NOT_REGEX, "ExporterDown|Watchdog"),),
        equal=("host",),
    ),
    InhibitRule(
        source=(_equal("alertname", "DockerDown"),),
        target=(_regex("alertname", "Container.*|Service.*"),),
        equal=("host",),
    ),
    InhibitRule(
        source=(_equal("alertname", "ContainerCrashLoop"),),
        target=(_regex("alertname", "ContainerDown|ContainerRestarted|ContainerUnhealthy"),),
        equal=("host", "name"),
    ),
    InhibitRule(
        source=(_equal("alertname", "ContainerDown"), _equal("reason", "oom")),
        target=(_equal("alertname", "ContainerOOMKilled"),),
        equal=("host", "name"),
    ),
    InhibitRule(
        source=(_equal("alertname", "ContainerOOMKilled"),),
        target=(_equal("alertname", "ContainerRestarted"), _equal("reason", "oom")),
        equal=("host", "name"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a configuration decides, defaults filled in."""

    evaluation_interval: timedelta = timedelta(seconds=5)
    timezone: str = ""
    telegram_api_url: str = ""
    telegram_token: Secret | None = None
    telegram_token_file: str = ""
    rule_files: tuple[str, ...] = ()
    folder: Path = Path()
    targets: tuple[Target, ...] = ()
    route: Route = field(default_factory=lambda: default_route(DEFAULT_RECEIVER))
    receivers: Mapping[str, tuple[Chat, ...]] = field(default_factory=dict)
    inhibit_rules: tuple[InhibitRule, ...] = SHIPPED_INHIBIT_RULES


def default_route(receiver: str) -> Route:
    """Return the route that serves without a configuration: one incident per service, host or domain."""
    return Route(receiver=receiver, group_by=DEFAULT_GROUP_BY)


def exporter_target(base_url: str) -> Target:
    """Return the scrape target of an exporter at this address, its event stream included."""
    instance = base_url.partition("://")[2].rstrip("/")
    return Target(
        url=f"{base_url.rstrip('/')}/metrics",
        events_url=f"{base_url.rstrip('/')}/events",
        labels=Labels({"job": EXPORTER_JOB, "instance": instance}),
    )


def read(path: Path) -> Config:
    """Read alerting.yml.

    Raises:
        ConfigError: With every problem of the file.
    """
    document = load(path)
    config = Config(folder=path.resolve().parent)
    if document.root is not None:
        top = document.root.mapping(_TOP)
        config = _read_top(config, top)
    document.finish()
    return config


def _read_top(config: Config, top: Mapping[str, Node]) -> Config:
    globals_ = top["global"].mapping(_GLOBAL) if "global" in top else {}
    config = _read_global(config, globals_)
    if "rule_files" in top:
        config = replace(config, rule_files=tuple(node.text() for node in top["rule_files"].sequence()))
    if "scrape_configs" in top:
        config = replace(config, targets=_read_targets(top["scrape_configs"], globals_))
    if "receivers" in top:
        config = replace(config, receivers=_read_receivers(top["receivers"]))
    if "route" in top:
        config = replace(config, route=_read_root(top["route"], config.receivers))
    elif config.receivers:
        config = replace(config, route=default_route(next(iter(config.receivers))))
    if "inhibit_rules" in top:
        rules = tuple(_read_inhibit(node) for node in top["inhibit_rules"].sequence())
        config = replace(config, inhibit_rules=(*SHIPPED_INHIBIT_RULES, *rules))
    return config


def _read_global(config: Config, keys: Mapping[str, Node]) -> Config:
    interval = _positive(keys, "evaluation_interval", config.evaluation_interval)
    config = replace(config, evaluation_interval=interval)
    if "timezone" in keys:
        config = replace(config, timezone=_zone(keys["timezone"]))
    if "telegram_api_url" in keys:
        config = replace(config, telegram_api_url=keys["telegram_api_url"].text().rstrip("/"))
    if "telegram_bot_token" in keys and "telegram_bot_token_file" in keys:
        keys["telegram_bot_token_file"].fail("telegram_bot_token is set too; keep one of them")
    if "telegram_bot_token" in keys:
        config = replace(config, telegram_token=Secret(keys["telegram_bot_token"].text()))
    if "telegram_bot_token_file" in keys:
        config = replace(config, telegram_token_file=keys["telegram_bot_token_file"].text())
    return config


def _zone(node: Node) -> str:
    name = node.text()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        node.fail(f"no such time zone: {name!r}; use an IANA name like Asia/Almaty")
        return ""
    return name


def _read_targets(node: Node, globals_: Mapping[str, Node]) -> tuple[Target, ...]:
    default = Target(url="", labels=Labels())
    interval = _positive(globals_, "scrape_interval", default.interval)
    timeout = _positive(globals_, "scrape_timeout", default.timeout)
    found: list[Target] = []
    for job in node.sequence():
        keys = job.mapping(_SCRAPE)
        if "job_name" not in keys:
            job.fail("key job_name is missing")
            continue
        own_interval = _positive(keys, "scrape_interval", interval)
        own_timeout = _positive(keys, "scrape_timeout", timeout)
        shape = replace(default, interval=own_interval, timeout=min(own_timeout, own_interval))
        found.extend(_static_targets(keys, shape))
    return tuple(found)


def _static_targets(keys: Mapping[str, Node], shape: Target) -> Sequence[Target]:
    scheme = keys["scheme"].text() if "scheme" in keys else "http"
    if scheme not in _SCHEMES:
        keys["scheme"].fail(f"http or https is expected, not {scheme!r}")
    path = _path(keys, "metrics_path", "/metrics")
    events = _path(keys, "events_path", "")
    found: list[Target] = []
    for static in keys["static_configs"].sequence() if "static_configs" in keys else []:
        parts = static.mapping(("labels", "targets"))
        extra = parts["labels"].texts() if "labels" in parts else {}
        for target in parts["targets"].sequence() if "targets" in parts else []:
            address = target.text()
            if "/" in address:
                target.fail(f"a target is host:port, not {address!r}; put the path into metrics_path")
            labels = Labels({"job": keys["job_name"].text(), "instance": address, **extra})
            base = f"{scheme}://{address}"
            events_url = f"{base}{events}" if events else ""
            found.append(replace(shape, url=f"{base}{path}", labels=labels, events_url=events_url))
    return found


def _path(keys: Mapping[str, Node], name: str, fallback: str) -> str:
    path = keys[name].text() if name in keys else fallback
    if path and not path.startswith("/"):
        keys[name].fail(f"a path starts with /, not {path!r}")
    return path


def _read_receivers(node: Node) -> dict[str, tuple[Chat, ...]]:
    found: dict[str, tuple[Chat, ...]] = {}
    for receiver in node.sequence():
        keys = receiver.mapping(("name", "telegram_configs"))
        name = keys["name"].text() if "name" in keys else ""
        if not name:
            receiver.fail("key name is missing or empty")
        elif name in found:
            receiver.fail(f"a receiver named {name!r} stands above; rename one")
        chats = keys["telegram_configs"].sequence() if "telegram_configs" in keys else []
        found[name] = tuple(_read_chat(chat) for chat in chats)
    return found


def _read_chat(node: Node) -> Chat:
    keys = node.mapping(_CHAT)
    if "chat_id" not in keys:
        node.fail("key chat_id is missing; `alertctl telegram setup` finds it")
    return Chat(
        chat_id=keys["chat_id"].integer() if "chat_id" in keys else 0,
        thread_id=keys["message_thread_id"].integer() if "message_thread_id" in keys else None,
        silent=keys["disable_notifications"].boolean() if "disable_notifications" in keys else False,
    )


def _read_root(node: Node, receivers: Mapping[str, object]) -> Route:
    """Read the top of the tree, which every alert reaches."""
    keys = node.mapping(_ROUTE)
    for name in ("continue", "match", "match_re", "matchers"):
        if name in keys:
            keys[name].fail("the top route takes every alert; move this to a route below it")
    return _read_route(node, default_route(""), receivers, set())


def _read_route(node: Node, parent: Route, receivers: Mapping[str, object], taken: set[str]) -> Route:
    """Read a node and all below it; ``taken`` are the paths of its elders, which it must not have too."""
    keys = node.mapping(_ROUTE)
    receiver = keys["receiver"].text() if "receiver" in keys else parent.receiver
    if not receiver:
        node.fail("key receiver is missing; name one of receivers")
    elif "receiver" in keys and receivers and receiver not in receivers:
        keys["receiver"].fail(f"no receiver named {receiver!r}; known: {', '.join(sorted(receivers))}")
    matchers = _read_matchers(keys, "")
    base = path = f"{parent.path}/{{{','.join(map(str, matchers))}}}" if taken else parent.path
    for number in itertools.count(2):
        if path not in taken:
            break
        path = f"{base}#{number}"
    taken.add(path)
    group_by = tuple(n.text() for n in keys["group_by"].sequence()) if "group_by" in keys else parent.group_by
    if ALL_LABELS in group_by and len(group_by) > 1:
        keys["group_by"].fail("... means all labels and stands alone")
    route = Route(
        receiver=receiver,
        matchers=matchers,
        continue_=keys["continue"].boolean() if "continue" in keys else False,
        group_by=group_by,
        path=path,
        group_wait=_duration(keys, "group_wait", parent.group_wait),
        group_interval=_positive(keys, "group_interval", parent.group_interval),
        repeat_interval=_positive(keys, "repeat_interval", parent.repeat_interval),
    )
    children = keys["routes"].sequence() if "routes" in keys else []
    return replace(route, routes=tuple(_read_route(child, route, receivers, taken) for child in children))


def _duration(keys: Mapping[str, Node], name: str, fallback: timedelta) -> timedelta:
    return keys[name].duration(fallback) if name in keys else fallback


def _positive(keys: Mapping[str, Node], name: str, fallback: timedelta) -> timedelta:
    """Read a duration that something is done every so often by."""
    given = _duration(keys, name, fallback)
    if given > timedelta():
        return given
    keys[name].fail("must be longer than 0")
    return fallback


def _read_inhibit(node: Node) -> InhibitRule:
    keys = node.mapping(_INHIBIT)
    return InhibitRule(
        source=_read_matchers(keys, "source_"),
        target=_read_matchers(keys, "target_"),
        equal=tuple(n.text() for n in keys["equal"].sequence()) if "equal" in keys else (),
    )


def _read_matchers(keys: Mapping[str, Node], prefix: str) -> tuple[Matcher, ...]:
    """Read ``matchers`` and the older ``match`` and ``match_re``; route and inhibit keys differ in their prefix."""
    found: list[Matcher] = []
    for key, op in ((f"{prefix}match", MatchOp.EQUAL), (f"{prefix}match_re", MatchOp.REGEX)):
        for name, value in keys[key].mapping().items() if key in keys else ():
            try:
                found.append(Matcher(name, op, value.text()))
            except re2.error as exc:
                value.fail(regex_fault(exc, value.text()))
    listed = keys.get(f"{prefix}matchers")
    for node in listed.sequence() if listed is not None else ():
        try:
            found.extend(parse_matchers(node.text()))
        except MatcherError as exc:
            node.fail(str(exc))
    return tuple(found)
