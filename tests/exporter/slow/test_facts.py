"""The background at work, in virtual time: no test waits."""

import asyncio
import itertools
import logging

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.docker.containers import Status
from exporter.docker.disk import Volume
from exporter.errors import ContainerGoneError, DockerAbsentError, DockerTimeoutError
from exporter.slow.facts import FACTS, SlowFacts
from tests.exporter.slow.virtual import EPOCH, Host, ScriptedEngine, clocks, container, in_virtual_time
from tests.size import examples


def test_what_is_known_after_a_minute():
    """Sizes and image dates of every container; volumes are not asked for unless somebody wants them."""

    async def play():
        async with Host("web", "database") as host:
            await asyncio.sleep(60)
            known = host.slow.readings()
            assert {key: size.rw_bytes for key, size in known.sizes.items()} == {"web": 3, "database": 8}
            assert known.images == {"sha256:web": 1.7e9, "sha256:database": 1.7e9}
            assert (known.volumes, host.engine.volume_calls) == ((), 0)
            assert [status.name for status in host.slow.statuses()] == ["size", "logs", "images"]
            assert all(status.success for status in host.slow.statuses())

    in_virtual_time(play())


def test_schedules():
    """Sizes every five minutes, an image once a day, whatever else goes on."""

    async def play():
        async with Host("web") as host:
            await asyncio.sleep(86_400 + 60)
            times = host.asked("web")
            assert all(abs(later - sooner - 300) < 1 for sooner, later in itertools.pairwise(times))
            assert len(times) == 289
            assert host.engine.images == ["sha256:web"] * 2

    in_virtual_time(play())


def test_containers_share_the_question_about_their_image():
    """One question per image, and another only for another image; one without a believable date is not asked again and again."""

    async def play():
        async with Host() as host:
            host.views = {
                name: container(name, image_id=image)
                for name, image in (("a", "sha256:one"), ("b", "sha256:one"), ("c", "sha256:dateless"))
            }
            await asyncio.sleep(60)
            assert host.slow.readings().images == {"sha256:one": 1.7e9}
            host.views["b"] = container("b", image_id="sha256:two")
            await asyncio.sleep(60)
            assert sorted(host.engine.images) == ["sha256:dateless", "sha256:one", "sha256:two"]
            assert host.status("images").success

    in_virtual_time(play())


def test_volumes_when_wanted():
    """Once an hour, in the order of names."""

    async def play():
        one, two = (Volume(name=name, project="", size_bytes=size) for name, size in (("a", 1), ("b", 2)))
        engine = ScriptedEngine()
        engine.measured = (two, one)
        async with Host(engine=engine, enabled=frozenset(FACTS)) as host:
            await asyncio.sleep(2 * 3600 + 60)
            assert host.slow.readings().volumes == (one, two)
            assert engine.volume_calls == 3

    in_virtual_time(play())


def test_a_fact_that_hangs_holds_up_no_other_fact():
    """Volumes never answer; sizes and images do not notice, and the collector says so."""

    async def play():
        engine = ScriptedEngine({"volumes": None})
        async with Host("web", engine=engine, enabled=frozenset(FACTS)) as host:
            await asyncio.sleep(1500)
            assert len(host.asked("web")) == 5
            assert not host.status("volumes").success
            assert (host.status("volumes").last_success_at, host.status("volumes").duration_seconds) == (
                None,
                601,
            )
            assert host.status("size").success
            assert engine.volume_calls == 1

    in_virtual_time(play())


def test_a_container_that_hangs_delays_no_other():
    """It is given up after its time and asked ever more rarely; the others keep their interval."""

    async def play():
        engine = ScriptedEngine({"stuck": None})
        async with Host("stuck", "a", "b", engine=engine) as host:
            await asyncio.sleep(86_400)
            for name in "ab":
                times = host.asked(name)
                assert len(times) == 288
                assert all(abs(later - sooner - 300) < 1 for sooner, later in itertools.pairwise(times))
            assert 15 <= len(host.asked("stuck")) <= 30
            assert set(host.slow.readings().sizes) == {"a", "b"}
            assert not host.status("size").success

    in_virtual_time(play())


