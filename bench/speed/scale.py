"""One batch at each of several sizes: `python -m bench.speed.scale`, on a local stack."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from polars import selectors

from bench.kit.charts import as_svg, new_figure
from bench.kit.cli import Out, Workers, interleaved, measure, new_app
from bench.kit.counters import counted, stored_bytes
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.pages import bullets
from bench.kit.processes import Memory, Usage, sampled
from bench.kit.results import as_page, read_frame, read_machine, table
from bench.kit.stack import Site, Times, model_spec, open_site, pids, run_batch, times_of
from bench.speed.plan import plan_page
from pipeline.client import Progress

NAME = "scale"
PROCESSES = ("pipeline", "model", "gateway", "redis", "s3")
SECONDS = ("open_seconds", "map_seconds", "reduce_seconds", "total_seconds")
FITTED = (*SECONDS[:3], "cpu_ms", "redis_commands", "s3_requests", "stored_bytes")
COSTS = (*(f"{name}_cpu_ms" for name in PROCESSES), "cpu_ms", "redis_bytes", *FITTED[4:])
# Fewer points always lie on a line.
FEWEST = 3
# The distance from the line, as a share, up to which a measured value counts as on it.
STRAIGHT = 0.25
SIZE = (11.0, 4.5)
DOTTED = 50
SHOWN = {1_000, 1_000_000}

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHUNK = 1_000
MOST_ALONE = 10_000
MODEL = "model"
COUNTS = ("redis_scripts", "redis_commands", "s3_put", "s3_get", "s3_delete")
WARM_UP_ITEMS = 1_000
HEAD = "bytes=0-4095"
_COUNT = re.compile(rb'"failures":\{"count":0,"results":\[\]\},"results":\{"count":(?P<count>\d+),')

Row = dict[str, Any]


Sizes = Annotated[list[int] | None, typer.Option("--size", min=1, help="Items of a batch; may be repeated.")]
ResultBytes = Annotated[int, typer.Option(min=27, help="Bytes of a result, about.")]

app = new_app()


@app.command()
def main(
    *,
    sizes: Sizes = None,
    workers: Workers = 4,
    result_bytes: ResultBytes = 200,
    out: Out = RESULTS,
) -> None:
    """Measure the cost of a batch at each size, and plan a far larger one.

    The chunk is 1,000 items, sent in one call; batches of up to 10,000 items also run at chunk 1.
    """
    measure("bench.speed.scale", _measure(sizes or SIZES, workers, result_bytes), out, render)


async def _measure(sizes: Sequence[int], workers: int, result_bytes: int) -> dict[str, list[Row]]:
    cases, rows = [(items, CHUNK) for items in sizes] + [(items, 1) for items in sizes if items <= MOST_ALONE], []
    for _, (items, chunk) in interleaved(cases):
        async with open_site(model_spec(MODEL, 0, result_bytes), workers=workers) as site:
            await _run(site, min(items, WARM_UP_ITEMS), chunk)
            rows.append(await _run_measured(site, items, chunk))
    return {NAME: rows}


async def _run(site: Site, items: int, chunk: int) -> Progress:
    return await run_batch(site, items, function=MODEL, chunk=chunk, chunk_call=chunk > 1)


async def _run_measured(site: Site, items: int, chunk: int) -> Row:
    """Run a batch: seconds by phase, processor time of the whole batch in milliseconds, peaks of memory in MiB."""
    groups = pids(site.stack, ("pipeline", MODEL))
    before, usage = await site.counts(), Usage(groups)
    async with sampled(groups) as memory:
        status = await _run(site, items, chunk)
    cpu, counts = usage.cpu_ms(), counted(before, await site.counts())
    await _check(site, items, status)
    stored, times = await stored_bytes(site.bucket, status.batch_id), times_of(status)
    return {
        "items": items,
        "chunk": chunk,
        "open_seconds": times.started - times.created,
        "map_seconds": times.completed - times.started,
        "reduce_seconds": times.ended - times.completed,
        **{f"{name}_cpu_ms": cpu[name] for name in PROCESSES},
        **_memory(memory, times),
        "redis_bytes": counts["redis_peak"],
        **{name: counts[name] for name in COUNTS},
        "snapshot_bytes": stored["input"],
        "segment_bytes": stored["segments"],
        "summary_bytes": stored["refs"] + stored["outputs"],
    }


async def _check(site: Site, items: int, status: Progress) -> None:
    """Raise BenchError unless the summary counts every item as a result."""
    key = f"{status.batch_id}.json"
    answer = await site.bucket.client.get_object(Bucket=site.bucket.name, Key=key, Range=HEAD)
    count = _COUNT.search(await answer["Body"].read())
    if count is None or int(count["count"]) != items:
        raise BenchError(f"the summary of batch {status.batch_id} lacks some of {items} results")


def _memory(memory: Memory, times: Times) -> dict[str, float]:
    """Return the peaks by phase; the ledger's clock is this machine's."""
    return {
        "opening_rss_mb": memory.peak("pipeline", times.created, times.started),
        **{f"{name}_rss_mb": memory.peak(name, times.started, times.completed) for name in PROCESSES},
        "reduce_rss_mb": memory.peak("pipeline", times.completed, times.ended),
    }


@dataclass(frozen=True)
class Line:
    """`fixed` + `each` x items; `off` is the largest distance of a measured value from it, as a share of that."""

    fixed: float
    each: float
    off: float


def fit(rows: pl.DataFrame, name: str, over: str = "items") -> Line | None:
    """Lay the line through a figure of batches over their items or another one; None for fewer than three places.

    Distances count as shares of the values: else the largest batch alone would decide.
    """
    places, values = (rows[column].cast(pl.Float64).to_numpy() for column in (over, name))
    if rows[over].n_unique() < FEWEST or not values.all():
        return None
    each, fixed = np.polyfit(places, values, 1, w=1 / values)
    off = np.abs(fixed + each * places - values) / values
    return Line(float(fixed), float(each), float(off.max()))


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Add sums over phases, processes and kinds, and sort: the largest chunk first, then by size."""
    total = pl.sum_horizontal(SECONDS[:3])
    return rows.with_columns(
        total_seconds=total,
        items_per_second=pl.col("items") / total,
        cpu_ms=pl.sum_horizontal(f"{name}_cpu_ms" for name in PROCESSES),
        s3_requests=pl.sum_horizontal("s3_put", "s3_get", "s3_delete"),
        stored_bytes=pl.sum_horizontal("snapshot_bytes", "segment_bytes", "summary_bytes"),
    ).sort(-pl.col("chunk"), "items")


