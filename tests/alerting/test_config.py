"""alerting.yml: what a good file means, and what is said about each mistake."""

from __future__ import annotations

import textwrap
from datetime import timedelta

import pytest

from alerting.config import DEFAULT_GROUP_BY, SHIPPED_INHIBIT_RULES, Config, exporter_target, read
from alerting.labels import Labels
from alerting.telegram.announce import Chat
from vakhta.yamlnodes import ConfigError


@pytest.fixture
def config(tmp_path):
    """Write a file and read it."""

    def read_text(text):
        path = tmp_path / "alerting.yml"
        path.write_text(textwrap.dedent(text))
        return read(path)

    return read_text


GOOD = """
    global:
      evaluation_interval: 10s
      scrape_interval: 15s
      scrape_timeout: 4s
      telegram_api_url: https://telegram.example/
      telegram_bot_token_file: secrets/token
      timezone: Asia/Almaty
    rule_files: [rules/*.yml, more.yml]
    scrape_configs:
      - job_name: vakhta-exporter
        events_path: /events
        static_configs:
          - targets: [a.example:9817, "b.example:9817"]
            labels: {host: a, rack: "07"}
      - job_name: node
        scheme: https
        metrics_path: /node/metrics
        scrape_interval: 3s
        static_configs:
          - targets: [c.example:9100]
    receivers:
      - name: oncall
        telegram_configs:
          - chat_id: -1001000000001
            message_thread_id: 7
          - chat_id: 777000111
            disable_notifications: true
      - name: nobody
    route:
      receiver: oncall
      group_by: [host, alertname]
      group_wait: 30s
      repeat_interval: 12h
      routes:
        - matchers: ['severity = "info"']
          receiver: nobody
        - match: {team: db}
          match_re: {shift: night|day}
          continue: true
          group_interval: 1m
          routes:
            - matchers: [app=a]
              group_by: [...]
    inhibit_rules:
      - source_matchers: [severity="critical"]
        target_matchers: [severity=~"warning|info"]
        equal: [host]
      - source_match: {alertname: A}
        target_match_re: {alertname: B.*}
"""


def test_a_good_file(config, tmp_path):
    """Everything it says, and defaults for what it does not."""
    found = config(GOOD)
    assert found.evaluation_interval == timedelta(seconds=10)
    assert (found.timezone, found.telegram_api_url) == ("Asia/Almaty", "https://telegram.example")
    assert (found.telegram_token, found.telegram_token_file) == (None, "secrets/token")
    assert (found.rule_files, found.folder) == (("rules/*.yml", "more.yml"), tmp_path)
    assert found.receivers == {
        "oncall": (Chat(chat_id=-1001000000001, thread_id=7), Chat(chat_id=777000111, silent=True)),
        "nobody": (),
    }


def test_targets(config):
    """Each address of each job, its labels and its times."""
    first, second, third = config(GOOD).targets
    assert (first.url, first.events_url) == ("http://a.example:9817/metrics", "http://a.example:9817/events")
    assert first.labels == Labels(
        {"job": "vakhta-exporter", "instance": "a.example:9817", "host": "a", "rack": "07"}
    )
    assert (first.interval, first.timeout) == (timedelta(seconds=15), timedelta(seconds=4))
    assert second.instance == "b.example:9817"
    assert (third.url, third.events_url) == ("https://c.example:9100/node/metrics", "")
    assert (third.interval, third.timeout) == (timedelta(seconds=3), timedelta(seconds=3)), (
        "a scrape ends before the next one"
    )


def test_routes_inherit(config):
    """Each node says everything, as Alertmanager fills it in."""
    root = config(GOOD).route
    info, db = root.routes
    (app,) = db.routes
    assert [route.receiver for route in root.walk()] == ["oncall", "nobody", "oncall", "oncall"]
    assert [route.group_by for route in (root, info, app)] == [
        ("host", "alertname"),
        ("host", "alertname"),
        ("...",),
    ]
    assert [route.group_wait.total_seconds() for route in root.walk()] == [30] * 4
    assert [route.group_interval.total_seconds() for route in root.walk()] == [5, 5, 60, 60]
    assert {route.repeat_interval for route in root.walk()} == {timedelta(hours=12)}
    assert [route.continue_ for route in root.walk()] == [False, False, True, False]
    assert [str(matcher) for matcher in db.matchers] == ['team="db"', 'shift=~"night|day"']
    assert len({route.path for route in root.walk()}) == 4, "a path names its route in the state file"


def test_inhibit_rules_join_the_shipped_ones(config):
    """Matchers in both notations."""
    *shipped, one, two = config(GOOD).inhibit_rules
    assert tuple(shipped) == SHIPPED_INHIBIT_RULES
    assert ([str(m) for m in one.source], one.equal) == (['severity="critical"'], ("host",))
    assert ([str(m) for m in two.target], two.equal) == (['alertname=~"B.*"'], ())


