"""Quantiles and fractions from classic histograms: series of cumulative counts with the upper bound in label ``le``."""

from __future__ import annotations

from alerting.promql.blocks import Block
from alerting.promql.errors import EvaluationError
from alerting.promql.values import Floats


def quantile(q: Floats, block: Block) -> tuple[Block, list[str]]:
    """Estimate a quantile of every histogram; also name the metrics whose buckets had to be repaired."""
    raise EvaluationError(f"histogram_quantile() of {len(block.labels)} buckets, q={q[0]}: not there yet")


def fraction(low: Floats, high: Floats, block: Block) -> Block:
    """Estimate which share of every histogram's observations lies between two values."""
    raise EvaluationError(
        f"histogram_fraction() of {len(block.labels)} buckets {low[0]} {high[0]}: not there yet"
    )
