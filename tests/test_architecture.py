"""Which module may import which: data flows one way, and what decides has no way to wait, read a clock or talk."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("vakhta", "exporter", "alerting")

# Rooms of alerting from left to right; a room imports only what stands to its left.
ROOMS = (
    ("alerting.labels", "alerting.state"),
    ("alerting.alerts",),
    ("alerting.promql",),
    ("alerting.window", "alerting.templates"),
    ("alerting.scrape",),
    ("alerting.rules",),
    ("alerting.dispatch",),
    ("alerting.telegram",),
    ("alerting.config", "alerting.console", "alerting.own", "alerting.sight", "alerting.web"),
    ("alerting.service", "alerting.reload"),
    ("alerting.__main__",),
    ("alerting.ctl",),
)
# Who may write to the state file.
STATE_USERS = ("alerting.dispatch", "alerting.telegram", "alerting.rules.persist", "alerting.service", "alerting.reload",
               "alerting.web", "alerting.ctl", "alerting.__main__")  # fmt: skip

FORBIDDEN = {
    "asyncio",
    "time",
    "socket",
    "os",
    "sqlite3",
    "logging",
    "aiohttp",
    "threading",
    "subprocess",
    "random",
    "secrets",
}
PURE = (
    "alerting.labels",
    "alerting.alerts",
    "alerting.dispatch.incident",
    "alerting.dispatch.route",
    "alerting.dispatch.inhibit",
    "alerting.dispatch.relabel",
    "alerting.dispatch.matchers",
    "alerting.dispatch.codec",
    "alerting.rules.state",
    "alerting.rules.ending",
    "alerting.rules.model",
    "alerting.telegram.render",
    "alerting.telegram.wording",
    "alerting.telegram.html",
    "alerting.telegram.limiter",
    "alerting.telegram.draft",
    "alerting.telegram.compose",
    "alerting.promql",
    "alerting.window.window",
    "alerting.scrape.exposition",
    "exporter.cgroups.usage",
    "exporter.details.answer",
    "exporter.docker.compose",
    "exporter.docker.disk",
    "exporter.docker.events",
    "exporter.docker.exits",
    "exporter.docker.inventory",
    "exporter.docker.life",
    "exporter.docker.stats",
    "exporter.memory",
    "exporter.slow.readings",
    "exporter.slow.rotation",
    "exporter.slow.schedule",
    "vakhta.durations",
    "vakhta.yamlnodes",
)  # fmt: skip
# Pure modules that use a forbidden one, each with its reason.
EXCUSED = {("alerting.promql.remote", "aiohttp"): "the edge where a query leaves for another server"}


def name_of(path):
    """Return a module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(node, module, *, package):
    """Return what an import statement names, as dotted names of modules (or of what they hold)."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = module.split(".") if package else module.split(".")[:-1]
    prefix = ".".join(base[: len(base) - node.level + 1]) if node.level else ""
    start = ".".join(part for part in (prefix, node.module) if part)
    return [f"{start}.{alias.name}" for alias in node.names]


MODULES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


FOR_THE_CHECKER = {
    name: {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for name, tree in TREES.items()
}


def imports(module, *, at_run_time=False):
    """Return every module this one imports, wherever the statement stands; perhaps only what is imported when it runs."""
    package = MODULES[module].name == "__init__.py"
    found = set()
    for node in ast.walk(TREES[module]):
        if at_run_time and node in FOR_THE_CHECKER[module]:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(absolute(node, module, package=package))
    # `from a import b` names a.b, which may be a module or something in one.
    return {name if name in MODULES else name.rpartition(".")[0] if name.rpartition(".")[0] in MODULES else name for name in found}  # fmt: skip


def within(module, rooms):
    """Tell whether a module is one of these rooms, or in one."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def column(module):
    """Return a module's place from the left; None: no room of alerting."""
    return next((index for index, rooms in enumerate(ROOMS) if within(module, rooms)), None)


def room(module):
    """Return the room a module belongs to."""
    return next((each for rooms in ROOMS for each in rooms if within(module, [each])), module)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        pytest.param("exporter", ("alerting",), id="exporter knows nothing of alerting"),
        pytest.param("alerting", ("exporter",), id="alerting knows nothing of exporter"),
        pytest.param("vakhta", ("exporter", "alerting"), id="vakhta knows neither"),
    ],
)
def test_packages(package, forbidden):
    """They talk HTTP."""
    wrong = {
        (module, name)
        for module in MODULES
        if within(module, [package])
        for name in imports(module)
        if within(name, forbidden)
    }
    assert not wrong


def test_every_module_of_alerting_has_its_room():
    """A new room is put in its place from left to right, here."""
    homeless = {module for module in MODULES if module.startswith("alerting.") and column(module) is None}
    assert not homeless


def test_rooms_import_leftward():
    """What stands to the right is never imported; rooms of one column do not know each other."""
    wrong = {
        (module, name)
        for module in MODULES
        if column(module) is not None
        for name in imports(module)
        if column(name) is not None and room(name) != room(module) and column(name) >= column(module)
    }
    assert not wrong


def test_the_state_file_has_few_users():
    """Rooms that decide or read do not write."""
    wrong = {
        (module, name)
        for module in MODULES
        for name in imports(module)
        if within(name, ["alerting.state"])
        and not within(module, ["alerting.state"])
        and not within(module, STATE_USERS)
    }
    assert not wrong


def test_pure_modules_cannot_wait_read_a_clock_or_talk():
    """Time is an argument, decisions are returned."""
    wrong = {
        (module, name)
        for module in MODULES
        if within(module, PURE)
        for name in imports(module)
        if name.partition(".")[0] in FORBIDDEN and (module, name.partition(".")[0]) not in EXCUSED
    }
    assert not wrong


def test_every_excuse_is_needed():
    """An excuse whose reason is gone goes too."""
    assert all(name in {each.partition(".")[0] for each in imports(module)} for module, name in EXCUSED)


def test_pure_modules_exist():
    """A module that moved is still watched."""
    assert [name for name in PURE if name not in MODULES] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_inside_a_function(module):
    """It would hide a circle."""
    inside = [
        node.lineno
        for function in ast.walk(TREES[module])
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside


def test_no_circles():
    """No module needs itself to be imported first."""
    graph = {
        module: {name for name in imports(module, at_run_time=True) if name in MODULES and name != module}
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(graph[module]):
                # A package's own modules may import it while it imports them only for re-export.
                if not (module.startswith(f"{name}.") and MODULES[name].name == "__init__.py"):
                    visit(name, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
