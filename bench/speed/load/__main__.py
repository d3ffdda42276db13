"""Many batches at once on a local stack: `python -m bench.speed.load`; exit code 1 when a check did not hold."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.kit.cli import Out, Workers, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import facts, markdown_table, publish
from bench.speed.load.figures import latency, memory, spread
from bench.speed.load.scenario import Load, run_load

if TYPE_CHECKING:
    from pathlib import Path

    from bench.speed.load.figures import Sample
    from bench.speed.load.scenario import Result

NAME = "load"
SHOWN = 20


def write(out: Path, load: Load, result: Result, machine: dict[str, Any]) -> str:
    """Write `load.csv`, `.json` and `.md` into a folder; returns the page."""
    known = figures(load, result)
    document = {**machine, "load": asdict(load), "figures": known, "batches": [asdict(b) for b in result.batches]}
    page = markdown(load, known, machine)
    publish(out, NAME, machine=document, rows=[sample_row(sample) for sample in result.samples], page=page)
    return page


def sample_row(sample: Sample) -> dict[str, object]:
    """Return a sample as a row; memory is in MiB."""
    collects = sample.collects_ms
    return {
        "seconds": sample.seconds,
        "items_done": sample.done,
        "batches_ended": sample.ended,
        "messages_waiting": sample.waiting,
        "collects": len(collects),
        "collect_p50_ms": median(collects) if collects else None,
        "collect_max_ms": max(collects) if collects else None,
        **{f"{name.replace(' ', '_')}_rss_mb": size for name, size in sample.rss_mb.items()},
        "redis_used_mb": sample.redis_mb,
        "redis_keys": sample.keys,
    }


def figures(load: Load, result: Result) -> dict[str, Any]:
    """Return all figures; the throughput is from the first submission to the last batch's end."""
    together = spread(result.batches)
    last, items = result.samples[-1], load.batches * load.items
    collects = [ms for sample in result.samples for ms in sample.collects_ms]
    alone = median(batch.seconds for batch in result.alone)
    used = {name: memory(result.samples, name) for name in last.rss_mb}
    return {
        "items": items,
        "seconds": together["longest"],
        "items_per_second": items / together["longest"],
        "retried": sum(batch.retried for batch in result.batches),
        "batch_seconds": together,
        "small": {"alone": alone, "amid": result.amid.seconds, "times": result.amid.seconds / alone},
        "collect_ms": latency(collects),
        "callbacks_not_200": result.refused,
        "deepest_queue": result.deepest,
        "memory_mb": {name: {**asdict(one), "flat": one.flat} for name, one in used.items()},
        "redis_used_mb": {"peak": max(sample.redis_mb for sample in result.samples), "end": last.redis_mb},
        "redis_keys": {"peak": max(sample.keys for sample in result.samples), "end": last.keys},
        "problems": result.problems,
    }


def markdown(load: Load, known: dict[str, Any], machine: dict[str, Any]) -> str:
    """Make the page of a run."""
    lines = [
        "# Load run",
        "",
        (
            f"{load.batches} batches of {load.items:,} items submitted at once, {load.replicas} replicas, "
            f"{load.workers} queue-workers, chunk {load.chunk}, window {load.window}."
        ),
        "",
        *facts(machine),
        "",
        *markdown_table(("figure", "value"), _main_rows(load, known)),
        "",
        "## Memory in MiB",
        "",
        *markdown_table(
            ("process", "start", "after 25 %", "peak", "end", "MiB/min, 2nd half", "MiB/min, all running", "flat"),
            [(name, *_memory_cells(one)) for name, one in known["memory_mb"].items()],
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


def _memory_cells(one: dict[str, Any]) -> tuple[str, ...]:
    sizes = (f"{one[name]:.0f}" for name in ("start", "quarter", "peak", "end"))
    slopes = ("" if one[name] is None else f"{one[name]:+.1f}" for name in ("slope", "steady"))
    return (*sizes, *slopes, {True: "yes", False: "no", None: "too short"}[one["flat"]])


Batches = Annotated[int, typer.Option(min=1, help="Batches submitted at once.")]
Items = Annotated[int, typer.Option(min=1, help="Items of each.")]
Small = Annotated[int, typer.Option(min=1, help="Items of the batch submitted in the middle.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas of the pipeline.")]
Chunk = Annotated[int, typer.Option(min=1, help="Items a task.")]
Window = Annotated[int, typer.Option(min=1, help="Tasks of a batch in flight.")]

app = new_app()


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    batches: Batches = 20,
    items: Items = 10_000,
    small: Small = 100,
    replicas: Replicas = 4,
    workers: Workers = 64,
    chunk: Chunk = 10,
    window: Window = 128,
    out: Out = RESULTS,
) -> None:
    """Run many batches at once and measure throughput, fairness, callbacks, the queue and memory."""
    load = Load(batches, items, small, replicas, workers, chunk, window)
    console = new_console()
    machine = describe_machine("bench.speed.load")
    result = run_to_end(run_load(load, console))
    console.print(write(out, load, result, machine))
    if result.problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
