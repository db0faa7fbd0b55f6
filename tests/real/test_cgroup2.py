"""The exporter on a host with cgroup v2 and systemd, which is a virtual machine: what it says against kernel and Docker, moment by moment.

Inside, the kernel's files are read, then the exporter is scraped, then the files are read again; Docker's stats API is asked between
two scrapes. So a counter lies between its neighbours, exactly. A second exporter sees no files at all and lives on the stats API.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.cgroup2 import families, machine
from tests.real.cgroup2.containers import COMPOSE, CONTAINERS, IMAGE, MIB, RUNNING
from tests.real.cgroup2.families import API, ELSEWHERE, EVERYBODY, HOST, KERNEL, QUOTA, UNHURRIED, Row, Values
from tests.real.cgroup2.seen import Page, Seen
from tests.real.lint import complaints

if TYPE_CHECKING:
    from tests.real.conftest import Tool

QUIET = ("idle", "sliced", "paused")
"""Nothing happens in these."""
COLLECTORS = {"docker", "cgroups", "network", "node", "machine", "size", "logs", "images"}
NOT_THE_CONTAINERS = (
    *("container_fs_sector_", "container_fs_reads_merged_", "container_fs_writes_merged_"),
    *("container_fs_io_", "container_fs_read_seconds_", "container_fs_write_seconds_"),
)
"""The kernel counts these for a whole partition only."""
LIMITS = {
    "container_spec_cpu_quota": {"limited": 25_000, "paused": 20_000},
    "container_spec_cpu_period": {name: 0 if name == HOST else 100_000 for name in EVERYBODY},
    "container_spec_cpu_shares": {name: 512 if name == "limited" else 1024 for name in RUNNING},
    "container_spec_memory_limit_bytes": {
        "memory": 64 * MIB,
        "writer": 128 * MIB,
        "oom": 16 * MIB,
        "idle": 0,
    },
    "container_spec_memory_swap_limit_bytes": {"memory": 32 * MIB, "writer": 128 * MIB, "oom": 0, "idle": 0},
    "container_spec_memory_reservation_limit_bytes": {
        name: 32 * MIB if name == "memory" else 0 for name in RUNNING
    },
    "container_threads_max": {"sliced": 50},
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The machine is woken once; everything below looks at what came of it."""
    folder: Path = tmp_path_factory.mktemp("machine")
    raw = machine.visit(folder)
    first, second = raw["scrapes"]
    return Seen(raw, (Page(first), Page(second)), Page(raw["fallback"]["scrape"]))


def test_it_is_what_it_is_meant_to_be(seen: Seen) -> None:
    """Cgroup v2 with systemd, containers that have done what they are there for; otherwise nothing below would mean anything."""
    assert (seen.raw["info"]["CgroupVersion"], seen.raw["info"]["CgroupDriver"]) == ("2", "systemd")
    assert [note for note in seen.raw["notes"] if "NOT" in note] == []
    files = {name: seen.kernel(0, name) for name in EVERYBODY}
    assert all(families.keyed(files[name]["cpu.stat"])["nr_throttled"] > 0 for name in QUOTA)
    assert families.keyed(files["oom"]["memory.events"])["oom_kill"] > 0
    assert families.keyed(files["oom"]["memory.events"])["max"] > 0
    assert families.keyed(files["memory"]["memory.events"])["oom_kill"] == 0
    assert int(files["memory"]["memory.swap.current"]) > 4 * MIB
    assert families.keyed(files["memory"]["memory.stat"])["anon"] > 4 * MIB
    (moved,) = families.devices(files["writer"]).values()
    assert moved["rbytes"] > MIB // 2
    assert moved["wbytes"] > MIB
    assert families.keyed(files["writer"]["memory.stat"])["file_dirty"] > 2 * MIB


@pytest.mark.parametrize("row", KERNEL, ids=lambda row: row.family)
@pytest.mark.parametrize("scrape", [0, 1])
def test_the_kernel_says_the_same(seen: Seen, row: Row, scrape: int) -> None:
    """A counter is between the readings before and after the scrape; a gauge too, give or take 2 % or 1 MiB where something happens."""
    page, wrong = seen.scrapes[scrape], []
    for name in row.who:
        before, after = (row.source(seen.kernel(2 * scrape + moment, name)) for moment in (0, 1))
        found = page.of(row.family, name)
        if not before.keys() <= found.keys() <= after.keys():
            wrong.append(
                f"{name}: kernel has {sorted(before)}, exporter {sorted(found)}, kernel then {sorted(after)}"
            )
        if name in row.compared:
            slack = _slack(name, after, exact=row.counter or row.exact)
            wrong += _differences(name, before, found, after, slack=slack)
    assert not wrong, _told(row.family, wrong)
    assert page.values.get(row.family, {}).keys() <= set(row.who), row.family