@pytest.mark.parametrize("text", ["", "# only a comment\n", "global:\nroute:\n  receiver: x\n" * 0, "{}"])
def test_an_empty_file_is_the_defaults(config, text):
    """As if there were no file."""
    found = config(text)
    assert (found.route, found.targets, found.inhibit_rules) == (Config().route, (), SHIPPED_INHIBIT_RULES)


def test_the_default_route():
    """One incident per service, host or domain; timing as the design promises."""
    route = Config().route
    assert (route.group_by, route.routes) == (DEFAULT_GROUP_BY, ())
    assert [t.total_seconds() for t in (route.group_wait, route.group_interval, route.repeat_interval)] == [
        0.2,
        5,
        14400,
    ]


def test_without_a_route_the_first_receiver_hears_everything(config):
    """A file that names only whom to tell is enough."""
    assert config("receivers: [{name: b}, {name: a}]").route.receiver == "b"


def test_the_local_exporter():
    """Its stream of events included."""
    target = exporter_target("http://127.0.0.1:9817/")
    assert (target.url, target.events_url) == (
        "http://127.0.0.1:9817/metrics",
        "http://127.0.0.1:9817/events",
    )
    assert target.labels == Labels({"job": "vakhta-exporter", "instance": "127.0.0.1:9817"})


def test_a_pasted_alertmanager_file(config):
    """The sections that mean the same are read as they stand."""
    found = config("""
        route:
          group_by: ['alertname', 'cluster']
          group_wait: 30s
          group_interval: 5m
          repeat_interval: 3h
          receiver: team-X
          routes:
          - matchers:
            - service=~"foo1|foo2|baz"
            receiver: team-X
            routes:
            - matchers:
              - severity="critical"
              receiver: team-Y
        inhibit_rules:
        - source_matchers: [severity="critical"]
          target_matchers: [severity="warning"]
          equal: [alertname, cluster, service]
        receivers:
        - name: 'team-X'
          telegram_configs:
          - chat_id: -100
        - name: 'team-Y'
          telegram_configs:
          - chat_id: -200
    """)
    labels = {"service": "baz", "severity": "critical"}
    assert [route.receiver for route in found.route.match(labels)] == ["team-Y"]


def test_every_route_has_a_path_of_its_own(config):
    """Incidents and their timing are kept by it: equal siblings, and a child without matchers, are others than the rest."""
    root = config("""
        receivers: [{name: a}]
        route:
          receiver: a
          routes:
            - {matchers: [x=y], continue: true, group_interval: 1m}
            - {matchers: [x=y], group_interval: 2m, routes: [{matchers: [z=1]}, {matchers: [z=1]}]}
            - {matchers: [x=y], group_interval: 2m, routes: [{matchers: [z=1]}]}
            - {}
            - {}
    """).route
    paths = [route.path for route in root.walk()]
    assert len(set(paths)) == len(paths) == 9
    assert paths[:3] == ["{}", '{}/{x="y"}', '{}/{x="y"}#2']


