"""Every later visit: starts the exporters and writes down what the kernel, Docker and the exporters say. It judges nothing.

visit.py FOLDER: the exporter's source is there, and result.json goes there. The machine's own Python has nothing but its standard library.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

from containers import CONTAINERS, RUNNING
from world import NOTES, docker, inspect, kernel, note, read, until

LIBRARIES: Final = "/libraries"
PORTS: Final = {"files": 9817, "api": 9818}
"""The exporter that reads the kernel's files, and the one that can see none of them."""
NEEDED: Final = ("docker", "cgroups", "network", "node", "size", "logs", "images")


def start_exporter(folder: Path, which: str, *flags: str) -> subprocess.Popen[bytes]:
    """Start one as a person would, beside its log."""
    with Path(f"/tmp/{which}.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "exporter", f"--web.listen-address=127.0.0.1:{PORTS[which]}"),
                *(f"--storage.path=/tmp/{which}", *flags),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": f"{folder}:{LIBRARIES}", "PYTHONDONTWRITEBYTECODE": "1"},
        )


def scrape(which: str) -> str:
    """Scrape once; empty while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", PORTS[which], timeout=30)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError:
        return ""
    finally:
        connection.close()
    return text if answer.status == 200 else ""


def unseen(text: str) -> list[str]:
    """Name the containers a scrape does not have, and the collectors that have not succeeded."""
    rows = {f'name="{name}"' for name in CONTAINERS}
    rows |= {f'vakhta_collector_success{{collector="{name}"}} 1' for name in NEEDED}
    return sorted(row for row in rows if row not in text)


def unmeasured(text: str) -> list[str]:
    """Name the running containers whose usage a scrape does not have."""
    rows = [row for row in text.splitlines() if row.startswith("container_cpu_usage_seconds_total{")]
    return [name for name in RUNNING if not any(f'name="{name}"' in row for row in rows)]


def visit(folder: Path, result: dict[str, Any]) -> None:
    """Do everything."""
    note("the visit begins")
    began = int(time.time())
    empty = Path("/tmp/empty")
    empty.mkdir()
    hidden = (f"--path.cgroupfs={empty}", f"--path.procfs={empty}")
    exporters = [
        start_exporter(folder, "files", "--collector.processes"),
        start_exporter(folder, "api", *hidden),
    ]
    pids = {name: int(inspect(name)["State"]["Pid"]) for name in RUNNING}
    first = kernel(pids)
    until("the exporter sees everybody", lambda: unseen(scrape("files")))
    until("the stats API serves", lambda: unmeasured(scrape("api")))
    result["kernel"], result["scrapes"] = [kernel(pids)], []
    result["scrapes"].append(scrape("files"))
    result["kernel"].append(kernel(pids))
    stats = {
        name: docker("GET", f"/containers/{name}/stats?stream=false&one-shot=true") for name in CONTAINERS
    }
    result["stats"] = {name: answer for name, (answer,) in stats.items()}
    result["kernel"].append(kernel(pids))
    result["scrapes"].append(scrape("files"))
    result["kernel"].append(kernel(pids))
    result["fallback"] = {"first": first, "scrape": scrape("api"), "last": kernel(pids)}
    note("everything is read")
    result["inspect"] = {name: inspect(name) for name in CONTAINERS}
    result["version"], result["info"] = docker("GET", "/version")[0], docker("GET", "/info")[0]
    result["events"] = docker("GET", f"/events?since={began}&until={int(time.time()) + 1}")
    for exporter in exporters:
        exporter.terminate()
    result["codes"] = [exporter.wait(20) for exporter in exporters]


def main() -> int:
    """Write the result, whatever happens."""
    folder, result = Path(sys.argv[1]), {}
    try:
        visit(folder, result)
    except BaseException:
        result["error"] = traceback.format_exc()
        raise
    finally:
        result["notes"] = NOTES
        result["logs"] = {which: read(Path(f"/tmp/{which}.log")) for which in PORTS}
        (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
