"""Throughput, ratios and costs from the rows of a sweep: tables, sentences and charts."""

from itertools import product
from pathlib import Path

import polars as pl
from matplotlib.ticker import ScalarFormatter
from polars import selectors

from bench.kit.charts import as_svg, new_figure
from bench.kit.pages import bullets, wrap
from bench.kit.results import as_page, medians, read_frame, read_machine, table
from bench.speed.parallelism.ways import BARE, WAYS

NAME = "parallelism"
PLACE = ("model_ms", "parallelism", "repeat")
CASE = ("way", "model_ms", "parallelism")
PROCESSES = ("function", "model", "gateway", "redis", "s3")
COST = "function_cpu_ms_per_item"
PANEL = (4.6, 4.0)
# The cases that the pages show.
SHOWN = set(product(WAYS, (0, 10, 100), (1, 4, 16, 64)))
IN_README = ((4, 0), (16, 0), (16, 10), (16, 100), (64, 100))
RATES = ("items", "items_per_second", "spread", "of_bare", "efficiency")


def compared(rows: pl.DataFrame) -> pl.DataFrame:
    """Add throughput, efficiency, and throughput and cost as multiples of the bare queue's in the same repeat.

    The efficiency is the time on a platform that costs nothing, as a share of the measured one.
    """
    rounds = pl.col("items") / (pl.col("parallelism") * pl.col("at_once"))
    ideal = pl.when(pl.col("model_ms") > 0).then(rounds * pl.col("model_ms") / 1000)
    missing = [pl.lit(None, pl.Float64).alias(COST)] if COST not in rows.columns else []
    rows = rows.with_columns(
        *missing, items_per_second=pl.col("items") / pl.col("seconds"), efficiency=ideal / pl.col("seconds")
    )
    bare = rows.filter(way=BARE).select(*PLACE, bare_rate="items_per_second", bare_cost=COST)
    return rows.join(bare, on=PLACE, how="left", maintain_order="left").with_columns(
        of_bare=pl.col("items_per_second") / pl.col("bare_rate"),
        cost_of_bare=pl.col(COST) / pl.col("bare_cost"),
        more_than_bare=pl.col(COST) - pl.col("bare_cost"),
    )


