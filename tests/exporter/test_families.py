"""The families, against the page that promises them, a golden scrape, and the parsers of others."""

import math
import os
import re
import string
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.cgroups.collector import Readings
from exporter.docker.containers import Health, Status
from exporter.docker.disk import Volume
from exporter.docker.status import DaemonStatus
from exporter.exposition import Renderer, own_registry, wants_openmetrics
from exporter.families import (
    ALL,
    CollectorStatus,
    Family,
    LabelSets,
    MetricType,
    node,
)
from exporter.families.labels import NO_LABELS, LabelSet
from exporter.families.model import Measured
from exporter.host.filesystems import Filesystem, Space
from exporter.host.kernelfiles import CPU_MODES, VMSTAT
from exporter.host.mounts import Mount
from exporter.host.netdev import InterfaceCounters
from exporter.host.network import NetworkReadings
from exporter.host.node import NodeReadings, Uname
from exporter.host.timex import ClockState
from exporter.slow.readings import LayerSize, Partition, SlowReadings
from tests.exporter.cgroups.hosts import Host
from tests.exporter.families.readings import FULL, MACHINE, numbered
from tests.exporter.stories import EPOCH, ID, Story, facts, policy, world_of
from tests.exporter.test_cgroups import FIXTURES, snapshot_of
from tests.size import examples

DOCUMENT = Path(__file__).parents[2] / "docs" / "interfaces.md"
COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
TOLD = {
    "labels": COMPOSE | {"com.docker.compose.project.working_dir": "/srv/shop", "com.docker.compose.project.config_files": "compose.yml"},
    "created_at": EPOCH - 9.0,
    "finished_at": EPOCH - 1.0,
    "image_id": "sha256:77",
    "network_mode": "shop_default",
    "log_driver": "json-file",
}  # fmt: skip
ETH0 = numbered(InterfaceCounters, 700, interface="eth0")
ROOT = Mount(device="/dev/vda1", fstype="ext4", mountpoint="/", path=b"/", readonly=False)
NODE = NodeReadings(
    at=EPOCH + 60.0,
    memory={row.name.removeprefix("node_memory_"): 1024 for row in node.FAMILIES},
    vmstat=dict.fromkeys(VMSTAT, 1),
    load=(0.5, 0.25, 0.125),
    pressure=dict.fromkeys(("cpu_waiting", "memory_waiting", "memory_stalled", "io_waiting", "io_stalled"), 1.5),
    cpu={"0": (1.0,) * len(CPU_MODES)},
    boot_time=EPOCH - 100,
    filesystems=(Filesystem(mount=ROOT, space=numbered(Space, 800)),),
    clock=ClockState(offset_seconds=0.001, maxerror_seconds=0.5, synchronized=True),
    uname=Uname(sysname="Linux", release="6.1.0", version="#1", machine="x86_64", nodename="host-1", domainname="(none)"),
)  # fmt: skip
SLOW = SlowReadings(
    sizes={ID: LayerSize(rw_bytes=900, partition=Partition(device="/dev/vda1", size_bytes=901, inodes=902, inodes_free=903))},
    logs={ID: 904},
    images={"sha256:77": EPOCH - 10_000.0},
    volumes=(Volume(name="shop_data", project="shop", size_bytes=905),),
    taken_at={"size": EPOCH + 30.0},
)  # fmt: skip
EMPTY = CollectorRegistry(auto_describe=False)


def rich_world():
    """Return a world in which every family has samples: three replicas of a service, one stopped for lack of memory, and one container gone."""
    story = Story(facts(name="shop-web-1", health=Health.HEALTHY, **TOLD))
    inventory = story.inventory
    other, gone, third = "aa" * 32, "bb" * 32, "cc" * 32
    inventory.inspected(facts(id=third, name="shop-web-3", labels=COMPOSE), story.now)
    inventory.inspected(facts(id=other, name="shop-web-2", labels=COMPOSE, policy=policy("no")), story.now)
    inventory.inspected(facts(id=gone, name="old", image='say "hi"\\'), story.now)
    story.names |= {other: "shop-web-2", gone: "old"}
    story.play("1 oom\n1.1 die 137", container=other).play(
        "2 kill 9\n2.1 die 137\n2.2 destroy", container=gone
    )
    return world_of(
        inventory.snapshot(EPOCH + 60.0),
        readings=Readings(usage={ID: FULL, third: FULL}, paths={}, host=FULL),
        expected={("shop", "web"): 3},
        machine=MACHINE,
        node=NODE,
        network=NetworkReadings(by_container={ID: (ETH0,)}, host=(ETH0,)),
        slow=SLOW,
    )


