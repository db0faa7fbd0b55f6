"""What the daemon says about disks and images, and how it is asked."""

import contextlib
import json

import pytest
from aiohttp import web

from exporter.docker.disk import Layer, Volume, created_of_image, layer_of_inspect, volumes_of_usage
from exporter.docker.engine import DockerEngine
from exporter.errors import ContainerGoneError, DockerForbiddenError

ROOT = "/var/lib/docker"
OVERLAY = {"Name": "overlay2", "Data": {"UpperDir": f"{ROOT}/overlay2/f00/diff"}}
RESOLV = f"{ROOT}/containers/4f0c/resolv.conf"


@pytest.mark.parametrize(
    ("raw", "layer"),
    [
        pytest.param(
            {"SizeRw": 12, "SizeRootFs": 900, "GraphDriver": OVERLAY},
            Layer(rw_bytes=12, path=f"{ROOT}/overlay2/f00/diff"),
            id="overlay2 says where",
        ),
        pytest.param(
            {"SizeRw": 0, "GraphDriver": {"Name": "vfs", "Data": None}, "ResolvConfPath": RESOLV},
            Layer(rw_bytes=0, path=ROOT),
            id="vfs is below the daemon's folder",
        ),
        pytest.param(
            {"SizeRw": 5, "GraphDriver": {"Name": "zfs", "Data": {}}, "ResolvConfPath": RESOLV},
            Layer(rw_bytes=5),
            id="zfs has datasets of its own",
        ),
        pytest.param(
            {"SizeRw": 5, "GraphDriver": None, "ResolvConfPath": RESOLV},
            Layer(rw_bytes=5),
            id="containerd's image store says nothing",
        ),
        pytest.param({"SizeRw": -1}, Layer(rw_bytes=None), id="it could not measure"),
        pytest.param(
            {"GraphDriver": {"Name": "vfs"}, "ResolvConfPath": ""}, Layer(rw_bytes=None), id="nothing is said"
        ),
    ],
)
def test_layer(raw, layer):
    """The size of a writable layer and where it is."""
    assert layer_of_inspect(raw) == layer


def test_volumes():
    """Those with a size; `-1` is a driver that cannot tell."""
    raw = {
        "Volumes": [
            {
                "Name": "shop_data",
                "Labels": {"com.docker.compose.project": "shop"},
                "UsageData": {"Size": 9, "RefCount": 1},
            },
            {"Name": "plain", "Labels": None, "UsageData": {"Size": 0, "RefCount": 0}},
            {"Name": "nfs", "UsageData": {"Size": -1, "RefCount": 1}},
            {"Name": "unmeasured", "UsageData": None},
        ]
    }
    assert volumes_of_usage(raw) == (
        Volume(name="shop_data", project="shop", size_bytes=9),
        Volume(name="plain", project="", size_bytes=0),
    )
    assert volumes_of_usage({"Volumes": None}) == ()


@pytest.mark.parametrize(
    ("created", "at"),
    [
        pytest.param("2026-09-21T14:13:20.5Z", 1_790_000_000.5, id="a date"),
        pytest.param("2026-09-21T16:13:20+02:00", 1_790_000_000.0, id="with a zone"),
        pytest.param("2026-09-21T14:13:20.123456789Z", 1_790_000_000.123456, id="with nanoseconds"),
        pytest.param("0001-01-01T00:00:00Z", None, id="Docker's zero time"),
        pytest.param("1970-01-01T00:00:00Z", None, id="built reproducibly"),
        pytest.param("1980-01-01T00:00:01Z", None, id="built by a buildpack"),
        pytest.param("", None, id="none"),
        pytest.param("soon", None, id="no date"),
    ],
)
def test_image_date(created, at):
    """Dates before there was Docker are made up."""
    assert created_of_image({"Created": created}) == at


@contextlib.asynccontextmanager
async def daemon(path, answers):
    """Answer questions by path and query (`/v1.45` left out), and yield the list of what was asked."""
    asked = []

    async def answer(request):
        question = request.path_qs.removeprefix("/v1.45")
        if question == "/version":
            return web.json_response({"ApiVersion": "1.45", "MinAPIVersion": "1.24"})
        asked.append(question)
        status, body = answers[question]
        return web.Response(status=status, text=json.dumps(body), content_type="application/json")

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    engine = DockerEngine(f"unix://{path}")
    try:
        yield engine, asked
    finally:
        await engine.close()
        await runner.cleanup()


async def test_questions_and_answers(tmp_path):
    """Each is asked with the parameters that make it as cheap as it can be."""
    answers = {
        "/containers/4f0c/json?size=1": (200, {"SizeRw": 12, "GraphDriver": OVERLAY}),
        "/images/sha256:77/json": (200, {"Created": "2026-09-21T14:13:20Z"}),
        "/images/sha256:78/json": (404, {"message": "No such image: sha256:78"}),
        "/system/df?type=volume": (200, {"Volumes": [{"Name": "v", "UsageData": {"Size": 1}}]}),
    }
    async with daemon(tmp_path / "docker.sock", answers) as (engine, asked):
        layer = await engine.size_of("4f0c", seconds=5)
        assert layer == Layer(rw_bytes=12, path=f"{ROOT}/overlay2/f00/diff")
        assert await engine.image_created("sha256:77", seconds=5) == 1_790_000_000
        assert await engine.image_created("sha256:78", seconds=5) is None
        assert await engine.volumes(seconds=5) == (Volume(name="v", project="", size_bytes=1),)
    assert asked == list(answers)


async def test_refusals(tmp_path):
    """They are the engine's own errors."""
    answers = {
        "/containers/4f0c/json?size=1": (404, {"message": "No such container: 4f0c"}),
        "/system/df?type=volume": (403, {"message": "no"}),
    }
    async with daemon(tmp_path / "docker.sock", answers) as (engine, _):
        with pytest.raises(ContainerGoneError):
            await engine.size_of("4f0c", seconds=5)
        with pytest.raises(DockerForbiddenError, match="let the socket proxy pass it"):
            await engine.volumes(seconds=5)
