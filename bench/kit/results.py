"""Results of a bench: rows as CSV, the machine that they come from as JSON, and the pages and charts made of them.

A bench has a function `render`: from the folder with its rows it makes every text that shows their figures. A name with
an ending is a file beside the rows (`load.md`, `scale.svg`), any other name a block of a page, see `bench.kit.pages`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors

from bench.kit.errors import BenchError

Row = Mapping[str, Any]
Render = Callable[[Path], Mapping[str, str]]

DIGITS = 4
SHOWN_DIGITS = 3


def publish_rows(out: Path, machine: Row, tables: Mapping[str, Iterable[Row]], render: Render | None = None) -> str:
    """Write each table as `<name>.csv`, the machine as `<first name>.json`, and the files that `render` makes of them.

    Returns the texts to print: all but charts.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        as_frame(rows).with_columns(selectors.float().round(DIGITS)).write_csv(out / f"{name}.csv")
    (out / f"{next(iter(tables))}.json").write_text(json.dumps(machine, indent=2) + "\n")
    return write_files(out, render(out)) if render else ""


def write_files(out: Path, rendered: Mapping[str, str]) -> str:
    """Write the files among rendered texts; returns all texts but charts."""
    for name, text in files_of(rendered).items():
        (out / name).write_text(text)
    return "\n\n".join(text for name, text in rendered.items() if not name.endswith(".svg"))


def files_of(rendered: Mapping[str, str]) -> dict[str, str]:
    """Return the rendered texts that are files of their own."""
    return {name: text for name, text in rendered.items() if "." in name}


def as_frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a frame."""
    return pl.DataFrame(list(rows), infer_schema_length=None)


def read_frame(folder: Path, name: str) -> pl.DataFrame:
    """Read the rows of a table; an empty cell is null. Raises BenchError where there are none."""
    path = folder / f"{name}.csv"
    try:
        return pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BenchError(f"{path} holds no rows: {error}") from error


def read_machine(folder: Path, name: str) -> dict[str, Any]:
    """Read the machine and the command that rows come from; raises BenchError where nothing names them."""
    path = folder / f"{name}.json"
    try:
        machine: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} names no machine: {error}") from error
    return machine


def origin(machine: Row) -> str:
    """Return the command, the day, the commit and the machine in a line."""
    return f"`{machine['command']}`, {machine['date']}, {machine['code']}, {machine['cores']} cores: {machine['cpu']}"


def as_page(title: str, machine: Row, *parts: str) -> str:
    """Return a page: its title, the origin of its rows, and its parts with empty lines between."""
    return "\n\n".join([f"# {title}", origin(machine), *parts]) + "\n"


def table(frame: pl.DataFrame, columns: Mapping[str, tuple[str, str]] | None = None) -> str:
    """Return a table in Markdown: under each heading a column of the frame in a format, nothing for null.

    Without columns it has all of them, fractions with three digits.
    """
    columns = columns or {name.replace("_", " "): (name, "") for name in frame.columns}
    cells = [[_text(value, form) for value in frame[column]] for column, form in columns.values()]
    return lines_of(tuple(columns), zip(*cells, strict=True))


def figures_table(figures: Mapping[str, Sequence[Any]]) -> str:
    """Return a table in Markdown with a line for each figure, and its values side by side."""
    lines = [(name, *(_text(value, "") for value in values)) for name, values in figures.items()]
    return lines_of(("figure", *["value"] * (len(lines[0]) - 1)), lines)


def _text(value: Any, form: str) -> str:
    if isinstance(value, float) and not form:
        form = ",.0f" if abs(value) >= 10**SHOWN_DIGITS else f".{SHOWN_DIGITS}g"
    return "" if value is None else f"{value:{form or (',' if type(value) is int else '')}}"


def lines_of(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown of its headings and lines."""
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (heads, ["---"] * len(heads), *lines))


def medians(frame: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Return a row of medians for each value of the keys, in the order of their first rows."""
    return frame.group_by(*keys, maintain_order=True).agg(selectors.numeric().median())
