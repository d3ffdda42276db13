"""The runs as tables on the terminal, and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.kit.charts import new_figure, save
from bench.kit.publish import terminal_table
from bench.speed.scale.figures import FITTED, PROCESSES, by_chunk, fit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console

    from bench.speed.scale.figures import Run

SIZE = (11.0, 4.5)
PHASES = ("open", "map", "reduce")
DOTTED = 50


def print_runs(console: Console, runs: Sequence[Run]) -> None:
    """Print the figures, the costs of an item at each size, and the lines through them."""
    times, cpu, requests, memory = [], [], [], []
    for run in (run for group in by_chunk(runs).values() for run in group):
        names = {"chunk": f"{run.chunk:,}", "items": f"{run.items:,}"}
        seconds = {name: getattr(run, f"{name}_seconds") for name in ("open", "map", "reduce", "total")}
        rate = {"items/s": f"{run.items_per_second:,.0f}"}
        times.append({**names, **{name: f"{value:.2f}" for name, value in seconds.items()}, **rate})
        used = {**{name: getattr(run, f"{name}_cpu_ms") for name in PROCESSES}, "all": run.cpu_ms}
        cpu.append({**names, **{name: f"{1000 * ms / run.items:.1f}" for name, ms in used.items()}})
        redis = {"Redis bytes": run.redis_bytes, "commands": run.redis_commands}
        s3 = {"S3 bytes": run.stored_bytes, "S3/1,000": 1000 * run.s3_requests}
        requests.append({**names, **{name: f"{value / run.items:,.2f}" for name, value in {**redis, **s3}.items()}})
        own = {"open": run.opening_rss_mb, "map": run.pipeline_rss_mb, "reduce": run.reduce_rss_mb}
        others = {name: getattr(run, f"{name}_rss_mb") for name in PROCESSES[1:]}
        memory.append({**names, **{name: f"{size:.0f}" for name, size in {**own, **others}.items()}})
    console.print(
        terminal_table("Seconds", times),
        terminal_table("Processor microseconds an item", cpu),
        terminal_table("Redis and S3 an item; S3 requests for 1,000", requests),
        terminal_table("Peaks in MiB: the pipeline by phase, others during the map", memory),
    )
    if lines := _lines(runs):
        console.print(terminal_table("Straight lines", lines))


def _lines(runs: Sequence[Run]) -> list[dict[str, str]]:
    return [
        {
            "chunk": f"{chunk:,}",
            "figure": name,
            "once": f"{line.fixed:,.3g}",
            "1,000 items": f"{1000 * line.per_item:,.3g}",
            "off": f"{line.off:.0%}",
            "straight": "yes" if line.straight else "no",
        }
        for chunk, group in by_chunk(runs).items()
        for name in FITTED
        if (line := fit(group, name)) is not None
    ]


def draw_scale(path: Path, runs: Sequence[Run]) -> None:
    """Draw seconds by phase, with the lines through them, and processor time an item by process, over items.

    The runs are those of the largest chunk.
    """
    group = next(iter(by_chunk(runs).values()))
    figure, (left, right) = new_figure(2, SIZE)
    for colour, phase in enumerate(PHASES):
        _draw_phase(left, group, f"{phase}_seconds", f"C{colour}")
    items = [run.items for run in group]
    for name in PROCESSES:
        # Less than the clock's step of 10 ms is 0, for which there is no place on the axis.
        costs = [getattr(run, f"{name}_cpu_ms") / run.items or np.nan for run in group]
        right.plot(items, costs, "o-", label=name)
    _finish(left, f"Seconds, chunk {group[0].chunk:,} (dashed: straight line)", "seconds")
    _finish(right, "Processor time an item", "milliseconds")
    save(figure, path)


def _draw_phase(axes: Axes, runs: Sequence[Run], name: str, colour: str) -> None:
    items = [run.items for run in runs]
    axes.plot(items, [getattr(run, name) for run in runs], "o", color=colour, label=name.removesuffix("_seconds"))
    line = fit(runs, name)
    if line is not None:
        at = np.geomspace(items[0], items[-1], DOTTED)
        axes.plot(at, line.fixed + line.per_item * at, "--", color=colour)


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("items")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.legend()
