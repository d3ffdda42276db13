"""Charts as SVG: the same figures give the same bytes."""

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

# Text stays text, so that it can be searched and read aloud; ids come from the salt, not from chance.
_STYLE: dict[Any, Any] = {"svg.hashsalt": "bench", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3}


def new_figure(panels: int, size: tuple[float, float], *, one_scale: bool = False) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with panels side by side, of the size in inches; `one_scale` for all their vertical axes."""
    with mpl.rc_context(_STYLE):
        figure, grid = plt.subplots(1, panels, figsize=size, layout="constrained", squeeze=False, sharey=one_scale)
    return figure, list(grid[0])


def as_svg(figure: Figure) -> str:
    """Return the figure as SVG, and let go of it; its description is a digest of the figures that it shows."""
    with mpl.rc_context(_STYLE), io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Description": _digest(figure)})
        plt.close(figure)
        return file.getvalue()


def _digest(figure: Figure) -> str:
    lines = [line.get_xydata() for axes in figure.axes for line in axes.lines]
    bars = [bar.get_bbox().extents for axes in figure.axes for bar in axes.patches if isinstance(bar, Rectangle)]
    shown = " ".join(f"{value:.6g}" for part in (*lines, *bars) for value in np.ravel(part))
    return hashlib.sha256(shown.encode()).hexdigest()
