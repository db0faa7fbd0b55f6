"""The list of names that promtool may complain about names only families there are, each with its reason."""

from pathlib import Path

from exporter.families import cadvisor, containers, host, machine, network, node, slow

LIST = Path(__file__).parents[2] / "promtool-allowed.txt"
NAMES = [
    family.name
    for table in (cadvisor, containers, host, machine, network, node, slow)
    for family in table.FAMILIES
]


def test_the_list_is_about_families_that_exist():
    """An entry that nothing needs any more would hide the next complaint."""
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    entries = dict(line.split(": ", 1) for line in lines)
    assert list(entries) == sorted(entries)
    for entry, reason in entries.items():
        assert reason
        assert any(name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for name in NAMES), (
            entry
        )