def promised():
    """Return the table of docs/interfaces.md: family -> (type, kind, labels beside those of its kind)."""
    section = DOCUMENT.read_text().partition("## 1.")[2].partition("## 2.")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 5:
            for name in re.findall(r"`(\w+)`", cells[0]):
                rows[name] = (
                    cells[1].split()[0],
                    cells[3],
                    set(re.findall(r"`(\w+)(?:=\"\w+\")?`", cells[2])),
                )
    return rows


def test_every_promised_family_is_there_with_its_type():
    """The page and the tables name the same families, with the same types."""
    page = {name: row[0] for name, row in promised().items() if name not in ("process_", "python_")}
    assert {family.name: family.type.value for family in ALL} == page


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_labels_are_the_promised_ones(family):
    """A family's labels are those of its kind and those of the page, and every family can have samples."""
    _, kind, own = promised()[family.name]
    of_kind = {
        "ours": {"name", "project", "service"},
        "cAdvisor": {"id", "image", "name", *re.findall(r"container_label_\w+", DOCUMENT.read_text())},
    }.get(kind, set())
    samples = list(family.samples(rich_world()))
    assert samples
    for base, labels, _ in samples:
        names = {name for name, value in base.labels + labels if value}
        assert names <= of_kind | own
        if base.labels != (("id", "/"),):  # the host itself, among cAdvisor's
            assert (of_kind & {"id", "name"}) <= names


def test_no_series_twice():
    """A duplicate series would be dropped by whoever scrapes."""
    text = Renderer(ALL, EMPTY).render(rich_world(), as_openmetrics=False).decode()
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_the_documented_excerpt():
    """The excerpt on the page is what a scrape says, to the letter."""
    section = DOCUMENT.read_text().partition("Excerpt of a scrape")[2]
    excerpt = re.search(r"```prometheus\n(.*?)```", section, re.DOTALL)[1].splitlines()
    lines = Renderer(ALL, EMPTY).render(rich_world(), as_openmetrics=False).decode().splitlines()
    assert [line for line in excerpt if line not in lines] == []


def golden(name, text):
    """Compare with a golden file; VAKHTA_ACCEPT=1 accepts what there is."""
    path = FIXTURES / name
    if os.environ.get("VAKHTA_ACCEPT"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("version", "recording"), [("cgroup1", "v1"), ("cgroup2", "v2")], ids=["v1", "v2"])
@pytest.mark.parametrize("as_openmetrics", [False, True], ids=["text", "openmetrics"])
def test_golden_scrape(version, recording, as_openmetrics):
    """One whole scrape of a recorded host, both formats."""
    snapshot = snapshot_of(FIXTURES / version)
    readings = Host(recording).collector().collect(snapshot, driver="")
    world = world_of(
        snapshot,
        readings=readings,
        collectors=(
            CollectorStatus(
                name="docker", success=True, duration_seconds=0.25, last_success_at=snapshot.at - 1.5
            ),
            CollectorStatus(name="cgroups", success=False, duration_seconds=0.5, last_success_at=None),
        ),
        host_name="",
    )
    text = Renderer(ALL, EMPTY).render(world, as_openmetrics=as_openmetrics).decode()
    golden(f"{version}.{'om' if as_openmetrics else 'prom'}", text)


def _others(seen):
    """Worlds that differ from this one in one thing each."""
    nothing = Readings(usage={}, paths={}, host=None)
    changes = {
        "at": seen.at + 1000, "containers": (), "published": (), "running": (), "services": {}, "gone": (), "readings": nothing,
        "measured": Measured(), "daemon": DaemonStatus(), "collectors": (), "storage_ok": not seen.storage_ok, "version": "other",
        "expected": {}, "host_name": "other", "network": None, "machine": None, "node": None, "slow": None,
    }  # fmt: skip
    assert changes.keys() == {field.name for field in fields(seen)}
    # These are made at one time: none of them changes alone.
    together = {name: changes[name] for name in ("containers", "published", "running", "services")}
    return [
        replace(seen, **(together if name in together else {name: value})) for name, value in changes.items()
    ]


