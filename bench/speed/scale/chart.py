"""The chart of a scale run, as SVG that is the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from bench.speed.scale.figures import PROCESSES, by_chunk, fit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from bench.speed.scale.figures import Run

mpl.use("Agg")
from matplotlib import pyplot as plt

SIZE = (11.0, 4.5)
PHASES = ("open", "map", "reduce")
DOTTED = 50


def draw_scale(path: Path, runs: Sequence[Run]) -> None:
    """Draw seconds by phase, with the lines through them, and processor time an item by process, over items.

    The runs are those of the largest chunk.
    """
    group = next(iter(by_chunk(runs).values()))
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3}):
        figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, layout="constrained")
        for colour, phase in enumerate(PHASES):
            _draw_phase(left, group, f"{phase}_seconds", f"C{colour}")
        items = [run.items for run in group]
        for name in PROCESSES:
            # Less than the clock's step of 10 ms is 0, for which there is no place on the axis.
            costs = [getattr(run, f"{name}_cpu_ms") / run.items or np.nan for run in group]
            right.plot(items, costs, "o-", label=name)
        _finish(left, f"Seconds, chunk {group[0].chunk:,} (dashed: straight line)", "seconds")
        _finish(right, "Processor time an item", "milliseconds")
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


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
