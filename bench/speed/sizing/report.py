"""The measured batches as advice: formulas and tables for the page of the benches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.kit.pages import wrap
from bench.kit.results import lines_of, read_frame, table
from bench.speed.sizing.cases import GET_DOLLARS, GETS, PRICED_ON, PUT_DOLLARS, PUTS

if TYPE_CHECKING:
    from pathlib import Path

NAME = "sizing"
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


def priced(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the requests that are priced as a PUT and as a GET, and their list price in dollars."""
    puts, gets = (pl.sum_horizontal(f"s3_{name}" for name in names) for names in (PUTS, GETS))
    return rows.with_columns(puts=puts, gets=gets, dollars=puts * PUT_DOLLARS + gets * GET_DOLLARS)


def request_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return, for each chunk, the requests of a batch once and for each 1,000 items, and the price of a million items.

    The line leads from the smallest to the largest of the batches that differ in their items only.
    """
    thousands = pl.col("items") / 1000
    lines = (
        rows.filter(group="size")
        .sort("items")
        .group_by("chunk")
        .agg(
            thousands.first().alias("first"),
            *(
                part
                for name in ("puts", "gets")
                for part in (
                    pl.col(name).first(),
                    ((pl.col(name).last() - pl.col(name).first()) / (thousands.last() - thousands.first())).alias(
                        f"{name}_each"
                    ),
                )
            ),
        )
    )
    once = {f"{name}_once": pl.col(name) - pl.col("first") * pl.col(f"{name}_each") for name in ("puts", "gets")}
    lines = lines.with_columns(**once).sort("chunk")
    puts, gets = (pl.col(f"{name}_once") + MILLION / 1000 * pl.col(f"{name}_each") for name in ("puts", "gets"))
    return lines.with_columns(dollars=puts * PUT_DOLLARS + gets * GET_DOLLARS)


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
    rows = priced(read_frame(folder, NAME))
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
    peaks = measured.pivot("chunk", index="result_bytes", values="redis_peak", aggregate_function="max")
    lines = [(_size(row[0]), *(f"{peak / MILLION:.1f} MB" if peak else "" for peak in row[1:])) for row in peaks.rows()]
    return lines_of(("a result", *(f"`chunk` {chunk}" for chunk in peaks.columns[1:])), lines)


def _messages(rows: pl.DataFrame) -> str:
    sizes = rows.filter(group="size").sort("chunk")
    # The largest size that there is of every chunk.
    largest = min(sizes.group_by("chunk").agg(pl.max("items"))["items"].to_list())
    counts = [f"{row['messages']:,} at `chunk` {row['chunk']}" for row in sizes.filter(items=largest).to_dicts()]
    return wrap(f"{largest:,} items are {', '.join(counts)}.")


def _requests(rows: pl.DataFrame) -> str:
    lines = [
        (
            line["chunk"],
            *(f"{line[f'{name}_once']:.0f} + {line[f'{name}_each']:.1f}" for name in ("puts", "gets")),
            f"${line['dollars']:.4f}",
        )
        for line in request_lines(rows).to_dicts()
    ]
    prices = f"Priced as S3 Standard in us-east-1 was listed on {PRICED_ON}: ${PUT_DOLLARS * 1000:g} for 1,000 PUT, "
    heads = ("`chunk`", "PUT", "GET", "requests of a million items")
    return f"{wrap(f'{prices}${GET_DOLLARS * 1000:g} for 1,000 GET:')}\n\n{lines_of(heads, lines)}"


def _apart(rows: pl.DataFrame) -> str:
    texts = [
        f"{_size(row['result_bytes'])} in a `chunk` of {row['chunk']} were {row['puts'] / row['items']:,.3g} PUT an "
        f"item, ${row['dollars'] * MILLION / row['items']:,.2f} a million"
        for row in rows.filter(pl.col("stored_refs") > 0, group="result").to_dicts()
    ]
    return wrap(
        "What a task answers beyond `inline_limit` is stored apart, a PUT for each result, which is then the price: "
        f"{'; '.join(texts)}. An `inline_limit` of `chunk` x the bytes of a result avoids it."
    )


def _stored(rows: pl.DataFrame) -> str:
    largest = rows.filter(pl.col("group").is_in(["size", "result"]), chunk=1).unique("result_bytes", keep="last")
    lines = [
        (_size(row["result_bytes"]), *(_size(1000 * row[f"stored_{kind}"] / row["items"]) for kind in kinds))
        for kinds in [("input", "segments", "outputs")]
        for row in largest.sort("result_bytes").to_dicts()
    ]
    return lines_of(("a result", "snapshot", "segments", "summary and the rest"), lines)


def _window(rows: pl.DataFrame) -> str:
    middle = rows.filter(group="parallelism").group_by("window").agg(pl.median("seconds")).sort("window")
    shares = middle.select(pl.min("seconds") / pl.col("seconds")).to_series()
    return lines_of(("`window`", *middle["window"]), [("of the highest throughput", *(f"{one:.0%}" for one in shares))])


def _attempts(rows: pl.DataFrame) -> str:
    lines = rows.filter(group="attempts").with_columns(pl.col("fails").replace(WORDS))
    columns = {"what fails": ("fails", ""), "`attempts`": ("attempts", ""), "items": ("items", "")}
    return table(lines, columns | {"failed": ("failed", ""), "calls": ("calls", ""), "seconds": ("seconds", ".1f")})


def _size(size: float) -> str:
    if size < KIB:
        return f"{size:.0f} B"
    return f"{size / KIB:,.0f} KiB" if size < KIB * KIB else f"{size / KIB / KIB:,.1f} MiB"
