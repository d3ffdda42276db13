"""Results of the attacks: rows as CSV, the machine as JSON, a page of Markdown."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kit.errors import BenchError
from bench.kit.results import lines_of

Row = Mapping[str, Any]

FACTS = ("command", "date", "code", "cpu", "cores", "load_before", "system", "python")


def publish(out: Path, name: str, *, machine: Row | None = None, rows: Sequence[Row] = (), page: str = "") -> None:
    """Write the rows (`.csv`), the machine (`.json`) and the page (`.md`) into a folder, under a name."""
    out.mkdir(parents=True, exist_ok=True)
    if rows:
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if machine is not None:
        (out / f"{name}.json").write_text(json.dumps(machine, indent=2) + "\n")
    if page:
        (out / f"{name}.md").write_text(page)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read rows; raises BenchError where there is no such file."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error}") from error


def facts(machine: Row) -> list[str]:
    """Return the facts of the machine and the command as a list in Markdown."""
    return [f"- {name.replace('_', ' ')}: {machine[name]}" for name in FACTS]


def markdown_table(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    return lines_of(heads, lines).splitlines()
