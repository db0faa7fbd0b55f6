"""Which functions and aggregations of Prometheus 3.5 this engine offers, by name."""

from __future__ import annotations

from typing import Final

# ruff: noqa: SIM905  tables of words read best as words

RANGE_FUNCTIONS: Final = frozenset(
    """absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time
    max_over_time min_over_time predict_linear present_over_time quantile_over_time rate resets stddev_over_time
    stdvar_over_time sum_over_time""".split()
)
FUNCTIONS: Final = RANGE_FUNCTIONS | frozenset(
    """abs absent acos acosh asin asinh atan atanh ceil clamp clamp_max clamp_min cos cosh day_of_month day_of_week
    day_of_year days_in_month deg exp floor histogram_fraction histogram_quantile hour label_join label_replace ln log10
    log2 minute month pi rad round scalar sgn sin sinh sort sort_desc sqrt tan tanh time timestamp vector year""".split()
)
NATIVE_ONLY: Final = frozenset(
    "histogram_avg histogram_count histogram_stddev histogram_stdvar histogram_sum".split()
)
EXPERIMENTAL: Final = frozenset(
    """double_exponential_smoothing info mad_over_time sort_by_label sort_by_label_desc ts_of_last_over_time
    ts_of_max_over_time ts_of_min_over_time""".split()
)
AGGREGATIONS: Final = frozenset(
    "sum avg count min max group stddev stdvar topk bottomk quantile count_values".split()
)
