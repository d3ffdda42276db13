"""The runs as rows, and the medians as tables and charts."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.ticker import ScalarFormatter

from bench.kit.charts import new_figure, save
from bench.kit.publish import rounded, terminal_table
from bench.speed.parallelism.figures import BARE, TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console

    from bench.speed.parallelism.figures import Point, Run

PROCESSES = ("function", "model", "gateway", "redis", "s3")
PANEL = (4.6, 4.0)


def row(run: Run) -> dict[str, object]:
    """Return a run as a row; a cell is None for a figure that is out of sight."""
    return {
        **{name: getattr(run.case, name) for name in ("way", "parallelism", "model_ms", "items")},
        **{name: getattr(run, name) for name in ("at_once", "repeat", "seconds", "total_seconds")},
        **{name: getattr(run, name) for name in ("items_per_second", "efficiency", "retried")},
        **{f"{name}_cpu_ms_per_item": run.cpu_ms.get(name) for name in PROCESSES},
        "function_peak_rss_mb": run.peak_rss_mb,
        **{name if name.endswith("ms") else f"{name}_per_item": run.traffic.get(name) for name in TRAFFIC},
    }


def print_points(console: Console, points: Sequence[Point]) -> None:
    """Print medians as three tables: throughput, processor time, and requests."""
    throughput, used, requests = [], [], []
    for point in points:
        case = point.case
        names = {"way": case.way, "model ms": case.model_ms, "parallelism": case.parallelism}
        rates = {"items/s": f"{point.items_per_second:.1f}", "spread": f"{point.spread:.0%}"}
        ratios = {"of bare": rounded(point.against_bare, 2), "efficiency": rounded(point.efficiency, 3)}
        throughput.append({**names, "items": case.items, **rates, **ratios})
        cpu = {name: rounded(point.cpu_ms.get(name), 2) for name in PROCESSES}
        used.append({**names, **cpu, "MiB": rounded(point.peak_rss_mb, 0)})
        if point.traffic:
            requests.append({**names, **{name: f"{value:.3g}" for name, value in point.traffic.items()}})
    console.print(
        terminal_table("Throughput (medians)", throughput),
        terminal_table("Processor milliseconds an item, and the function's peak memory", used),
        terminal_table("Requests an item, and milliseconds of a task and of a callback", requests),
    )


def draw_throughput(path: Path, points: Sequence[Point]) -> None:
    """Draw items a second over parallelism, a panel a model time and a line a way; dashed is the ideal of one item."""

    def draw(axes: Axes, model_ms: int) -> None:
        _lines(axes, points, model_ms, lambda point: point.items_per_second)
        ticks = _parallelism(points)
        if model_ms:
            axes.plot(ticks, [1000 * workers / model_ms for workers in ticks], "--", color="grey", label="ideal")
        # The same base on both axes: twice the workers, twice the items is one step to the right and one up.
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(ScalarFormatter())

    _panels(path, points, "items per second", draw, _model_times(points))


def draw_ratios(path: Path, points: Sequence[Point]) -> None:
    """Draw throughput as a multiple of the bare queue's, a panel a model time and a line a way."""

    def draw(axes: Axes, model_ms: int) -> None:
        _lines(axes, points, model_ms, lambda point: None if point.case.way == BARE else point.against_bare)
        axes.axhline(1, color="grey", linestyle="--")
        axes.set_ylim(bottom=0)

    _panels(path, points, "throughput / bare queue's", draw, _model_times(points))


def draw_efficiency(path: Path, points: Sequence[Point]) -> None:
    """Draw the ideal makespan as a share of the measured one, a panel a model time that is not 0."""

    def draw(axes: Axes, model_ms: int) -> None:
        _lines(axes, points, model_ms, lambda point: point.efficiency)
        axes.axhline(1, color="grey", linestyle="--")
        axes.set_ylim(bottom=0)

    _panels(path, points, "efficiency (ideal makespan / measured)", draw, [ms for ms in _model_times(points) if ms])


def draw_costs(path: Path, points: Sequence[Point]) -> None:
    """Draw the processor time by process, a panel a way, at the shortest model time, over parallelism."""
    shortest = _model_times(points)[0]
    ways = {way: list(group) for way, group in groupby(points, key=lambda point: point.case.way)}
    figure, grid = new_figure(len(ways), (PANEL[0] * len(ways), PANEL[1]), one_scale=True)
    for axes, (way, group) in zip(grid, ways.items(), strict=True):
        line = [point for point in group if point.case.model_ms == shortest]
        places = [str(point.case.parallelism) for point in line]
        bottom = [0.0] * len(line)
        for name in PROCESSES:
            heights = [point.cpu_ms.get(name, 0.0) for point in line]
            axes.bar(places, heights, bottom=bottom, label=name)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        axes.set_title(f"{way}, {shortest} ms model")
        axes.set_xlabel("queue-worker parallelism")
    grid[0].set_ylabel("processor ms per item")
    grid[-1].legend()
    save(figure, path)


def _panels(
    path: Path, points: Sequence[Point], label: str, draw: Callable[[Axes, int], None], model_times: Sequence[int]
) -> None:
    figure, grid = new_figure(len(model_times), (PANEL[0] * len(model_times), PANEL[1]))
    for axes, model_ms in zip(grid, model_times, strict=True):
        draw(axes, model_ms)
        axes.set_title(f"{model_ms} ms model")
        ticks = _parallelism(points)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("queue-worker parallelism")
        axes.set_ylabel(label)
        axes.legend()
    save(figure, path)


def _lines(axes: Axes, points: Sequence[Point], model_ms: int, value: Callable[[Point], float | None]) -> None:
    for index, (way, group) in enumerate(groupby(points, key=lambda point: point.case.way)):
        line = [(p.case.parallelism, value(p)) for p in group if p.case.model_ms == model_ms and value(p) is not None]
        if line:
            axes.plot(*zip(*line, strict=True), "o-", color=f"C{index}", label=way)


def _model_times(points: Sequence[Point]) -> list[int]:
    return sorted({point.case.model_ms for point in points})


def _parallelism(points: Sequence[Point]) -> list[int]:
    return sorted({point.case.parallelism for point in points})