def test_a_value_that_cannot_be_renewed_stays_and_ages():
    """What was known is better than nothing, and its age is told: that of the oldest value."""

    async def play():
        async with Host("a", "b") as host:
            await asyncio.sleep(10)
            host.engine.seconds["a"] = None
            await asyncio.sleep(1000)
            known = host.slow.readings()
            assert set(known.sizes) == {"a", "b"}
            assert EPOCH <= known.taken_at["size"] < EPOCH + 1
            host.engine.seconds["a"] = 0.01
            await asyncio.sleep(2000)
            assert host.slow.readings().taken_at["size"] > EPOCH + 2000
            assert host.status("size").success

    in_virtual_time(play())


def test_what_is_read_does_not_change():
    """A scrape may take its time with it."""

    async def play():
        async with Host("a") as host:
            await asyncio.sleep(10)
            known = host.slow.readings()
            host.views.clear()
            await asyncio.sleep(60)
            assert (set(known.sizes), set(host.slow.readings().sizes)) == ({"a"}, set())

    in_virtual_time(play())


def test_a_container_that_is_gone_is_no_failure():
    """The daemon no longer knows one that the next look will miss."""

    async def play():
        async with Host("a") as host:
            await asyncio.sleep(10)
            host.engine.faults["a"] = ContainerGoneError("no such container")
            await asyncio.sleep(600)
            assert host.slow.readings().sizes == {}
            assert host.status("size").success

    in_virtual_time(play())


def test_a_daemon_that_is_not_there_is_tried_once_a_minute():
    """Not once per container; an hour later everything is asked within a minute of its return."""

    async def play():
        names = [f"web-{number}" for number in range(50)]
        async with Host(*names) as host:
            absent = DockerAbsentError("Docker is not running")
            host.engine.faults.update(dict.fromkeys(names, absent))
            await asyncio.sleep(3600)
            assert len(host.engine.calls) <= 2 * 61
            assert not host.status("size").success
            host.engine.faults.clear()
            await asyncio.sleep(70)
            assert set(host.slow.readings().sizes) == set(names)
            assert host.status("size").success

    in_virtual_time(play())


def test_an_answer_that_comes_after_the_removal_is_dropped():
    """At once, not at the next look."""

    async def play():
        async with Host("a", engine=ScriptedEngine({"a": 21.0})) as host:
            await asyncio.sleep(1)
            host.views.clear()
            await asyncio.sleep(21)
            assert len(host.engine.calls) == 1
            assert host.slow.readings().sizes == {}

    in_virtual_time(play())


def test_one_that_never_ran_has_no_size():
    """It has no series."""

    async def play():
        async with Host() as host:
            host.views["new"] = container("new", status=Status.CREATED, started_at=None)
            await asyncio.sleep(60)
            assert host.engine.calls == []

    in_virtual_time(play())


def test_a_fault_is_logged_when_it_begins_and_ends(caplog):
    """Not at every attempt, and not for every container."""
    caplog.set_level(logging.INFO, logger="exporter.slow.fact")

    async def play():
        async with Host("a", "b") as host:
            fault = DockerTimeoutError("Docker did not answer")
            host.engine.faults.update({"a": fault, "b": fault})
            await asyncio.sleep(1000)
            host.engine.faults.clear()
            await asyncio.sleep(5000)

    in_virtual_time(play())
    assert [(record.getMessage(), record.facts["fact"]) for record in caplog.records] == [
        ("a slow fact cannot be collected", "size"),
        ("the slow fact can be collected again", "size"),
    ]
    assert caplog.records[0].facts["error"] == "Docker did not answer"


def test_whatever_goes_wrong_with_one_container_costs_only_it(caplog):
    """A mistake of ours too: it is logged whole, and collecting goes on."""

    async def play():
        async with Host("a", "b") as host:
            host.engine.faults["a"] = KeyError("SizeRw")
            await asyncio.sleep(400)
            assert set(host.slow.readings().sizes) == {"b"}
            assert len(host.asked("b")) == 2

    in_virtual_time(play())
    assert any(record.exc_info for record in caplog.records)


def test_a_look_that_fails_ends_nothing(caplog):
    """The next look is made; places of calls that were under way are given back."""

    async def play():
        engine, looks = ScriptedEngine({"a": 7.0, "b": 7.0}), []
        host = Host("a", "b", engine=engine)

        def snapshot():
            looks.append(1)
            if len(looks) == 2:
                raise RuntimeError("inventory")
            return host.snapshot()

        host.slow = SlowFacts(engine, snapshot, clocks=clocks())
        async with host:
            await asyncio.sleep(1000)
            assert set(host.slow.readings().sizes) == {"a", "b"}

    in_virtual_time(play())
    assert any(record.exc_info for record in caplog.records)


