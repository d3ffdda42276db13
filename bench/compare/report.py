"""The page of a comparison and its chart, made of the rows: medians of the forms, and outcomes of the faults."""

from pathlib import Path

import polars as pl
from polars import selectors

from bench.compare.ways import FORMS, WAYS
from bench.kit.charts import as_svg, new_figure
from bench.kit.pages import bullets, wrap
from bench.kit.results import as_page, origin, read_frame, read_machine, table

NAME, FAULTS = "compare", "compare-faults"
WIDTH, BAR_HEIGHT, MARGIN = 10.0, 0.42, 1.2
CPU = selectors.ends_with("_cpu_ms_per_item")
COLUMNS = {
    "way": ("label", ""),
    "items/s": ("items_per_second", ",.0f"),
    "lowest": ("lowest", ",.0f"),
    "highest": ("highest", ",.0f"),
    "of the original": ("of_original", ".2f"),
    "CPU ms": ("way_cpu_ms_per_item", ".2f"),
    "all ms": ("all_ms", ".2f"),
}
FAULT_COLUMNS = {
    **{name: (name, "") for name in ("way", "fault", "done", "runs", "seconds")},
    "calls repeated": ("repeated", ""),
    "what happened": ("happened", ""),
}


def points(runs: pl.DataFrame) -> pl.DataFrame:
    """Return a row of medians for each form, in the order of the first runs, with its lowest and highest run."""
    rate, labels = pl.col("items_per_second"), {form.name: f"{form.way}: {form.words}" for form in FORMS}
    medians = runs.group_by("form", "way", maintain_order=True).agg(
        rate.median(), CPU.median(), lowest=rate.min(), highest=rate.max()
    )
    original = rate.filter(pl.col("form") == "original").first()
    return medians.with_columns(
        label=pl.col("form").replace(labels), of_original=rate / original, all_ms=pl.sum_horizontal(CPU)
    )


def render(folder: Path) -> dict[str, str]:
    """Return the page and the chart of the rows, and the tables that other pages show of them."""
    runs, machine = read_frame(folder, NAME), read_machine(folder, NAME)
    first = runs.row(0, named=True)
    size = f"{first['items']:,} items, parallelism {first['parallelism']}, a model of {first['model_ms']} ms"
    about = f"{size}, medians of {runs['repeat'].n_unique()}."
    throughput = table(points(runs), COLUMNS)
    parts, tables = [about, throughput], [throughput]
    if (folder / f"{FAULTS}.csv").exists():
        rows = read_frame(folder, FAULTS)
        lines = faults(rows)
        tables.append(outcomes(lines))
        items = (
            f"{rows['items'][0]} items, one a task. Numbers of several runs stand beside each other where they differ."
        )
        parts += ["## Faults, run against each way", items, table(lines, FAULT_COLUMNS)]
    page = as_page("The pipeline beside other ways of doing the same job", machine, *parts)
    by = wrap(f"{origin(machine)}: {about}")
    blocks = {"tables": "\n\n".join([*tables, by]), "throughput": f"{throughput}\n\n{by}"}
    return {f"{NAME}.md": page, f"{NAME}.svg": draw(points(runs), size), **blocks}


def draw(forms: pl.DataFrame, title: str) -> str:
    """Return a chart with a bar a form: its median throughput, with a line from the lowest to the highest run."""
    rates = forms["items_per_second"]
    errors = ((rates - forms["lowest"]).to_list(), (forms["highest"] - rates).to_list())
    colours = [f"C{WAYS.index(way)}" for way in forms["way"]]
    figure, (axes,) = new_figure(1, (WIDTH, MARGIN + BAR_HEIGHT * forms.height))
    axes.barh(forms["label"].to_list(), rates.to_list(), xerr=errors, color=colours, ecolor="black", capsize=3)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("items per second, from submission to a readable summary")
    axes.set_title(title)
    return as_svg(figure)


def faults(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row a fault, with equal numbers and words of its runs listed once."""
    lines = []
    for (way, fault, done), group in rows.group_by("way", "fault", "done", maintain_order=True):
        kinds = group["happened"].value_counts(sort=True).rows()
        runs = [f"{count} of {group.height} runs: {text}" for text, count in kinds] if len(kinds) > 1 else [kinds[0][0]]
        seconds, repeated = (_together(group[name]) for name in ("seconds", "repeated_calls"))
        numbers = {"runs": group.height, "seconds": seconds, "repeated": repeated}
        lines.append({"way": way, "fault": fault, "done": done, **numbers, "happened": "; ".join(runs)})
    return pl.DataFrame(lines)


def outcomes(lines: pl.DataFrame) -> str:
    """Return a line a way: what happens to a batch at each fault, described where a way has several of a kind."""
    several = pl.len().over("way", "fault") > 1
    name = pl.when(several).then(pl.format("{} ({})", "fault", "done")).otherwise("fault")
    repeated = (
        pl.when(pl.col("repeated") == "0").then(pl.lit("")).otherwise(pl.format(", calls repeated: {}", "repeated"))
    )
    texts = lines.with_columns(text=pl.concat_str(name, pl.lit(": "), "happened", repeated))
    ways = texts.group_by("way", maintain_order=True).agg(pl.col("text").str.join("; "))
    return bullets(*(f"{way}: {text}" for way, text in ways.rows()))


def _together(values: pl.Series) -> str:
    texts = [f"{value:.0f}" for value in values]
    return ", ".join(texts if len(set(texts)) > 1 else texts[:1])
