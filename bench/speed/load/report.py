"""Throughput, fairness, callbacks and memory from the rows of a load."""

from pathlib import Path
from statistics import linear_regression
from typing import Any

import polars as pl

from bench.kit.pages import bullets
from bench.kit.results import as_page, figures_table, read_frame, read_machine, table

NAME = "load"
BATCHES = "load-batches"
# The role of a batch.
LOAD, ALONE, AMID = "load", "alone", "amid"
RSS = "rss_mb_"
# The growth over half a run, as a share, that allocators and buffers cause without a leak.
FLAT = 0.05
# Fewer points have no direction.
FEWEST = 3


def growth(samples: pl.DataFrame, name: str) -> dict[str, Any]:
    """Follow the MiB of one process; the last sample is from after the end, when all is quiet.

    The slope is that of the second half of the time in which all batches ran, None where that was too short to tell; it
    is flat if it adds little over its half, or if the process shrank.
    """
    all_run = samples.filter(batches_ended=0)
    seconds, values = pl.col("seconds"), samples[name].to_list()
    half = all_run.filter(seconds >= (seconds.first() + seconds.last()) / 2)
    slope, flat = None, None
    if half.height >= FEWEST:
        slope = 60 * linear_regression(half["seconds"].to_list(), half[name].to_list()).slope
        added = slope * (half["seconds"][-1] - half["seconds"][0]) / 60
        flat = added <= FLAT * half[name][0]
    start, peak, end = values[0], max(values), values[-1]
    return {
        "process": name.removeprefix(RSS),
        "start": start,
        "peak": peak,
        "end": end,
        "a minute": slope,
        "flat": flat,
    }


def figures(samples: pl.DataFrame, batches: pl.DataFrame) -> dict[str, Any]:
    """Return all figures but memory; the throughput is from the first submission to the last batch's end."""
    seconds, collect = pl.col("seconds"), pl.col("collect_ms")
    load = batches.filter(role=LOAD).select(
        *(pl.first(name) for name in ("batches", "size", "small", "replicas", "workers", "chunk", "window")),
        pl.sum("items"),
        pl.sum("retried").alias("items that ran again"),
        (pl.sum("items") / seconds.max()).alias("items/s"),
        seconds.min().alias("shortest batch, s"),
        seconds.max().alias("longest batch, s"),
        ((seconds.max() - seconds.min()) / seconds.median()).alias("spread, of the median"),
    )
    small = [
        batches.filter(role=role).select(seconds.median().alias(name))
        for role, name in ((ALONE, "small batch alone, s"), (AMID, "among the others, s"))
    ]
    answered = (
        samples.filter(pl.col("collects") > 0).select(collect.cast(pl.String).str.split(" ")).explode("collect_ms")
    )
    callbacks = answered.select(
        pl.len().alias("callbacks"),
        *(
            collect.cast(float).quantile(part / 100, "linear").alias(f"collect p{part}, ms")
            for part in (50, 95, 99, 100)
        ),
    )
    queue = samples.select(
        pl.sum("collects_refused").alias("not answered 200"),
        pl.max("messages_waiting").alias("deepest queue, messages"),
    )
    return pl.concat([load, *small, callbacks, queue], how="horizontal").row(0, named=True)


def render(folder: Path) -> dict[str, str]:
    """Return the page and the blocks."""
    samples, one = read_frame(folder, NAME), figures(read_frame(folder, NAME), read_frame(folder, BATCHES))
    memory = pl.DataFrame([growth(samples, name) for name in samples.columns if name.startswith(RSS)])
    parts = [
        figures_table({name: [value] for name, value in one.items()}),
        "All checks held. Memory in MiB:",
        table(memory),
    ]
    replicas = memory.filter(pl.col("process").str.starts_with("replica"))
    even = f"ended within {one['spread, of the median']:.1%} of each other"
    findings = bullets(
        f"{one['items']:,} items took {one['longest batch, s']:.0f} s, {one['items/s']:.0f} a second.",
        f"The batches share evenly: all {one['batches']} {even}.",
        f"The queue is first in, first out, so its depth delays everybody. Windows of {one['window']} keep up to "
        f"{one['deepest queue, messages']:,} tasks waiting, and the small batch took {one['among the others, s']:.1f} "
        f"s instead of {one['small batch alone, s']:.2f} s. Smaller windows keep the queue shorter.",
        f"The memory of a replica is {min(replicas['start']):.0f} MiB at first and at most {max(replicas['peak']):.0f} "
        f"MiB. While all ran, it was flat in {(replicas['flat']).sum()} of {replicas.height} replicas.",
    )
    attack = (
        f"{one['items']:,} rows at {one['items/s']:.0f} a second, `collect` p99 {one['collect p99, ms'] / 1000:.1f} s; "
        f"the {one['batches']} {even}, a batch of {one['small']} rows among them took "
        f"{one['among the others, s']:.1f} s ({one['small batch alone, s']:.2f} s alone)"
    )
    page = as_page("Many batches at once", read_machine(folder, NAME), *parts)
    return {f"{NAME}.md": page, "findings": findings, "attack": attack}
