"""What a measurement leaves: a file of rows, the machine, and a page of Markdown with their medians."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance


class Repeated(Protocol):
    """One of several runs of the same, by its number from 0."""

    @property
    def repeat(self) -> int:
        """Its number."""


def publish(out: Path, name: str, runs: Sequence[DataclassInstance], machine: Mapping[str, Any], page: str) -> None:
    """Write the runs, one a row, the machine and the page into the folder, under the measurement's name."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(machine, indent=2) + "\n")
    (out / f"{name}.md").write_text(page)
    rows = [asdict(run) for run in runs]
    with (out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({cell: _text(value) for cell, value in row.items()} for row in rows)


def heading(title: str, machine: Mapping[str, Any]) -> list[str]:
    """Return the first lines of a page: its title, and the command, the time, the code and the machine."""
    where = f"`{machine['command']}`, {machine['date']}, {machine['code']}, {machine['cores']} cores: {machine['cpu']}"
    return [f"# {title}", "", where, ""]


def repeats_of(runs: Sequence[Repeated]) -> int:
    """Return how often each was run."""
    return max(run.repeat for run in runs) + 1


def middle(runs: Sequence[object], figure: str) -> float:
    """Return the median of a figure."""
    return float(median(getattr(run, figure) for run in runs))


def _text(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value
