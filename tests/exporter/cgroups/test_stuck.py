"""A file that does not answer costs what it is about, in every scrape, and nothing else."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.exporter.cgroups.hosts import CONTAINERS, DISK, OOM, WEB, Host

PATIENCE = 30.0


class Silent:
    """A file of /proc that does not answer until it is told to.

    Args:
        path: A file with sound content.
    """

    def __init__(self, path):
        self._path = path
        self._content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        self._end = None

    def wait(self):
        """Wait until somebody reads it."""
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(os.open, self._path, os.O_WRONLY)
            try:
                self._end = opening.result(PATIENCE)
            except TimeoutError:
                os.close(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK))
                raise

    def answer(self):
        """Answer whoever waits, and everybody from now on."""
        self._path.unlink()
        self._path.write_bytes(self._content)
        os.write(self._end, self._content)
        os.close(self._end)


@contextlib.contextmanager
def stuck(collector, snapshot, silent):
    """Run a collection into a silent file; its thread ends with the file's answer."""
    thread = threading.Thread(target=collector.collect, args=(snapshot,), kwargs={"driver": "systemd"})
    thread.start()
    silent.wait()
    try:
        yield
    finally:
        silent.answer()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def process(host, container):
    """Return the file that tells where a container's cgroup is."""
    return host.folder / "proc" / str(CONTAINERS["v2"][container][1]) / "cgroup"


@pytest.mark.parametrize("container", [WEB, DISK, OOM])
def test_a_container_that_does_not_answer(container, tmp_path):
    """The host and all containers before it are told of at once, and from the next time on all but it."""
    host = Host.copy("v2", tmp_path)
    whole = host.collect()
    collector = host.collector()
    path = process(host, container)
    with stuck(collector, host.snapshot, Silent(path)):
        readings = collector.so_far()
        ids = [view.id for view in host.snapshot.containers]
        assert list(readings.usage) == ids[: ids.index(container)]
        assert readings.host == whole.host
        assert readings.paths.keys() == whole.paths.keys()
        sentence = (
            f"container {host.name(container)}: {path}: it does not answer; see `dmesg` for tasks that hang"
        )
        assert readings.faults == {"cgroups": sentence}
        for _ in range(3):
            readings = collector.collect(host.snapshot, driver="systemd")
            assert readings.usage == {key: value for key, value in whole.usage.items() if key != container}
            assert readings.host == whole.host
            assert readings.faults == {"cgroups": sentence}
    assert collector.collect(host.snapshot, driver="systemd") == whole
    assert list(collector.collect(host.snapshot, driver="systemd").usage) == ids


def test_the_one_that_hung_is_read_last(tmp_path):
    """When it hangs again, with its next process, all the others have been read."""
    host = Host.copy("v2", tmp_path)
    collector = host.collector()
    first, *others = host.snapshot.containers
    with stuck(collector, host.snapshot, Silent(process(host, first.id))):
        assert len(collector.so_far().usage) == 0
    restarted = replace(host.snapshot, containers=(replace(first, pid=999), *others))
    process(host, first.id).parent.rename(host.folder / "proc" / "999")
    with stuck(collector, restarted, Silent(host.folder / "proc" / "999" / "cgroup")):
        assert collector.so_far().usage.keys() == {view.id for view in others}


def test_a_host_that_does_not_answer(tmp_path):
    """Its containers are told of from the next time on."""
    host = Host.copy("v2", tmp_path)
    whole = host.collect()
    path = host.file("cpu.stat")
    sound = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    collector = host.collector()
    for _ in range(1000):
        thread = threading.Thread(target=collector.collect, args=(host.snapshot,), kwargs={"driver": ""})
        thread.start()
        thread.join(0.02)
        if collector.so_far().faults:
            break
    readings = collector.collect(host.snapshot, driver="")
    assert readings.usage == whole.usage
    assert readings.host is None
    assert readings.faults == {"host": f"host: {path}: it does not answer; see `dmesg` for tasks that hang"}
    os.close(os.open(path, os.O_WRONLY))
    thread.join(PATIENCE)
    path.unlink()
    path.write_bytes(sound)
    assert collector.collect(host.snapshot, driver="") == whole


def test_nothing_is_told_twice(tmp_path):
    """What was read before a collection got stuck is old by the next scrape."""
    host = Host.copy("v2", tmp_path)
    collector = host.collector()
    assert collector.so_far().usage == {}
    with stuck(collector, host.snapshot, Silent(process(host, host.snapshot.containers[-1].id))):
        assert len(collector.so_far().usage) == 2
        again = collector.so_far()
        assert (again.usage, again.host) == ({}, None)
        assert again.paths.keys() == {view.id for view in host.snapshot.containers}
        assert list(again.faults) == ["cgroups"]


def test_a_collection_that_ended_in_the_last_moment():
    """All of it is told."""
    host = Host("v2")
    collector = host.collector()
    whole = collector.collect(host.snapshot, driver="systemd")
    assert collector.so_far() == whole
    assert collector.collect(host.snapshot, driver="systemd") == whole


def test_the_number_of_threads_that_may_be_lost_is_bounded(tmp_path):
    """When one file after the other does not answer, none is tried any more until some have."""
    host = Host.copy("v2", tmp_path)
    pattern = host.snapshot.containers[0]
    views = tuple(replace(pattern, id=f"{number:064}", pid=1000 + number) for number in range(9))
    snapshot = replace(host.snapshot, containers=views)
    collector = host.collector()
    with contextlib.ExitStack() as stack:
        for view in views:
            path = host.folder / "proc" / str(view.pid) / "cgroup"
            path.parent.mkdir()
            path.write_text(f"0::/system.slice/docker-{view.id}.scope\n")
            if view is not views[-1]:
                stack.enter_context(stuck(collector, snapshot, Silent(path)))
                assert collector.so_far().host is not None
        readings = collector.collect(snapshot, driver="")
        assert readings.host is None
        assert readings.faults == {
            "cgroups": "8 reads of cgroups have not returned; see `dmesg` for tasks that hang"
        }
    assert collector.collect(snapshot, driver="").host is not None