def render(folder: Path) -> dict[str, str]:
    """Return the page, the plan, the chart, and the findings of a run over all sizes."""
    rows, machine = summed(read_frame(folder, NAME)), read_machine(folder, NAME)
    group = rows.filter(pl.col("chunk") == pl.col("chunk").max())
    each = pl.col("items") / 1000
    costs = rows.select("chunk", "items", *(pl.col(name) / each for name in COSTS))
    parts = {
        "Seconds": table(rows.select("chunk", "items", *SECONDS, "items_per_second")),
        "Costs of 1,000 items": table(costs),
        "Peaks of memory in MiB": table(rows.select("chunk", "items", selectors.ends_with("_rss_mb"))),
        "Straight lines": _lines(rows),
    }
    page = as_page("The cost of an item over sizes", machine, *(f"## {head}\n\n{text}" for head, text in parts.items()))
    return {
        f"{NAME}.md": page,
        f"{NAME}-plan.md": plan_page(rows.group_by("chunk", maintain_order=True).last().to_dicts(), machine),
        f"{NAME}.svg": _chart(group),
        **({"findings": _findings(group)} if set(group["items"]) >= SHOWN else {}),
    }


def _lines(rows: pl.DataFrame) -> str:
    lines = [
        {"chunk": chunk, "figure": name, "once": line.fixed, "1,000 items": 1000 * line.each, "off": line.off}
        for (chunk,), group in rows.group_by("chunk", maintain_order=True)
        for name in FITTED
        if (line := fit(group, name)) is not None
    ]
    return table(pl.DataFrame(lines))


def _findings(group: pl.DataFrame) -> str:
    small, large = (group.row(index, named=True) for index in (0, -1))
    lines: dict[str, Any] = {name: fit(group, name) for name in FITTED}
    bent = [name for name, line in lines.items() if line and line.off > STRAIGHT]
    requests = lines["s3_requests"]
    memory = [*group["opening_rss_mb"], *group["pipeline_rss_mb"]]
    return bullets(
        f"A million items take {large['total_seconds']:.1f} s from the claim to the summary, "
        f"{large['reduce_seconds']:.1f} s of it from the last outcome to the end; a thousand take "
        f"{1000 * small['total_seconds']:.0f} ms, {1000 * small['reduce_seconds']:.0f} ms of it for the summary. "
        f"Further than {STRAIGHT:.0%} from a straight line: {', '.join(bent) or 'nothing'}.",
        f"S3 gets {requests.fixed:.0f} requests a batch, and {1000 * requests.each:.1f} for 1,000 items.",
        "Redis holds the outcomes that are in no segment yet, not the batch: at most "
        f"{max(group['redis_bytes'].to_list()) / 1e6:.1f} MB more.",
        f"The pipeline stays between {min(memory):.0f} and {max(memory):.0f} MiB while it opens and maps. The summary "
        f"of a million takes {large['reduce_rss_mb']:.0f} MiB.",
    )


def _chart(group: pl.DataFrame) -> str:
    """Draw seconds by phase, with the lines through them, and processor time an item by process, over items."""
    figure, (left, right) = new_figure(2, SIZE)
    items = group["items"].to_list()
    for colour, phase in enumerate(SECONDS[:3]):
        left.plot(items, group[phase], "o", color=f"C{colour}", label=phase.removesuffix("_seconds"))
        line = fit(group, phase)
        if line is not None:
            at = np.geomspace(items[0], items[-1], DOTTED)
            left.plot(at, line.fixed + line.each * at, "--", color=f"C{colour}")
    for name in PROCESSES:
        # Less than the clock's step of 10 ms is 0, for which there is no place on the axis.
        costs = [cost / count or np.nan for cost, count in zip(group[f"{name}_cpu_ms"], items, strict=True)]
        right.plot(items, costs, "o-", label=name)
    labels = {left: ("Seconds (dashed: straight line)", "seconds"), right: ("Processor time an item", "milliseconds")}
    for axes, (title, label) in labels.items():
        axes.set(xscale="log", yscale="log", xlabel="items", ylabel=label, title=title)
        axes.legend()
    return as_svg(figure)


if __name__ == "__main__":
    app()
