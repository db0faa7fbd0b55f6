"""Random expressions over the metrics of `promql_samples`, most of them well typed and some of them answered by an error."""

from __future__ import annotations

import random

# ruff: noqa: SIM905  tables of words read best as words

_COUNTERS = ("http_requests_total", "born_total", "sparse_total", "latency_bucket", "latency_count")
_GAUGES = ("mem_bytes", "mem_limit_bytes", "up", "temp", "container_info", "strange", "small")
_RANGES = ("15s", "30s", "40s", "1m", "3m", "5m", "17m", "1h")
_LABELS = ("name", "job", "code", "image", "kind", "le", "room")
_OF_RANGE = """absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time
max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time""".split()
_OF_VECTOR = """abs absent ceil exp floor ln log10 log2 sgn sqrt sort sort_desc timestamp day_of_month day_of_week
day_of_year days_in_month hour minute month year""".split()
_TRIGONOMETRY = "acos acosh asin asinh atan atanh cos cosh deg rad sin sinh tan tanh".split()
_AGGREGATIONS = "sum avg count min max group stddev stdvar".split()
_NUMBERS = ("0", "1", "2", "-1", "0.5", "3.7", "100", "1e9", "-0.1", "NaN", "Inf", "-Inf", "1e-3")


class Grammar:
    """Draws expressions from a source of randomness; the deeper, the simpler."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def vector(self, depth: int = 3) -> str:
        """Draw an instant vector."""
        kinds = [self._selector]
        if depth > 0:
            kinds += [
                self._of_range, self._of_range, self._of_range, self._of_vector, self._aggregation, self._aggregation,
                self._with_scalar, self._with_scalar, self._of_two, self._of_two, self._set, self._more,
            ]  # fmt: skip
        return self._rng.choice(kinds)(depth - 1)

    def scalar(self, depth: int = 1) -> str:
        """Draw a scalar."""
        rng = self._rng
        if depth <= 0 or rng.random() < 0.6:
            return rng.choice(_NUMBERS)
        return rng.choice(
            (
                "time()",
                "pi()",
                f"scalar({self.vector(depth - 1)})",
                f"({self.scalar(depth - 1)} {rng.choice('+-*/%^')} {self.scalar(depth - 1)})",
                f"({self.scalar(depth - 1)} {self._comparison()} bool {self.scalar(depth - 1)})",
            )
        )

    def _selector(self, _: int) -> str:
        rng = self._rng
        metric = rng.choice(_COUNTERS + _GAUGES)
        matchers = rng.choice(
            ("", "", "", '{name="web"}', '{name=~"web|db"}', '{name!="db"}', '{code!~"5.."}', '{job=""}')
        )
        if rng.random() < 0.05:
            metric, matchers = "", '{__name__=~"mem_.*"}'
        return metric + matchers + self._when()

    def _when(self) -> str:
        return self._rng.choice(
            ("",) * 12
            + (
                " offset 1m",
                " offset 7m",
                " offset -1m",
                " @ 1700003000",
                " @ start()",
                " @ end() offset 30s",
            )
        )

    def _matrix(self, depth: int) -> str:
        rng = self._rng
        if depth > 0 and rng.random() < 0.2:
            step = rng.choice(("", "20s", "1m", "7s"))
            return f"({self.vector(depth - 1)})[{rng.choice(_RANGES)}:{step}]{self._when()}"
        metric = rng.choice(_COUNTERS + _GAUGES)
        matchers = rng.choice(("", "", '{name="web"}', '{name!="db"}'))
        return f"{metric}{matchers}[{rng.choice(_RANGES)}]{self._when()}"

    def _of_range(self, depth: int) -> str:
        rng = self._rng
        match rng.randrange(8):
            case 0:
                return f"predict_linear({self._matrix(depth)}, {self.scalar()})"
            case 1:
                return f"quantile_over_time({self.scalar()}, {self._matrix(depth)})"
            case _:
                return f"{rng.choice(_OF_RANGE)}({self._matrix(depth)})"

    def _of_vector(self, depth: int) -> str:
        return f"{self._rng.choice(_OF_VECTOR)}({self.vector(depth)})"

    def _more(self, depth: int) -> str:
        rng = self._rng
        inner = self.vector(depth)
        return rng.choice(
            (
                f"clamp({inner}, {self.scalar()}, {self.scalar()})",
                f"clamp_min({inner}, {self.scalar()})",
                f"clamp_max({inner}, {self.scalar()})",
                f"round({inner})",
                f"round({inner}, {self.scalar()})",
                f"vector({self.scalar(2)})",
                f"-{inner}" if not inner.startswith("-") else inner,
                f'label_replace({inner}, "{rng.choice(_LABELS)}", "x$1-${{2}}", "name", "(.)(.*)")',
                f'label_join({inner}, "joined", "-", "name", "job")',
                f"histogram_quantile({self.scalar()}, rate(latency_bucket[{rng.choice(_RANGES)}]))",
                "histogram_quantile(0.9, sum by (le) (latency_bucket))",
                f"histogram_fraction({self.scalar()}, {self.scalar()}, latency_bucket)",
                f"{rng.choice(_TRIGONOMETRY)}({rng.choice(('temp', 'up', 'small / 7', 'rate(latency_count[5m])'))})",
            )
        )

    def _labels(self) -> str:
        return ", ".join(self._rng.sample(_LABELS, self._rng.randrange(3)))

    def _aggregation(self, depth: int) -> str:
        rng = self._rng
        clause = rng.choice(("", "", f" by ({self._labels()})", f" without ({self._labels()})"))
        inner = self.vector(depth)
        match rng.randrange(7):
            case 0:
                return (
                    f"{rng.choice(('topk', 'bottomk'))}{clause} ({rng.choice(('1', '2', '3', '0'))}, {inner})"
                )
            case 1:
                # The @ of a parameter moves along with the steps in Prometheus: certainly not on purpose.
                return f"quantile{clause} ({rng.choice((*_NUMBERS, 'scalar(small) / 7'))}, {inner})"
            case 2:
                return f'count_values{clause} ("value", {inner})'
            case _:
                return f"{rng.choice(_AGGREGATIONS)}{clause} ({inner})"

    def _comparison(self) -> str:
        return self._rng.choice(("==", "!=", "<", "<=", ">", ">="))

    def _operator(self) -> str:
        rng = self._rng
        if rng.random() < 0.5:
            return self._comparison() + rng.choice(("", " bool"))
        return rng.choice(("+", "-", "*", "/", "%", "^", "atan2"))

    def _with_scalar(self, depth: int) -> str:
        pair = [f"({self.vector(depth)})", self.scalar(2)]
        self._rng.shuffle(pair)
        return f"{pair[0]} {self._operator()} {pair[1]}"

    def _of_two(self, depth: int) -> str:
        rng = self._rng
        clause = rng.choice(
            (
                "",
                " on ()",
                " on (name)",
                " on (name, job)",
                f" ignoring ({self._labels()})",
                " on (name) group_left ()",
                " on (name) group_left (image)",
                " on (name) group_right (version)",
                " ignoring (code) group_left ()",
            )
        )
        return f"({self.vector(depth)}) {self._operator()}{clause} ({self.vector(depth)})"

    def _set(self, depth: int) -> str:
        rng = self._rng
        clause = rng.choice(("", "", " on (name)", " on ()", f" ignoring ({self._labels()})"))
        return f"({self.vector(depth)}) {rng.choice(('and', 'or', 'unless'))}{clause} ({self.vector(depth)})"
