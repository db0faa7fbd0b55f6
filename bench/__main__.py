"""Run benchmarks: ``python -m bench`` all of them, ``python -m bench latency`` one."""

from __future__ import annotations

import sys

from bench import exporter, latency, synthetic

BENCHMARKS = {"latency": latency.main, "exporter": exporter.main, "synthetic": synthetic.main}


def main(names: list[str]) -> int:
    """Run the named benchmarks; return 0 when every promise was kept."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    kept = [BENCHMARKS[name]() for name in names or BENCHMARKS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