def _shown(family, world):
    return [(labels.texts[own], value) for labels, own, value in family.samples(world)]


def test_what_families_rest_on_is_all_they_are_made_of():
    """In a world that differs in anything, the samples are the same as long as what they rest on is."""
    seen, compared = rich_world(), set()
    for other in _others(seen):
        for family in ALL:
            if family.rests_on is not None and family.rests_on(seen) == family.rests_on(other):
                assert _shown(family, seen) == _shown(family, other), family.name
                compared.add(family.name)
    assert compared == {family.name for family in ALL if family.rests_on is not None}
    assert len(compared) > 30


def test_texts_are_kept_as_long_as_nothing_happens():
    """The same containers give the same text; others, or a new state, their own."""
    story, renderer, labels = Story(facts()), Renderer(ALL, EMPTY), LabelSets()
    for step in ("", "", "1 die 1", "", "2 start"):
        story.play(step)
        seen = world_of(story.inventory.snapshot(EPOCH + 60.0), labels=labels)
        for as_openmetrics in (False, True):
            fresh = Renderer(ALL, EMPTY).render(seen, as_openmetrics=as_openmetrics)
            assert renderer.render(seen, as_openmetrics=as_openmetrics) == fresh


def test_names_are_the_same_in_both_formats():
    """A sample keeps its name in OpenMetrics, with the type unknown where that would rename it."""
    odd = Family(
        name="container_memory_failcnt",
        type=MetricType.COUNTER,
        help="Odd.",
        samples=lambda _: ((NO_LABELS, (), 3),),
    )
    text = Renderer((odd,), EMPTY).render(rich_world(), as_openmetrics=True).decode()
    assert (
        text
        == "# HELP container_memory_failcnt Odd.\n# TYPE container_memory_failcnt unknown\ncontainer_memory_failcnt 3\n# EOF\n"
    )


def own_name(name):
    """Return the name as we wrote it: that parser adds what a counter lacks."""
    return name if any(family.name == name for family in ALL) else name.removesuffix("_total")


def test_other_parsers_read_it():
    """prometheus_client's strict parsers accept both formats and find the same samples."""
    renderer = Renderer(ALL, own_registry())
    found = {}
    for as_openmetrics, parse in ((False, parse_text), (True, parse_openmetrics)):
        text = renderer.render(rich_world(), as_openmetrics=as_openmetrics).decode()
        samples = [sample for family in parse(text) for sample in family.samples]
        found[as_openmetrics] = {
            (own_name(s.name), tuple(sorted(s.labels.items())))
            for s in samples
            if not s.name.startswith(("process_", "python_"))
        }
    assert found[False] == found[True]
    assert len(found[True]) > 60


_VALUES = st.one_of(
    st.integers(-(2**60), 2**60), st.floats(allow_nan=True, allow_infinity=True), st.booleans()
)
_TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x00"),
    min_size=1,
    max_size=20,
)
_NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=5)


@settings(max_examples=examples(100), deadline=None)
@given(
    samples=st.dictionaries(
        st.frozensets(st.tuples(_NAMES, _TEXTS), min_size=1, max_size=3), _VALUES, max_size=5
    )
)
def test_exposition_parses_back(samples):
    """Whatever labels hold, a parser finds the same labels and values."""
    kept = {tuple(sorted(dict(labels).items())): value for labels, value in samples.items()}
    family = Family(name="law", type=MetricType.GAUGE, help='Text with \\ and\nbreaks "quoted".', samples=lambda _: [(LabelSet(()), labels, value) for labels, value in kept.items()])  # fmt: skip
    for as_openmetrics, parse in ((False, parse_text), (True, parse_openmetrics)):
        text = Renderer((family,), EMPTY).render(rich_world(), as_openmetrics=as_openmetrics).decode()
        found = {
            tuple(sorted(sample.labels.items())): sample.value
            for parsed in parse(text)
            for sample in parsed.samples
        }
        assert found.keys() == kept.keys()
        for labels, value in kept.items():
            assert found[labels] == value or (math.isnan(value) and math.isnan(found[labels]))


