"""The medians as a bar chart, as SVG that is the same for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

from bench.compare.forms import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.compare.figures import Point

mpl.use("Agg")
from matplotlib import pyplot as plt

WIDTH, BAR_HEIGHT, MARGIN = 10.0, 0.42, 1.2


def draw(path: Path, points: Sequence[Point], title: str) -> None:
    """Draw a bar a form: its median throughput, with a line from the lowest to the highest run."""
    labels = [f"{point.form.way}: {point.form.words}" for point in points]
    rates = [point.items_per_second for point in points]
    below = [point.items_per_second - point.lowest for point in points]
    above = [point.highest - point.items_per_second for point in points]
    colours = [f"C{WAYS.index(point.form.way)}" for point in points]
    # Text stays text, so that it can be searched and read aloud; ids come from the salt, not from chance.
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(figsize=(WIDTH, MARGIN + BAR_HEIGHT * len(points)), layout="constrained")
        axes.barh(labels, rates, xerr=(below, above), color=colours, ecolor="black", capsize=3)
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.set_xlabel("items per second, from submission to a readable summary")
        axes.set_title(title)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)