def test_every_family_of_a_cadvisor_is_there() -> None:
    """All that a present cAdvisor has, and on cgroup v2 that is all the kernel can tell of a container."""
    names = Path(__file__).with_name("cadvisor_families.txt").read_text().split()
    ours = {row.family for row in KERNEL} | ELSEWHERE.keys() | UNHURRIED
    assert [
        name
        for name in names
        if name.startswith("container_") and not name.startswith(NOT_THE_CONTAINERS) and name not in ours
    ] == ["container_scrape_error"]


def test_nothing_is_left_unchecked(seen: Seen) -> None:
    """Every family with a cgroup's path is in one of the tables, and whoever is not measured has none but the few of the other."""
    page = seen.scrapes[0]
    assert page.with_id == {row.family for row in KERNEL} | ELSEWHERE.keys() | UNHURRIED
    for family, who in ELSEWHERE.items():
        assert page.values[family].keys() == set(who), family
    for family in UNHURRIED:
        assert {HOST} < page.values[family].keys() <= set(EVERYBODY), family


@pytest.mark.parametrize("family", LIMITS)
def test_limits_are_as_given(seen: Seen, family: str) -> None:
    """What Docker was asked for, whatever the kernel's files call it."""
    for page in seen.scrapes:
        found = {name: page.of(family, name).get(()) for name in LIMITS[family]}
        assert found == LIMITS[family]


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_id_is_the_path_of_the_cgroup(seen: Seen, name: str) -> None:
    """As systemd nests it; the exporter that sees no files, and whoever has stopped, have it from Docker's rules."""
    slice_ = "/vakhta.slice/vakhta-test.slice" if name == "sliced" else "/system.slice"
    path = f"{slice_}/docker-{seen.inspect(name)['Id']}.scope"
    labels = {
        f"container_label_{key.replace('.', '_')}": value for key, value in CONTAINERS[name].labels.items()
    }
    identity = {"id": path, "image": IMAGE, **labels}
    assert bool(labels) == (CONTAINERS[name].labels == COMPOSE)
    if name in RUNNING:
        assert seen.kernel(0, name)["path"] == path
    for page in (*seen.scrapes, seen.fallback):
        assert page.identities[name] == {tuple(sorted(identity.items()))}


@pytest.mark.parametrize("name", RUNNING)
def test_times_and_health_are_dockers(seen: Seen, name: str) -> None:
    """Made, started and last seen; no health check."""
    inspected, page = seen.inspect(name), seen.scrapes[0]
    assert page.of("container_start_time_seconds", name) == {
        (): int(_seconds(inspected["State"]["StartedAt"]))
    }
    assert page.of("container_creation_time_seconds", name) == {(): int(_seconds(inspected["Created"]))}
    assert page.of("container_health_state", name) == {(): -1}
    (last_seen,) = page.of("container_last_seen", name).values()
    assert int(seen.raw["kernel"][0]["at"]) <= last_seen <= seen.raw["kernel"][1]["at"]


def test_states_are_dockers(seen: Seen) -> None:
    """Running, paused, exited."""
    expected = dict.fromkeys(CONTAINERS, "running") | {"paused": "paused", "stopped": "exited"}
    for page in (*seen.scrapes, seen.fallback):
        rows = [
            row
            for row in page.text.splitlines()
            if row.startswith("container_state_status{") and row.endswith(" 1")
        ]
        assert len(rows) == len(expected)
        for name, state in expected.items():
            assert any(f'name="{name}"' in row and f'status="{state}"' in row for row in rows), name


def test_oom_kills_are_those_of_the_cgroup(seen: Seen) -> None:
    """Of a child too, whose container lives on; nobody else has any."""
    for number, page in enumerate(seen.scrapes):
        kills = [
            families.keyed(seen.kernel(2 * number + moment, "oom")["memory.events"])["oom_kill"]
            for moment in (0, 1)
        ]
        assert kills[0] <= page.of("container_oom_events_total", "oom")[()] <= kills[1]
        assert all(
            page.of("container_oom_events_total", name) == {(): 0} for name in CONTAINERS if name != "oom"
        )


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("container_cpu_usage_seconds_total", "limited"),
        ("container_cpu_cfs_throttled_seconds_total", "limited"),
        ("container_pressure_cpu_waiting_seconds_total", "limited"),
        ("container_network_transmit_bytes_total", "talker"),
        ("container_network_transmit_packets_total", "hosted"),
        ("container_fs_writes_bytes_total", HOST),
        ("container_cpu_usage_seconds_total", HOST),
    ],
)
def test_what_goes_on_is_seen(seen: Seen, family: str, name: str) -> None:
    """From one scrape to the next."""
    earlier, later = (page.of(family, name) for page in seen.scrapes)
    assert sum(later.values()) > sum(earlier.values()) > 0


