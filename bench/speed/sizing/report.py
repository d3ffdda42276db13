"""The measured batches as advice: formulas and tables for the page of the benches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bench.kit.pages import wrap
from bench.kit.results import read_frame, table

NAME = "sizing"
# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
KIB = 1024
MILLION = 1_000_000
SEGMENT_ITEMS = 1_000
WORDS = {"calls": "a tenth of the calls", "items": "a tenth of the items, each time"}


@dataclass(frozen=True)
class Memory:
    """Redis' peak of an open batch in bytes: `once` + `task` x window + `outcome` x the outcomes that wait.

    `off` is the largest distance of a measured batch from that, as a share.
    """

    once: float
    task: float
    outcome: float
    off: float


def request_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return, for each chunk, the requests of a batch once and for each 1,000 items, and the price of a million items.

    The line leads from the smallest to the largest of the batches that differ in their items only.
    """
    thousands = pl.col("items") / 1000
    kinds = {"puts": pl.col("s3_put"), "gets": pl.col("s3_get")}
    each = {
        name: (count.last() - count.first()) / (thousands.last() - thousands.first()) for name, count in kinds.items()
    }
    once = {f"{name}_once": count.first() - thousands.first() * each[name] for name, count in kinds.items()}
    figures = once | {f"{name}_each": figure for name, figure in each.items()}
    lines = rows.filter(group="size").sort("items").group_by("chunk").agg(**figures).sort("chunk")
    puts, gets = (pl.col(f"{name}_once") + MILLION / 1000 * pl.col(f"{name}_each") for name in kinds)
    return lines.with_columns(dollars=dollars(puts, gets))


def dollars(puts: pl.Expr, gets: pl.Expr) -> pl.Expr:
    """Return the list price of requests."""
    return puts * PUT_DOLLARS + gets * GET_DOLLARS


def fit_memory(rows: pl.DataFrame) -> Memory:
    """Fit the memory of batches; distances count as shares. A task of the window costs as much as its key.

    A window is far below the rest, so a fit of it would fit noise.
    """
    released = pl.min_horizontal("window", pl.col("items") // pl.col("chunk"))
    task = float(rows.select((pl.col("key_inflight") / released).max()).item())
    peaks = rows.select(pl.col("redis_peak") - task * pl.col("window")).to_series().to_numpy()
    outcomes = rows["key_outcomes"].to_numpy()
    outcome, once = np.polyfit(outcomes, peaks, 1, w=1 / peaks)
    off = np.abs(once + outcome * outcomes - peaks) / peaks
    return Memory(float(once), task, float(outcome), float(off.max()))


def render(folder: Path) -> dict[str, str]:
    """Return the blocks of the page."""
    rows = read_frame(folder, NAME)
    parts = {"redis": _redis, "memory": _memory, "messages": _messages, "requests": _requests, "apart": _apart}
    parts |= {"stored": _stored, "window": _window, "attempts": _attempts}
    return {name: part(rows) for name, part in parts.items()}


def _redis(rows: pl.DataFrame) -> str:
    measured = rows.filter(pl.col("group").is_in(["size", "window", "result"]))
    fit = fit_memory(measured)
    per_outcome = pl.col("key_outcomes") / SEGMENT_ITEMS - pl.col("result_bytes")
    extra = rows.filter(group="size").select(per_outcome.max()).item()
    return wrap(
        f"**Redis**, for each open batch: {fit.once / MILLION:.1f} MB + {fit.task:.0f} B x `window` + "
        f"{fit.outcome:.1f} x the outcomes that wait to be written, which are about {SEGMENT_ITEMS:,}, each of "
        f"its result and up to {extra:.0f} B, or 8 MB at most. That is within {fit.off:.0%} of every batch measured. "
        "How many items there are makes no difference. An ended batch keeps "
        f"{max(measured['redis_kept'].to_list()) / 1000:.1f} KB for a week."
    )


def _memory(rows: pl.DataFrame) -> str:
    measured = rows.filter(pl.col("group").is_in(["size", "window", "result"])).sort("result_bytes", "chunk")
    megabytes = measured.select(
        pl.col("result_bytes"), pl.format("MB at chunk {}", "chunk").alias("chunk"), pl.col("redis_peak") / MILLION
    )
    return table(megabytes.pivot("chunk", index="result_bytes", values="redis_peak", aggregate_function="max"))


def _messages(rows: pl.DataFrame) -> str:
    return table(rows.filter(group="size").select("items", "chunk", "messages"))


def _requests(rows: pl.DataFrame) -> str:
    lines = request_lines(rows).select(
        "chunk", "puts_once", "puts_each", "gets_once", "gets_each", million_dollars="dollars"
    )
    prices = f"${PUT_DOLLARS * 1000:g} for 1,000 PUT, ${GET_DOLLARS * 1000:g} for 1,000 GET"
    return f"Priced as S3 Standard in us-east-1 was listed on {PRICED_ON}: {prices}.\n\n{table(lines)}"


def _apart(rows: pl.DataFrame) -> str:
    apart, items = rows.filter(pl.col("stored_refs") > 0, group="result"), pl.col("items")
    puts, price = pl.col("s3_put"), dollars(pl.col("s3_put"), pl.col("s3_get"))
    costs = {"puts_an_item": puts / items, "$ for a million items": price * MILLION / items}
    return table(apart.select("result_bytes", "chunk", **costs))


def _stored(rows: pl.DataFrame) -> str:
    largest = rows.filter(pl.col("group").is_in(["size", "result"]), chunk=1).unique("result_bytes", keep="last")
    kib = (pl.col(f"stored_{kind}") * 1000 / pl.col("items") / KIB for kind in ("input", "segments", "outputs"))
    return table(largest.sort("result_bytes").select("result_bytes", *(size.name.suffix("_kib") for size in kib)))


def _window(rows: pl.DataFrame) -> str:
    middle = rows.filter(group="parallelism").group_by("window").agg(pl.median("seconds")).sort("window")
    return table(middle.select("window", of_the_highest_throughput=pl.min("seconds") / pl.col("seconds")))


def _attempts(rows: pl.DataFrame) -> str:
    lines = rows.filter(group="attempts").with_columns(pl.col("fails").replace(WORDS))
    return table(lines.select("fails", "attempts", "items", "failed", "calls", "seconds"))
