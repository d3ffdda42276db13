"""Charts of medians, as SVG that is the same for the same figures."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import matplotlib as mpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from bench.figures import Point

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

SIZE = (11.0, 4.5)


def draw_parallelism(path: Path, points: Sequence[Point]) -> None:
    """Draw throughput, and efficiency where there is a model time, over parallelism; one line a model time."""
    timed = any(point.efficiency is not None for point in points)
    # Text stays text, so that it can be searched and read aloud; ids come from the salt, not from chance.
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3}):
        figure, axes = plt.subplots(1, 1 + timed, figsize=SIZE, layout="constrained", squeeze=False)
        for index, (model_ms, group) in enumerate(groupby(points, key=lambda point: point.case.model_ms)):
            line = list(group)
            _draw_throughput(axes[0][0], line, f"{model_ms} ms model", f"C{index}")
            if model_ms:
                _draw_efficiency(axes[0][1], line, f"{model_ms} ms model", f"C{index}")
        _finish(axes[0][0], points, "items per second")
        # The same base on both axes: twice the workers, twice the items is one step to the right and one up.
        axes[0][0].set_yscale("log", base=2)
        axes[0][0].yaxis.set_major_formatter(ScalarFormatter())
        axes[0][0].set_title("Throughput (dashed: ideal)")
        if timed:
            _finish(axes[0][1], points, "efficiency (ideal makespan / measured)")
            axes[0][1].axhline(1, color="grey", linestyle="--")
            axes[0][1].set_ylim(bottom=0)
            axes[0][1].set_title("Efficiency")
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _draw_throughput(axes: Axes, points: Sequence[Point], label: str, colour: str) -> None:
    parallelism = [point.case.parallelism for point in points]
    axes.plot(parallelism, [point.items_per_second for point in points], "o-", color=colour, label=label)
    model_ms = points[0].case.model_ms
    if model_ms:
        axes.plot(parallelism, [1000 * workers / model_ms for workers in parallelism], "--", color=colour)


def _draw_efficiency(axes: Axes, points: Sequence[Point], label: str, colour: str) -> None:
    known = [(point.case.parallelism, point.efficiency) for point in points if point.efficiency is not None]
    axes.plot([at for at, _ in known], [value for _, value in known], "o-", color=colour, label=label)


def _finish(axes: Axes, points: Sequence[Point], label: str) -> None:
    ticks = sorted({point.case.parallelism for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("queue-worker parallelism")
    axes.set_ylabel(label)
    axes.legend()