def points_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the medians of each case, and the spread of its throughput: (most - least) / median."""
    rate = pl.col("items_per_second")
    rows = compared(rows)
    spread = rows.group_by(CASE).agg(spread=(rate.max() - rate.min()) / rate.median())
    order = (pl.col("way").cast(pl.Enum(list(WAYS))), "model_ms", "parallelism")
    return medians(rows, *CASE).join(spread, on=CASE).sort(*order)


def render(folder: Path) -> dict[str, str]:
    """Return the page, the charts, and the blocks of a whole sweep."""
    rows, machine = read_frame(folder, NAME), read_machine(folder, NAME)
    points = points_of(rows)
    rates = points.select(*CASE, *RATES)
    costs = points.select(selectors.by_name(*CASE) | selectors.ends_with("_per_item", "_mb", "_ms"))
    sections = [table(rates), "Costs of an item, and milliseconds of a task and of a callback:", table(costs)]
    places = rates.pivot("way", index=("parallelism", "model_ms"), values="items_per_second")
    rendered = {f"{NAME}.md": as_page("Throughput over parallelism", machine, *sections), **_charts(points)}
    if not set(points.select(CASE).rows()) >= SHOWN:
        return rendered
    origin = (
        f"`{machine['command']}`, {machine['date'][:10]}, commit {machine['code']}: medians of "
        f"{rows['repeat'].n_unique()}, on {machine['cores']} cores that also ran a stand-in for the gateway, the "
        "queue-workers, Redis, S3 and the model. So compare within a row."
    )
    columns = {
        "queue-workers": ("parallelism", ""),
        "model, ms": ("model_ms", ""),
        **{way: (way, ",.0f") for way in WAYS},
    }
    shown = pl.concat([places.filter(parallelism=workers, model_ms=ms) for workers, ms in IN_README])
    return {**rendered, "throughput": table(shown, columns), "origin": wrap(origin), "findings": _findings(points)}


def _findings(points: pl.DataFrame) -> str:
    def span(way: str, model_ms: int, figure: str, form: str = ".2f", least: int = 1) -> str:
        values = points.filter(pl.col("parallelism") >= least, way=way, model_ms=model_ms)[figure].to_list()
        return f"{min(values):{form}} to {max(values):{form}}"

    return bullets(
        "With a model that answers at once, the cores are full, and the processor time of an item decides. The "
        f"pipeline's process needs {span('chunk 1', 0, COST, least=4)} ms an item from 4 queue-workers on, "
        f"{span('chunk 1', 0, 'more_than_bare', least=4)} ms more than the bare function; with `direct` "
        f"{span('direct', 0, COST, least=4)} ms, {span('direct', 0, 'more_than_bare', least=4)} ms more.",
        f"With a model of 10 ms, `chunk` 1 is at {span('chunk 1', 10, 'of_bare')} of the bare queue, and `direct` at "
        f"{span('direct', 10, 'of_bare')}; with 100 ms at {span('chunk 1', 100, 'of_bare')} and "
        f"{span('direct', 100, 'of_bare')}. The rest of the ideal is lost in the platform.",
        f"With a model that answers at once, `auto` carries {span('chunk auto', 0, 'of_bare', '.1f')} times as many "
        "items as the bare queue.",
    )


def _charts(points: pl.DataFrame) -> dict[str, str]:
    others = points.filter(pl.col("way") != BARE)
    charts = {
        "": _panels(points, "items_per_second", "items per second"),
        "-ratios": _panels(others, "of_bare", "throughput / bare queue's"),
        "-efficiency": _panels(points, "efficiency", "efficiency (ideal makespan / measured)"),
        "-costs": _costs(points) if points[COST].count() else None,
    }
    return {f"{NAME}{name}.svg": svg for name, svg in charts.items() if svg is not None}


def _panels(points: pl.DataFrame, figure: str, label: str) -> str | None:
    """Draw a figure over parallelism, a panel a model time and a line a way; None where no case has the figure."""
    measured = points.filter(pl.col(figure).is_not_null())
    times = measured["model_ms"].unique().sort().to_list()
    if not times:
        return None
    chart, grid = new_figure(len(times), (PANEL[0] * len(times), PANEL[1]))
    for axes, model_ms in zip(grid, times, strict=True):
        for (way,), line in measured.filter(model_ms=model_ms).group_by("way", maintain_order=True):
            axes.plot(line["parallelism"], line[figure], "o-", color=f"C{list(WAYS).index(str(way))}", label=way)
        ticks = measured["parallelism"].unique().sort().to_list()
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        if figure == "items_per_second":
            if model_ms:
                axes.plot(ticks, [1000 * workers / model_ms for workers in ticks], "--", color="grey", label="ideal")
            # The same base on both axes: twice the workers, twice the items is one step to the right and one up.
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter(ScalarFormatter())
        else:
            axes.axhline(1, color="grey", linestyle="--")
            axes.set_ylim(bottom=0)
        axes.minorticks_off()
        axes.set(title=f"{model_ms} ms model", xlabel="queue-worker parallelism", ylabel=label)
        axes.legend()
    return as_svg(chart)


def _costs(points: pl.DataFrame) -> str:
    """Draw the processor time by process, a panel a way, at the shortest model time, over parallelism."""
    shortest = points.filter(model_ms=points["model_ms"].min())
    ways = shortest["way"].unique(maintain_order=True)
    figure, grid = new_figure(len(ways), (PANEL[0] * len(ways), PANEL[1]), one_scale=True)
    for axes, way in zip(grid, ways, strict=True):
        line = shortest.filter(way=way)
        bottom = pl.Series([0.0] * line.height)
        for name in PROCESSES:
            heights = line[f"{name}_cpu_ms_per_item"].fill_null(0)
            axes.bar(line["parallelism"].cast(pl.String), heights, bottom=bottom, label=name)
            bottom += heights
        axes.set(title=f"{way}, {line['model_ms'][0]} ms model", xlabel="queue-worker parallelism")
    grid[0].set_ylabel("processor ms per item")
    grid[-1].legend()
    return as_svg(figure)