R = "receivers: [{name: a}]\n"
BAD = [
    ("an unknown section", "routes: []", "1:1: routes: unknown key, did you mean route?"),
    ("an unknown key", "global: {timezon: UTC}", "1:10: global.timezon: unknown key, did you mean timezone?"),
    ("no mapping at the top", "- a", "1:1: a mapping (key: value lines) is expected here"),
    ("a key twice", "global: {timezone: UTC, timezone: UTC}", "1:25: global.timezone: this key stands twice in the same mapping; remove one"),
    ("no YAML", "route: [", None),
    ("no duration", "global: {evaluation_interval: 5}", "1:31: global.evaluation_interval: not a duration: '5'; write it like 30s, 5m or 1h30m"),
    ("never evaluated", "global: {evaluation_interval: 0s}", "1:31: global.evaluation_interval: must be longer than 0"),
    ("never scraped", "global: {scrape_interval: 0s}\nscrape_configs: []", "1:27: global.scrape_interval: must be longer than 0"),
    ("no such time zone", "global: {timezone: Mars/Base}", "1:20: global.timezone: no such time zone: 'Mars/Base'; use an IANA name like Asia/Almaty"),
    ("a time zone that is a path", "global: {timezone: ../x}", "1:20: global.timezone: no such time zone: '../x'; use an IANA name like Asia/Almaty"),
    ("two tokens", "global: {telegram_bot_token: a, telegram_bot_token_file: b}", "1:58: global.telegram_bot_token_file: telegram_bot_token is set too; keep one of them"),
    ("a list that is none", "rule_files: rules.yml", '1:13: rule_files: a list (lines that start with "- ") is expected here'),
    ("a job without a name", "scrape_configs: [{static_configs: []}]", "1:18: scrape_configs[0]: key job_name is missing"),
    ("a target that is an address with a path", "scrape_configs: [{job_name: n, static_configs: [{targets: ['http://a:1/m']}]}]",
     "1:60: scrape_configs[0].static_configs[0].targets[0]: a target is host:port, not 'http://a:1/m'; put the path into metrics_path"),
    ("a scheme nobody speaks", "scrape_configs: [{job_name: n, scheme: ftp}]", "1:40: scrape_configs[0].scheme: http or https is expected, not 'ftp'"),
    ("a path that is none", "scrape_configs: [{job_name: n, metrics_path: metrics}]", "1:46: scrape_configs[0].metrics_path: a path starts with /, not 'metrics'"),
    ("a stream's path that is none", "scrape_configs: [{job_name: n, events_path: events}]", "1:45: scrape_configs[0].events_path: a path starts with /, not 'events'"),
    ("a receiver without a name", "receivers: [{telegram_configs: []}]", "1:13: receivers[0]: key name is missing or empty"),
    ("two receivers of one name", "receivers: [{name: a}, {name: a}]", "1:24: receivers[1]: a receiver named 'a' stands above; rename one"),
    ("a chat without a number", "receivers: [{name: a, telegram_configs: [{}]}]", "1:42: receivers[0].telegram_configs[0]: key chat_id is missing; `alertctl telegram setup` finds it"),
    ("a chat by name", "receivers: [{name: a, telegram_configs: [{chat_id: '@ops'}]}]", "1:52: receivers[0].telegram_configs[0].chat_id: a whole number is expected, not '@ops'"),
    ("a misspelt section of a receiver", "receivers: [{name: a, telegram_config: []}]", "1:23: receivers[0].telegram_config: unknown key, did you mean telegram_configs?"),
    ("neither true nor false", "receivers: [{name: a, telegram_configs: [{chat_id: 1, disable_notifications: yes}]}]",
     "1:78: receivers[0].telegram_configs[0].disable_notifications: true or false is expected, not 'yes'"),
    ("a route to nobody", "route: {group_wait: 1s}", "1:8: route: key receiver is missing; name one of receivers"),
    ("a route to somebody unknown", R + "route: {receiver: b}", "2:19: route.receiver: no receiver named 'b'; known: a"),
    ("an unknown receiver is told once, not by each child", R + "route: {receiver: b, routes: [{matchers: [x=y]}]}", "2:19: route.receiver: no receiver named 'b'; known: a"),
    ("an unknown receiver below", R + "route: {receiver: a, routes: [{receiver: c}]}", "2:42: route.routes[0].receiver: no receiver named 'c'; known: a"),
    ("matchers at the top", R + "route: {receiver: a, matchers: [x=y]}", "2:32: route.matchers: the top route takes every alert; move this to a route below it"),
    ("continue at the top", R + "route: {receiver: a, continue: true}", "2:32: route.continue: the top route takes every alert; move this to a route below it"),
    ("no matcher", R + "route: {receiver: a, routes: [{matchers: [x]}]}", "2:43: route.routes[0].matchers[0]: not a matcher: 'x'; write it like severity=\"critical\" or team=~\"db|web\""),
    ("a broken regular expression", R + "route: {receiver: a, routes: [{match_re: {x: '('}}]}", "2:46: route.routes[0].match_re.x: not a valid regular expression: '(': missing )"),
    ("all labels and one more", R + "route: {receiver: a, group_by: [..., x]}", "2:32: route.group_by: ... means all labels and stands alone"),
    ("sounds without a pause", R + "route: {receiver: a, group_interval: 0s}", "2:38: route.group_interval: must be longer than 0"),
    ("a reminder without end", R + "route: {receiver: a, repeat_interval: 0s}", "2:39: route.repeat_interval: must be longer than 0"),
    ("an inhibit rule's misspelt key", "inhibit_rules: [{source_matcher: [a=b]}]", None),
    ("an inhibit rule's matcher", "inhibit_rules: [{source_matchers: ['a b']}]", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_mistake(config, tmp_path, text, message):
    """One mistake, one line: file, line, column, key, fault and remedy."""
    with pytest.raises(ConfigError) as caught:
        config(text)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "alerting.yml")
    assert message is None or str(caught.value) == f"{tmp_path}/alerting.yml:{message}"


def test_all_mistakes_at_once(config):
    """Nobody has to start the program once per mistake."""
    with pytest.raises(ConfigError) as caught:
        config("""
            global: {timezone: Mars, nothing: 1}
            route: {receiver: x, group_wait: soon}
            receivers: [{name: a}]
            scrape_configs: [{}]
        """)
    assert [problem.key for problem in caught.value.problems] == [
        "global.nothing",
        "global.timezone",
        "scrape_configs[0]",
        "route.receiver",
        "route.group_wait",
    ]


def test_a_token_in_the_file_is_never_shown(config):
    """Not in the record, whatever prints it."""
    found = config("global: {telegram_bot_token: '123456:secret'}")
    assert found.telegram_token.reveal() == "123456:secret"
    assert "secret'" not in repr(found)
    assert "123456" not in repr(found)


def test_a_missing_file(tmp_path):
    """A file that was named has to be there."""
    with pytest.raises(ConfigError, match="no such file; check the path"):
        read(tmp_path / "none.yml")