def test_stopping_while_everything_hangs():
    """It ends at once, and so do the calls."""

    async def play():
        engine = ScriptedEngine({"a": None, "b": None, "volumes": None, "sha256:a": None})
        async with Host("a", "b", engine=engine, enabled=frozenset(FACTS)):
            await asyncio.sleep(10)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == began
        assert len(engine.calls) == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_virtual_time(play())


def test_logs_are_added_up_from_their_files(tmp_path):
    """Below the root; what cannot be seen from here is no failure, has no status, and says why."""

    async def play():
        folder = tmp_path / "docker/containers/a"
        folder.mkdir(parents=True)
        (folder / "a-json.log").write_bytes(b"x" * 100)
        async with Host("b", rootfs=tmp_path) as host:
            host.views["a"] = container("a", log_path="/docker/containers/a/a-json.log")
            await asyncio.sleep(1)
            assert (host.slow.readings().logs, host.slow.hidden()) == ({"a": 100}, "")
            last, removed = host.views.pop("b"), host.views.pop("a")
            host.views["b"] = container("b", log_path="/docker/containers/b/b-json.log")
            await asyncio.sleep(5)
            assert host.slow.readings().logs == {}, "its log was looked at before its removal, and not since"
            host.views.update(a=removed, b=last)
            (folder / "a-json.log.1").write_bytes(b"x" * 1000)
            await asyncio.sleep(31)
            assert host.slow.readings().logs == {"a": 1100}
            assert host.status("logs").success
            for file in (folder / "a-json.log", folder / "a-json.log.1"):
                file.unlink()
            folder.rmdir()
            folder.parent.rmdir()
            await asyncio.sleep(31)
            assert host.slow.readings().logs == {}
            assert "mount" in host.slow.hidden()
            assert "logs" not in {status.name for status in host.slow.statuses()}
            del host.views["a"]
            await asyncio.sleep(31)
            assert host.slow.hidden() == ""
            assert "logs" in {status.name for status in host.slow.statuses()}

    in_virtual_time(play())


def test_a_log_folder_that_is_broken_is_a_failure(tmp_path):
    """It is there and cannot be read."""

    async def play():
        (tmp_path / "a").write_text("no folder")
        async with Host(rootfs=tmp_path) as host:
            host.views["a"] = container("a", log_path="/a/a-json.log")
            await asyncio.sleep(1)
            assert not host.status("logs").success
            assert host.slow.hidden() == ""

    in_virtual_time(play())


_NAMES = st.sampled_from("abcdef")
_STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 400.0),
        st.sampled_from(["add", "remove", "hang", "answer", "slow", "fail"]),
        _NAMES,
    ),
    max_size=15,
)


@settings(max_examples=examples(25), deadline=None)
@given(steps=_STEPS)
def test_laws_of_any_life(steps):
    """Never more than two measurements at once; what was removed is forgotten at the next look; what answers is known in the end."""

    async def play():
        async with Host() as host:
            engine = host.engine
            for pause, action, name in steps:
                await asyncio.sleep(pause)
                match action:
                    case "add":
                        host.views[name] = container(name)
                    case "remove":
                        host.views.pop(name, None)
                    case "hang":
                        engine.seconds[name] = None
                    case "slow":
                        engine.seconds[name] = 20.0
                    case "fail":
                        engine.faults[name] = DockerTimeoutError("no")
                    case "answer":
                        engine.seconds.pop(name, None)
                        engine.faults.pop(name, None)
                there = set(host.views)
                await asyncio.sleep(5.1)
                known = host.slow.readings()
                assert set(known.sizes) <= there
                assert set(known.images) <= {f"sha256:{each}" for each in there}
            assert engine.most <= 2
            await asyncio.sleep(8000)
            bad = {name for name, seconds in engine.seconds.items() if seconds is None} | set(engine.faults)
            assert set(host.views) - bad <= set(host.slow.readings().sizes) <= set(host.views)
            assert host.status("size").success == (not bad & set(host.views))
            host.views.clear()
            await asyncio.sleep(5.1)
            empty = host.slow.readings()
            assert not (empty.sizes)
            assert not (empty.images)
            assert not (empty.logs)
            assert not (empty.taken_at)

    in_virtual_time(play())
