"""The measured batches as advice: formulas and tables for the page of the benches."""

from pathlib import Path

import polars as pl

from bench.kit.pages import wrap
from bench.kit.results import read_frame, table
from bench.speed.scale.report import Line, fit

NAME = "sizing"
# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
KIB = 1024
MILLION = 1_000_000
SEGMENT_ITEMS = 1_000
WORDS = {"calls": "a tenth of the calls", "items": "a tenth of the items, each time"}


def request_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return, for each chunk, the requests of a batch once and for each 1,000 items, and the price of a million items.

    The line leads from the smallest to the largest of the batches that differ in their items only.
    """
    thousands = pl.col("items") / 1000
    figures: dict[str, pl.Expr] = {}
    for name, count in {"puts": pl.col("s3_put"), "gets": pl.col("s3_get")}.items():
        each = (count.last() - count.first()) / (thousands.last() - thousands.first())
        figures |= {f"{name}_once": count.first() - thousands.first() * each, f"{name}_each": each}
    lines = rows.filter(group="size").sort("items").group_by("chunk").agg(**figures).sort("chunk")
    puts, gets = (pl.col(f"{name}_once") + MILLION / 1000 * pl.col(f"{name}_each") for name in ("puts", "gets"))
    return lines.with_columns(dollars=dollars(puts, gets))


def dollars(puts: pl.Expr, gets: pl.Expr) -> pl.Expr:
    """Return the list price of requests."""
    return puts * PUT_DOLLARS + gets * GET_DOLLARS


def fit_memory(rows: pl.DataFrame) -> tuple[float, Line | None]:
    """Return Redis' bytes for a task of the window, and the line of the rest over the outcomes that wait.

    A task of the window costs as much as its key. It is far below the rest, so a fit of it would fit noise.
    """
    released = pl.min_horizontal("window", pl.col("items") // pl.col("chunk"))
    task = rows.select((pl.col("key_inflight") / released).max()).item()
    return task, fit(rows.with_columns(rest=pl.col("redis_peak") - task * pl.col("window")), "rest", "key_outcomes")


def render(folder: Path) -> dict[str, str]:
    """Return the blocks of the page."""
    rows, items, seconds = read_frame(folder, NAME), pl.col("items"), pl.col("seconds")
    size, measured = rows.filter(group="size"), rows.filter(pl.col("group").is_in(["size", "window", "result"]))
    megabytes = measured.sort("result_bytes", "chunk").select(
        "result_bytes", pl.format("MB at chunk {}", "chunk"), pl.col("redis_peak") / MILLION
    )
    price = dollars(pl.col("s3_put"), pl.col("s3_get"))
    apart = {"puts_an_item": pl.col("s3_put") / items, "$ for a million items": price * MILLION / items}
    kinds = ("input", "segments", "outputs")
    stored = {f"stored_{kind}_kib": pl.col(f"stored_{kind}") * 1000 / items / KIB for kind in kinds}
    largest = measured.filter(pl.col("group") != "window", chunk=1).unique("result_bytes", keep="last")
    windows = rows.filter(group="parallelism").group_by("window").agg(seconds.median()).sort("window")
    attempts = rows.filter(group="attempts").with_columns(pl.col("fails").replace(WORDS))
    lines = request_lines(rows).rename({"dollars": "million_dollars"})
    prices = f"${PUT_DOLLARS * 1000:g} for 1,000 PUT, ${GET_DOLLARS * 1000:g} for 1,000 GET"
    return {
        "redis": _redis(measured, size),
        "memory": table(megabytes.pivot("chunk", index="result_bytes", values="redis_peak", aggregate_function="max")),
        "messages": table(size.select("items", "chunk", "messages")),
        "requests": f"Priced as S3 Standard in us-east-1 was listed on {PRICED_ON}: {prices}.\n\n{table(lines)}",
        "apart": table(rows.filter(pl.col("stored_refs") > 0, group="result").select("result_bytes", "chunk", **apart)),
        "stored": table(largest.sort("result_bytes").select("result_bytes", **stored)),
        "window": table(windows.select("window", of_the_highest_throughput=seconds.min() / seconds)),
        "attempts": table(attempts.select("fails", "attempts", "items", "failed", "calls", "seconds")),
    }


def _redis(measured: pl.DataFrame, size: pl.DataFrame) -> str:
    task, line = fit_memory(measured)
    if line is None:
        return ""
    per_outcome = pl.col("key_outcomes") / SEGMENT_ITEMS - pl.col("result_bytes")
    return wrap(
        f"**Redis**, for each open batch: {line.fixed / MILLION:.1f} MB + {task:.0f} B x `window` + "
        f"{line.each:.1f} x the outcomes that wait to be written, which are about {SEGMENT_ITEMS:,}, each of its "
        f"result and up to {size.select(per_outcome.max()).item():.0f} B, or 8 MB at most. That is within "
        f"{line.off:.0%} of every batch measured. How many items there are makes no difference. An ended batch keeps "
        f"{max(measured['redis_kept'].to_list()) / 1000:.1f} KB for a week."
    )
