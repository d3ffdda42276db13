"""The cost of an item over sizes, and the lines through them, from the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bench.kit.charts import as_svg, new_figure
from bench.kit.pages import bullets
from bench.kit.results import as_page, lines_of, read_frame, read_machine, table
from bench.speed.scale.plan import plan_page

if TYPE_CHECKING:
    from pathlib import Path

NAME = "scale"
PROCESSES = ("pipeline", "model", "gateway", "redis", "s3")
PHASES = ("open", "map", "reduce")
FITTED = (*(f"{phase}_seconds" for phase in PHASES), "cpu_ms", "redis_commands", "s3_requests", "stored_bytes")
# Fewer points always lie on a line.
FEWEST = 3
# The distance from the line, as a share, up to which a measured value counts as on it.
STRAIGHT = 0.25
SIZE = (11.0, 4.5)
DOTTED = 50
SHOWN = {1_000, 1_000_000}


@dataclass(frozen=True)
class Line:
    """`fixed` + `per_item` x items; `off` is the largest distance of a measured value from it, as a share of that."""

    fixed: float
    per_item: float
    off: float

    @property
    def straight(self) -> bool:
        """Whether twice the items cost twice as much, and something once."""
        return self.off <= STRAIGHT


def fit(rows: pl.DataFrame, name: str) -> Line | None:
    """Lay the line through a figure of batches over their items; None for fewer than three sizes.

    Distances count as shares of the values: else the largest batch alone would decide.
    """
    items, values = (rows[column].cast(pl.Float64).to_numpy() for column in ("items", name))
    if rows["items"].n_unique() < FEWEST or not values.all():
        return None
    per_item, fixed = np.polyfit(items, values, 1, w=1 / values)
    off = np.abs(fixed + per_item * items - values) / values
    return Line(float(fixed), float(per_item), float(off.max()))


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Add sums over phases, processes and kinds, and sort: the largest chunk first, then by size."""
    total = pl.sum_horizontal(f"{phase}_seconds" for phase in PHASES)
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
    return {
        f"{NAME}.md": as_page("The cost of an item over sizes", machine, *_tables(rows), _lines(rows)),
        f"{NAME}-plan.md": plan_page(rows.group_by("chunk", maintain_order=True).last().to_dicts(), machine),
        f"{NAME}.svg": _chart(group),
        **({"findings": _findings(group)} if set(group["items"]) >= SHOWN else {}),
    }


def _tables(rows: pl.DataFrame) -> list[str]:
    batch = {"chunk": ("chunk", ",.0f"), "items": ("items", ",.0f")}
    items = pl.col("items")
    costs = {f"{name}": 1000 * pl.col(f"{name}_cpu_ms") / items for name in PROCESSES}
    costs |= {"all": 1000 * pl.col("cpu_ms") / items, "s3_thousand": 1000 * pl.col("s3_requests") / items}
    each = rows.with_columns(
        **costs, **{f"{n}_item": pl.col(n) / items for n in ("redis_bytes", "redis_commands", "stored_bytes")}
    )
    seconds = {f"{name}, s": (f"{name}_seconds", ".2f") for name in (*PHASES, "total")}
    memory = {
        "opening": ("opening_rss_mb", ".0f"),
        "map": ("pipeline_rss_mb", ".0f"),
        "reduce": ("reduce_rss_mb", ".0f"),
    }
    services = {"Redis, B": ("redis_bytes_item", ",.2f"), "Redis commands": ("redis_commands_item", ",.2f")}
    return [
        table(each, batch | seconds | {"items/s": ("items_per_second", ",.0f")}),
        "Processor microseconds an item:",
        table(each, batch | {name: (name, ".1f") for name in (*PROCESSES, "all")}),
        "Redis and S3 an item, and requests to S3 for 1,000:",
        table(
            each, batch | services | {"S3, B": ("stored_bytes_item", ",.2f"), "S3 requests": ("s3_thousand", ",.2f")}
        ),
        "Peaks in MiB, of the pipeline by phase, and of the others while items ran:",
        table(each, batch | memory | {name: (f"{name}_rss_mb", ".0f") for name in PROCESSES[1:]}),
    ]


def _lines(rows: pl.DataFrame) -> str:
    lines = [
        (
            f"{chunk:,}",
            name,
            f"{line.fixed:,.3g}",
            f"{1000 * line.per_item:,.3g}",
            f"{line.off:.0%}",
            "yes" if line.straight else "no",
        )
        for (chunk,), group in rows.group_by("chunk", maintain_order=True)
        for name in FITTED
        if (line := fit(group, name)) is not None
    ]
    return "Straight lines:\n\n" + lines_of(("chunk", "figure", "once", "1,000 items", "off", "straight"), lines)


def _findings(group: pl.DataFrame) -> str:
    small, large = (group.row(index, named=True) for index in (0, -1))
    lines: dict[str, Any] = {name: fit(group, name) for name in FITTED}
    bent = [name for name, line in lines.items() if line and not line.straight]
    requests = lines["s3_requests"]
    memory = [*group["opening_rss_mb"], *group["pipeline_rss_mb"]]
    return bullets(
        f"A million items take {large['total_seconds']:.1f} s from the claim to the summary, "
        f"{large['reduce_seconds']:.1f} s of it from the last outcome to the end; a thousand take "
        f"{1000 * small['total_seconds']:.0f} ms, {1000 * small['reduce_seconds']:.0f} ms of it for the summary. "
        f"Further than {STRAIGHT:.0%} from a straight line: {', '.join(bent) or 'nothing'}.",
        f"S3 gets {requests.fixed:.0f} requests a batch, and {1000 * requests.per_item:.1f} for 1,000 items.",
        "Redis holds the outcomes that are in no segment yet, not the batch: at most "
        f"{max(group['redis_bytes'].to_list()) / 1e6:.1f} MB more.",
        f"The pipeline stays between {min(memory):.0f} and {max(memory):.0f} MiB while it opens and maps. The summary "
        f"of a million takes {large['reduce_rss_mb']:.0f} MiB.",
    )


def _chart(group: pl.DataFrame) -> str:
    """Draw seconds by phase, with the lines through them, and processor time an item by process, over items."""
    figure, (left, right) = new_figure(2, SIZE)
    items = group["items"].to_list()
    for colour, phase in enumerate(PHASES):
        left.plot(items, group[f"{phase}_seconds"], "o", color=f"C{colour}", label=phase)
        line = fit(group, f"{phase}_seconds")
        if line is not None:
            at = np.geomspace(items[0], items[-1], DOTTED)
            left.plot(at, line.fixed + line.per_item * at, "--", color=f"C{colour}")
    for name in PROCESSES:
        # Less than the clock's step of 10 ms is 0, for which there is no place on the axis.
        costs = [cost / count or np.nan for cost, count in zip(group[f"{name}_cpu_ms"], items, strict=True)]
        right.plot(items, costs, "o-", label=name)
    labels = {left: ("Seconds (dashed: straight line)", "seconds"), right: ("Processor time an item", "milliseconds")}
    for axes, (title, label) in labels.items():
        axes.set(xscale="log", yscale="log", xlabel="items", ylabel=label, title=title)
        axes.legend()
    return as_svg(figure)