@pytest.mark.parametrize("family", API)
def test_docker_stats_says_the_same(seen: Seen, family: str) -> None:
    """Its answer lies between the two scrapes around it; memory give or take 2 % or 1 MiB where something happens."""
    counter, source = API[family]
    wrong = []
    for name in RUNNING:
        earlier, later = (_as_api(page.of(family, name), family) for page in seen.scrapes)
        said = source(seen.raw["stats"][name])
        if not earlier and not any(said.values()):
            continue  # Docker writes 0 where nothing is measured
        if name == "hosted" and "_network_" in family:
            assert not said  # it tells nothing of the host's network
            continue
        if said.keys() != earlier.keys():
            wrong.append(f"{name}: exporter has {sorted(earlier)}, Docker {sorted(said)}")
        slack = _slack(name, later, exact=counter)
        wrong += _differences(name, earlier, said, later, slack=slack, who=("exporter", "Docker"))
    assert not wrong, _told(family, wrong)


@pytest.mark.parametrize("family", API)
def test_the_stats_api_stands_in_for_the_files(seen: Seen, family: str) -> None:
    """The same names and labels, and the values of a moment since it began to ask."""
    counter, _ = API[family]
    (row,) = (row for row in KERNEL if row.family == family)
    wrong = []
    for name in RUNNING:
        before, after = (row.source(files) if name in row.who else {} for files in seen.around_fallback(name))
        found = seen.fallback.of(family, name)
        if name == "hosted" and "_network_" in family:
            before, after = {}, {}  # Docker tells nothing of the host's network
        if not before.keys() <= found.keys() <= after.keys():
            wrong.append(
                f"{name}: files have {sorted(before)}, exporter {sorted(found)}, files then {sorted(after)}"
            )
        slack = _slack(name, after, exact=counter)
        wrong += _differences(name, before, found, after, slack=slack)
    assert not wrong, _told(family, wrong)


def test_what_serves_is_told(seen: Seen) -> None:
    """Every collector succeeds; without files the one that reads them fails, and the stats API is told of."""
    for page in seen.scrapes:
        assert _collectors(page) == dict.fromkeys(COLLECTORS, 1)
    collectors = _collectors(seen.fallback)
    assert {name: collectors.get(name) for name in ("docker", "cgroups", "stats")} == {
        "docker": 1,
        "cgroups": 0,
        "stats": 1,
    }
    absent = (
        "container_pressure_cpu_waiting_seconds_total",
        "container_memory_max_usage_bytes",
        "container_memory_failcnt",
    )
    assert not any(family in seen.fallback.values for family in absent)


def test_the_machine_is_told(seen: Seen) -> None:
    """Two processors, the memory and swap the kernel has, and Docker's driver."""
    page, meminfo = seen.scrapes[0], families.keyed(seen.kernel(0, HOST)["meminfo"])
    said = {
        family: set(page.of(family).values())
        for family in ("machine_cpu_cores", "machine_memory_bytes", "machine_swap_bytes")
    }
    assert said == {
        "machine_cpu_cores": {2},
        "machine_memory_bytes": {meminfo["MemTotal"] * 1024},
        "machine_swap_bytes": {meminfo["SwapTotal"] * 1024},
    }
    ((info,),) = page.values["docker_info"].values()
    expected = {"cgroup_driver": "systemd", "cgroup_version": "2", "version": seen.raw["version"]["Version"]}
    assert expected.items() <= dict(info).items()


def test_promtool_reads_it(seen: Seen, promtool: Tool) -> None:
    """And has no complaints."""
    assert complaints(promtool, seen.scrapes[1].text) == []
    assert complaints(promtool, seen.fallback.text) == []


def test_it_ends_in_good_order(seen: Seen) -> None:
    """Both do, and neither has logged an error."""
    assert seen.raw["codes"] == [0, 0]
    assert [
        line for log in seen.raw["logs"].values() for line in log.splitlines() if "level=error" in line
    ] == []


def _differences(
    name: str,
    before: Values,
    found: Values,
    after: Values,
    *,
    slack: float,
    who: tuple[str, str] = ("kernel", "exporter"),
) -> list[str]:
    """Say of every value that is not between its neighbours whose it is, and all three numbers."""
    outer, inner = who
    wrong = []
    for labels, value in found.items():
        ends = [ends[labels] for ends in (before, after) if labels in ends]
        if not ends:
            continue  # said by the comparison of the labels
        low = min(ends) if labels in before else 0.0
        if not low - slack - 1e-9 <= value <= max(ends) + slack + 1e-9:
            wrong.append(
                f"{name}{dict(labels)}: {outer} {before.get(labels)!r}, {inner} {value!r}, {outer} {after.get(labels)!r}"
            )
    return wrong


def _told(family: str, wrong: list[str]) -> str:
    return "\n".join((family, *wrong))


def _slack(name: str, values: Values, *, exact: bool) -> float:
    if exact or name in QUIET:
        return 0.0
    if name == "oom":
        return 16 * MIB  # its child grows to the limit and is killed, over and over
    return max(0.02 * max(values.values(), default=0.0), MIB)


def _as_api(values: Values, family: str) -> Values:
    """The API does not name devices: all of them together."""
    return {(): sum(values.values())} if values and "_fs_" in family else values


def _collectors(page: Page) -> dict[str, float]:
    return {dict(labels)["collector"]: value for labels, value in page.of("vakhta_collector_success").items()}


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