def test_label_texts_are_kept_from_one_scrape_to_the_next_only():
    """Texts are not written anew while a container stays, and do not pile up when containers come and go."""
    kept, stays = LabelSets(), Story(facts())
    first, second = (world_of(stays.inventory.snapshot(stays.now), labels=kept) for _ in range(2))
    assert first.containers[0].ours is second.containers[0].ours
    for number in range(5):
        story = Story(facts(name=f"run-{number}"))
        world_of(story.inventory.snapshot(story.now), labels=kept)
        assert len(kept) == 2


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", True),
        ("application/openmetrics-text; q=0.3, text/plain; q=0.4", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=1.2.3", False),
    ],
)
def test_negotiation(accept, wanted):
    """OpenMetrics for whoever prefers it."""
    assert wants_openmetrics(accept) is wanted


def values(name, world):
    """Return the values of a family by its labels' values."""
    (family,) = [family for family in ALL if family.name == name]
    return {
        tuple(value for _, value in base.labels + labels if value): number
        for base, labels, number in family.samples(world)
    }


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0.5, EPOCH, id="now, while it runs"),
        pytest.param(60, EPOCH + 1, id="frozen when it stopped"),
        pytest.param(300, EPOCH + 1, id="for five minutes"),
        pytest.param(302, None, id="and no longer"),
    ],
)
def test_last_seen(seconds, expected):
    """The public alert on container_last_seen has something to fire on."""
    story = Story(facts())
    if seconds > 1:
        story.play("1 die 1")
    found = values("container_last_seen", world_of(story.inventory.snapshot(EPOCH + seconds)))
    assert list(found.values()) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("health", "value"), [(Health.HEALTHY, 1), (Health.STARTING, 0), (Health.UNHEALTHY, 0), (None, -1)]
)
def test_health_state(health, value):
    """CAdvisor's three values, for running containers only."""
    story = Story(facts(health=health))
    assert list(values("container_health_state", world_of(story.inventory.snapshot(story.now))).values()) == [
        value
    ]
    story.play("1 die 1")
    assert values("container_health_state", world_of(story.inventory.snapshot(story.now))) == {}


def test_replicas_of_a_service():
    """One-off containers and temporary names are no replicas; one that was never started is."""
    story = Story()
    for number, (name, changes) in enumerate(
        [
            ("shop-web-1", {}),
            ("shop-web-2", {"status": Status.EXITED, "finished_at": EPOCH - 9.0}),
            ("shop-web-3", {"status": Status.CREATED, "started_at": None}),
            ("shop-web-run-1", {"labels": COMPOSE | {"com.docker.compose.oneoff": "True"}}),
            ("78574a4590bc_shop-web-1", {}),
            ("plain", {"labels": {}}),
        ]
    ):
        story.inventory.inspected(
            facts(id=f"{number:064x}", name=name, **({"labels": COMPOSE} | changes)),
            story.now,
            may_wait=False,
        )
    found = values("compose_service_containers", world_of(story.inventory.snapshot(story.now)))
    assert {key[2]: count for key, count in found.items() if count} == {
        "running": 1,
        "exited": 1,
        "created": 1,
    }
    assert len(found) == len(Status)


def test_the_configured_host_name():
    """The configuration's name of the host wins over the daemon's."""
    world = rich_world()
    assert {key[0] for key in values("docker_info", world)} == {"host-1"}
    assert {key[0] for key in values("docker_info", replace(world, host_name="web-7"))} == {"web-7"}


def test_a_daemon_that_never_answered():
    """Nothing is said of it but that it is down."""
    story = Story()
    world = world_of(story.inventory.snapshot(story.now))
    world = replace(
        world, daemon=replace(world.daemon, up=False, events_connected=False, info=None, confirmed_at=None)
    )
    assert values("docker_up", world) == {(): 0}
    assert values("docker_info", world) == {}
    assert values("vakhta_docker_facts_age_seconds", world) == {}
