"""Throughput, fairness, callbacks and memory from the rows of a load."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.kit.pages import bullets, wrap
from bench.kit.results import as_page, lines_of, read_frame, read_machine
from bench.speed.load.scenario import ALONE, AMID, LOAD

if TYPE_CHECKING:
    from pathlib import Path

NAME = "load"
BATCHES = "load-batches"
RSS = "rss_mb_"
# The growth over half a run, as a share, that allocators and buffers cause without a leak.
FLAT = 0.05
# Fewer points have no direction.
FEWEST = 3


@dataclass(frozen=True)
class Growth:
    """The MiB of one process; `slope` is MiB a minute over the second half, `steady` that before any batch ended.

    `share` is what `steady` adds over its half; None where the run was too short to tell.
    """

    start: float
    quarter: float
    peak: float
    end: float
    slope: float | None
    steady: float | None
    share: float | None

    @property
    def words(self) -> str:
        """Whether it stood still while all batches ran; a process that shrank counts as such."""
        return "too short" if self.share is None else "yes" if self.share <= FLAT else "no"


def growth(samples: pl.DataFrame, name: str) -> Growth:
    """Follow one process; the last sample is from after the end, when all is quiet."""
    values, total = samples[name].to_list(), samples["items_done"][-1]
    quarter = samples.filter(4 * pl.col("items_done") >= total)[name][0]
    busy = samples.filter(pl.col("batches_ended") < samples["batches_ended"][-1])
    steady = second_half(samples.filter(batches_ended=0))
    rate, share = slope(steady, name), None
    if rate is not None:
        share = rate * (steady["seconds"][-1] - steady["seconds"][0]) / 60 / steady[name][0]
    return Growth(values[0], quarter, max(values), values[-1], slope(second_half(busy), name), rate, share)


def second_half(samples: pl.DataFrame) -> pl.DataFrame:
    """Return the samples of the second half of their time."""
    seconds = pl.col("seconds")
    return samples.filter(seconds >= (seconds.first() + seconds.last()) / 2)


def slope(samples: pl.DataFrame, name: str) -> float | None:
    """Fit a line to the memory of a process: MiB a minute, None when there are too few samples."""
    if samples.height < FEWEST:
        return None
    return 60 * linear_regression(samples["seconds"].to_list(), samples[name].to_list()).slope


def figures(samples: pl.DataFrame, batches: pl.DataFrame) -> dict[str, Any]:
    """Return all figures but memory; the throughput is from the first submission to the last batch's end."""
    seconds, small = pl.col("seconds"), {"alone": ALONE, "among": AMID}
    load = batches.filter(role=LOAD).select(
        *(pl.first(name) for name in ("batches", "size", "small", "replicas", "workers", "chunk", "window")),
        total=pl.sum("items"),
        again=pl.sum("retried"),
        items_per_second=pl.sum("items") / seconds.max(),
        shortest=seconds.min(),
        median=seconds.median(),
        longest=seconds.max(),
        spread=(seconds.max() - seconds.min()) / seconds.median(),
    )
    collects = samples.filter(pl.col("collects") > 0).select(pl.col("collect_ms").cast(pl.String).str.split(" "))
    answered = collects.explode("collect_ms").select(
        callbacks=pl.len(),
        **{f"p{part}": pl.col("collect_ms").cast(float).quantile(part / 100, "linear") for part in (50, 95, 99, 100)},
    )
    queue = samples.select(refused=pl.sum("collects_refused"), deepest=pl.max("messages_waiting"))
    ends = [batches.filter(role=role).select(seconds.median().alias(name)) for name, role in small.items()]
    return pl.concat([load, answered, queue, *ends], how="horizontal").row(0, named=True)


def render(folder: Path) -> dict[str, str]:
    """Return the page and the blocks."""
    samples, batches = read_frame(folder, NAME), read_frame(folder, BATCHES)
    one, machine = figures(samples, batches), read_machine(folder, NAME)
    memory = {name.removeprefix(RSS): growth(samples, name) for name in samples.columns if name.startswith(RSS)}
    page = as_page(
        "Many batches at once",
        machine,
        wrap(
            f"{one['batches']} batches of {one['size']:,} items submitted at once, {one['replicas']} replicas, "
            f"{one['workers']} queue-workers, chunk {one['chunk']}, window {one['window']}. All checks held."
        ),
        _main(one, samples),
        "## Memory in MiB",
        _memory(memory),
    )
    replicas = [process for name, process in memory.items() if name.startswith("replica")]
    findings = bullets(
        f"{one['total']:,} items took {one['longest']:.0f} s, {one['items_per_second']:.0f} a second.",
        f"The batches share evenly: all {one['batches']} end within {one['spread']:.1%} of each other.",
        "The queue is first in, first out, so its depth delays everybody. Windows of "
        f"{one['window']} keep up to {one['deepest']:,} tasks waiting, and the small batch took {one['among']:.1f} s "
        f"instead of {one['alone']:.2f} s. Smaller windows keep the queue shorter.",
        f"The memory of a replica is {min(p.start for p in replicas):.0f} MiB at first and at most "
        f"{max(p.peak for p in replicas):.0f} MiB; flat while all run: "
        f"{', '.join(sorted({p.words for p in replicas}))}.",
    )
    attack = (
        f"{one['total']:,} rows at {one['items_per_second']:.0f} a second, `collect` p99 {one['p99'] / 1000:.1f} s; "
        f"the {one['batches']} ended within {one['spread']:.1%} of each other, a batch of {one['small']} rows among "
        f"them took {one['among']:.1f} s ({one['alone']:.2f} s alone)"
    )
    return {f"{NAME}.md": page, "findings": findings, "attack": attack}


def _main(one: dict[str, Any], samples: pl.DataFrame) -> str:
    used, keys = samples["redis_used_mb"].to_list(), samples["redis_keys"].to_list()
    batch = "{shortest:.1f} to {longest:.1f} s, median {median:.1f}, spread {spread:.1%}"
    collect = "p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, longest {p100:.0f} ms; {refused} not answered 200"
    lines = [
        ("items", "{total:,}, {again} ran again"),
        ("items/s in all", "{items_per_second:.1f} over {longest:.1f} s"),
        ("a batch, submission to end", batch),
        ("{small} items", "{alone:.2f} s alone, {among:.2f} s amid the others"),
        ("`collect`, {callbacks:,} callbacks", collect),
        ("deepest queue", "{deepest:,} messages"),
        ("Redis, used memory", f"{max(used):.1f} MiB at most, {used[-1]:.1f} MiB at the end"),
        ("Redis, keys", f"{max(keys):,} at most, {keys[-1]:,} at the end"),
    ]
    return lines_of(("figure", "value"), [[cell.format_map(one) for cell in line] for line in lines])


def _memory(processes: dict[str, Growth]) -> str:
    heads = ("process", "start", "after 25 %", "peak", "end", "MiB/min, 2nd half", "MiB/min, all running", "flat")
    lines = []
    for name, one in processes.items():
        sizes = (f"{size:.0f}" for size in (one.start, one.quarter, one.peak, one.end))
        slopes = ("" if slope is None else f"{slope:+.1f}" for slope in (one.slope, one.steady))
        lines.append((name.replace("_", " "), *sizes, *slopes, one.words))
    return lines_of(heads, lines)
