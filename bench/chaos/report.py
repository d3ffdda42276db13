"""Runs as rows of a CSV file, and what they come to as a table in Markdown."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.chaos.running import Result

COLUMNS = (
    *("seed", "items", "steps_planned", "steps_fired", "faults", "state", "succeeded", "failed", "never_run"),
    *("generations", "model_calls", "repeated_calls", "seconds", "violations"),
)


def row(result: Result) -> dict[str, Any]:
    """Return one run as a row; `faults` are `kind=times` with spaces between them."""
    evidence = result.evidence
    failures = (evidence.summary or {"failures": {"results": []}})["failures"]["results"]
    never = sum(entry["statusCode"] is None for entry in failures)
    return {
        "seed": result.plan.seed,
        "items": len(result.plan.rows),
        "steps_planned": len(result.plan.steps),
        "steps_fired": len(result.fired),
        "faults": " ".join(f"{kind}={times}" for kind, times in sorted(result.faults.items())),
        "state": evidence.status.get("state", ""),
        "succeeded": evidence.status.get("succeeded", ""),
        "failed": len(failures) - never,
        "never_run": never,
        "generations": evidence.status.get("generation", 0) + 1,
        "model_calls": len(evidence.calls),
        "repeated_calls": result.repeated,
        "seconds": f"{result.seconds:.1f}",
        "violations": " | ".join(result.violations),
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows, by seed."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda one: int(one["seed"])))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read rows that were written before."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def totals(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return what the runs come to: names and figures."""
    faults: Counter[str] = Counter()
    for one in rows:
        for fault in str(one["faults"]).split():
            kind, _, times = fault.partition("=")
            faults[kind] += int(times)
    states = Counter(str(one["state"]) for one in rows)
    sums = {name: sum(int(one[name] or 0) for one in rows) for name in COLUMNS if name in _SUMMED}
    return [
        ("runs", str(len(rows))),
        ("runs with a violation", str(sum(bool(one["violations"]) for one in rows))),
        ("ended as", ", ".join(f"{state or 'nothing'} {times}" for state, times in states.most_common())),
        *((name.replace("_", " "), f"{value:,}") for name, value in sums.items()),
        ("seconds", f"{sum(float(one['seconds']) for one in rows):,.0f}"),
        ("faults", f"{sum(faults.values()):,}"),
        *((f"- {kind}", f"{times:,}") for kind, times in sorted(faults.items())),
    ]


_SUMMED = frozenset({"items", "steps_fired", "succeeded", "failed", "never_run", "model_calls", "repeated_calls"})


def markdown(rows: Sequence[dict[str, Any]], scenarios: Sequence[tuple[str, str]], machine: dict[str, Any]) -> str:
    """Return the table with the command, the machine and the commit that it comes from."""
    lines = ["# Chaos runs", "", f"`{machine['command']}`, {machine['date']}, code {machine['code']}.", ""]
    lines += [f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}.", ""]
    lines += ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in totals(rows)), ""]
    if scenarios:
        lines += ["| scenario | result |", "|---|---|", *(f"| {name} | {text} |" for name, text in scenarios), ""]
    return "\n".join(lines)
