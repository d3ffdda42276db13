"""Charts as SVG: the same figures give the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

mpl.use("Agg")
from matplotlib import pyplot as plt

# Text stays text, so that it can be searched and read aloud; ids come from the salt, not from chance.
_STYLE: dict[Any, Any] = {"svg.hashsalt": "bench", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3}


def new_figure(panels: int, size: tuple[float, float], *, one_scale: bool = False) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with panels side by side, of the size in inches; `one_scale` for all their vertical axes."""
    with mpl.rc_context(_STYLE):
        figure, grid = plt.subplots(1, panels, figsize=size, layout="constrained", squeeze=False, sharey=one_scale)
    return figure, list(grid[0])


def as_svg(figure: Figure) -> str:
    """Return the figure as SVG, and let go of it."""
    with mpl.rc_context(_STYLE), io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        plt.close(figure)
        return file.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure, and let go of it."""
    with mpl.rc_context(_STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
