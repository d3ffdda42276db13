"""The results of a bench: rows as CSV, the machine as JSON, a page of Markdown; and tables on the terminal."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from rich.table import Table

from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance

    Row = Mapping[str, Any]

T = TypeVar("T", bound="DataclassInstance")

FACTS = ("command", "date", "code", "cpu", "cores", "load_before", "system", "python")


def publish(out: Path, name: str, *, machine: Row | None = None, rows: Sequence[Row] = (), page: str = "") -> None:
    """Write the rows (`.csv`), the machine (`.json`) and the page (`.md`) into a folder, under a name."""
    out.mkdir(parents=True, exist_ok=True)
    if rows:
        write_rows(out / f"{name}.csv", rows)
    if machine is not None:
        (out / f"{name}.json").write_text(json.dumps(machine, indent=2) + "\n")
    if page:
        (out / f"{name}.md").write_text(page)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, under the names of the first one's cells; the cell of None is empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read rows; raises BenchError where there is no such file."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error}") from error


def read_runs(path: Path, kind: type[T]) -> list[T]:
    """Read rows as instances of a dataclass whose fields are numbers and text; raises BenchError for other rows."""
    types = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    try:
        return [kind(**{name: types[name](row[name]) for name in names}) for row in read_rows(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{path} holds no rows of this bench: {error!r}") from error


def heading(title: str, machine: Row) -> list[str]:
    """Return the first lines of a page: its title, the command, the time, the code and the machine."""
    where = f"`{machine['command']}`, {machine['date']}, {machine['code']}, {machine['cores']} cores: {machine['cpu']}"
    return [f"# {title}", "", where, ""]


def facts(machine: Row) -> list[str]:
    """Return the facts of the machine and the command as a list in Markdown."""
    return [f"- {name.replace('_', ' ')}: {machine[name]}" for name in FACTS]


def markdown_table(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(map(str, cells))} |" for cells in (heads, ["---"] * len(heads), *lines)]


def median_table(rows: Sequence[Row], key: str, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return a line of medians for each value of the cell `key`.

    `columns` are the figure and its format under each heading.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    lines = [
        (name, *(f"{median(row[figure] for row in group):{form}}" for figure, form in columns.values()))
        for name, group in groups.items()
    ]
    return markdown_table((key, *columns), lines)


def terminal_table(title: str, rows: Sequence[Row]) -> Table:
    """Return a table for the terminal, under the names of the first row's cells."""
    table = Table(title=title, title_justify="left")
    for name, value in (rows[0] if rows else {}).items():
        table.add_column(name, justify="left" if str(value)[:1].isalpha() else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


def rounded(value: float | None, digits: int) -> str:
    """Return a number with so many digits after the point, nothing for None."""
    return "" if value is None else f"{value:.{digits}f}"


def _cell(value: object) -> object:
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
