"""A load run written down: its samples as rows, its figures as JSON and as a page."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.speed.load.figures import Memory, latency, memory, spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.speed.load.figures import Sample
    from bench.speed.load.scenario import Load, Result

NAME = "load"
HEAD = ("seconds", "items_done", "batches_ended", "messages_waiting", "collects", "collect_p50_ms", "collect_max_ms")
SHOWN = 20


def write(out: Path, load: Load, result: Result, machine: dict[str, Any]) -> str:
    """Write `load.csv`, `.json` and `.md` into a folder; returns the page."""
    out.mkdir(parents=True, exist_ok=True)
    known = figures(load, result)
    write_samples(out / f"{NAME}.csv", result.samples)
    document = {**machine, "load": asdict(load), "figures": known, "batches": [asdict(b) for b in result.batches]}
    (out / f"{NAME}.json").write_text(json.dumps(document, indent=2) + "\n")
    page = markdown(load, known, machine)
    (out / f"{NAME}.md").write_text(page)
    return page


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write one row a sample; memory is in MiB."""
    names = list(samples[0].rss_mb)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*HEAD, *(f"{name.replace(' ', '_')}_rss_mb" for name in names), "redis_used_mb", "redis_keys"])
        for sample in samples:
            collects = sample.collects_ms
            times = (f"{median(collects):.1f}", f"{max(collects):.1f}") if collects else ("", "")
            counts = (sample.done, sample.ended, sample.waiting, len(collects))
            rss = (f"{sample.rss_mb[name]:.1f}" for name in names)
            writer.writerow([f"{sample.seconds:.1f}", *counts, *times, *rss, f"{sample.redis_mb:.2f}", sample.keys])


def figures(load: Load, result: Result) -> dict[str, Any]:
    """Return all figures; the throughput is from the first submission to the last batch's end."""
    together = spread(result.batches)
    last, items = result.samples[-1], load.batches * load.items
    collects = [ms for sample in result.samples for ms in sample.collects_ms]
    alone = median(batch.seconds for batch in result.alone)
    used = {name: memory(result.samples, name) for name in last.rss_mb}
    return {
        "items": items,
        "seconds": together.longest,
        "items_per_second": items / together.longest,
        "retried": sum(batch.retried for batch in result.batches),
        "batch_seconds": {**asdict(together), "spread": together.share},
        "small": {"alone": alone, "amid": result.amid.seconds, "times": result.amid.seconds / alone},
        "collect_ms": asdict(latency(collects)),
        "callbacks_not_200": result.refused,
        "deepest_queue": result.deepest,
        "memory_mb": {name: {**asdict(one), "flat": one.flat} for name, one in used.items()},
        "redis_used_mb": {"peak": max(sample.redis_mb for sample in result.samples), "end": last.redis_mb},
        "redis_keys": {"peak": max(sample.keys for sample in result.samples), "end": last.keys},
        "problems": result.problems,
    }


def markdown(load: Load, known: dict[str, Any], machine: dict[str, Any]) -> str:
    """Make the page of a run."""
    facts = ("command", "date", "code", "cpu", "cores", "load_before", "system", "python")
    lines = [
        "# Load run",
        "",
        (
            f"{load.batches} batches of {load.items:,} items submitted at once, {load.replicas} replicas, "
            f"{load.workers} queue-workers, chunk {load.chunk}, window {load.window}."
        ),
        "",
        *(f"- {name}: {machine[name]}" for name in facts),
        "",
        *_table(("figure", "value"), _main_rows(load, known)),
        "",
        "## Memory in MiB",
        "",
        *_table(
            ("process", "start", "after 25 %", "peak", "end", "MiB/min, 2nd half", "MiB/min, all running", "flat"),
            [(name, *_memory_cells(Memory(**_fields(one)))) for name, one in known["memory_mb"].items()],
        ),
        "",
        "## Checks",
        "",
        *([f"- {text}" for text in known["problems"][:SHOWN]] or ["All hold."]),
    ]
    return "\n".join(lines) + "\n"


def _main_rows(load: Load, known: dict[str, Any]) -> list[tuple[str, ...]]:
    times, small, collect = known["batch_seconds"], known["small"], known["collect_ms"]
    redis, keys = known["redis_used_mb"], known["redis_keys"]
    batch = (
        f"{times['shortest']:.1f} to {times['longest']:.1f} s, median {times['median']:.1f}, "
        f"spread {times['spread']:.1%}"
    )
    callbacks = (
        f"p50 {collect['p50']:.0f} ms, p95 {collect['p95']:.0f} ms, p99 {collect['p99']:.0f} ms, "
        f"longest {collect['longest']:.0f} ms; {known['callbacks_not_200']} not answered 200"
    )
    return [
        ("items", f"{known['items']:,}, {known['retried']} ran again"),
        ("items/s in all", f"{known['items_per_second']:.1f} over {known['seconds']:.1f} s"),
        ("a batch, submission to end", batch),
        (
            f"{load.small} items",
            f"{small['alone']:.2f} s alone, {small['amid']:.2f} s amid the others: {small['times']:.1f} times",
        ),
        (f"`collect`, {collect['count']:,} callbacks", callbacks),
        ("deepest queue", f"{known['deepest_queue']:,} messages"),
        ("Redis, used memory", f"{redis['peak']:.1f} MiB at most, {redis['end']:.1f} MiB at the end"),
        ("Redis, keys", f"{keys['peak']:,} at most, {keys['end']:,} at the end"),
    ]


def _fields(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "flat"}


def _memory_cells(one: Memory) -> tuple[str, ...]:
    sizes = (f"{value:.0f}" for value in (one.start, one.quarter, one.peak, one.end))
    slopes = ("" if value is None else f"{value:+.1f}" for value in (one.slope, one.steady))
    return (*sizes, *slopes, {True: "yes", False: "no", None: "too short"}[one.flat])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
