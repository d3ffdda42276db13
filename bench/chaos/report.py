"""Runs and scenarios as rows of CSV files, and what they come to as tables in Markdown."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from bench.chaos.checker import time_was_up

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.chaos.running import Result
    from bench.chaos.scenarios import Verdict

NAME = "chaos"
SCENARIOS = "chaos-scenarios"
_SUMMED = ("items", "steps_fired", "succeeded", "failed", "time_up", "never_run", "model_calls", "repeated_calls")
COLUMNS = (
    *(
        "seed",
        "items",
        "steps_planned",
        "steps_fired",
        "faults",
        "state",
        "succeeded",
        "failed",
        "time_up",
        "never_run",
    ),
    *("generations", "redriven", "model_calls", "repeated_calls", "seconds", "violations"),
)
SCENARIO_COLUMNS = (
    *("scenario", "items", "seconds", "model_calls", "repeated_calls", "text", "violations"),
    *("command", "date", "code", "cores", "load_before"),
)

Row = dict[str, Any]


def row(result: Result) -> Row:
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
        "time_up": sum(time_was_up(entry, result.plan.options["timeout"]) for entry in failures),
        "never_run": never,
        "generations": evidence.status.get("generation", 0) + 1,
        "redriven": int(result.first is not None),
        "model_calls": len(evidence.calls),
        "repeated_calls": result.repeated,
        "seconds": f"{result.seconds:.1f}",
        "violations": " | ".join(result.violations),
    }


def write_runs(out: Path, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Write the rows by seed, what they come to, and the machine and command that they come from."""
    out.mkdir(parents=True, exist_ok=True)
    _write(out / f"{NAME}.csv", COLUMNS, sorted(rows, key=lambda one: int(one["seed"])))
    (out / f"{NAME}.json").write_text(json.dumps(machine, indent=2) + "\n")
    (out / f"{NAME}.md").write_text(markdown(rows, machine))


def write_scenario(out: Path, verdict: Verdict, machine: dict[str, Any]) -> None:
    """Write a scenario's row over its last one, and the table of all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{SCENARIOS}.csv"
    others = [one for one in _read(path) if one["scenario"] != verdict.name]
    new = {
        "scenario": verdict.name,
        "items": verdict.items,
        "seconds": f"{verdict.seconds:.1f}",
        "model_calls": verdict.model_calls,
        "repeated_calls": verdict.repeated_calls,
        "text": verdict.text,
        "violations": " | ".join(verdict.violations),
        **{name: machine[name] for name in ("command", "date", "code", "cores", "load_before")},
    }
    rows = sorted([*others, new], key=lambda one: str(one["scenario"]))
    _write(path, SCENARIO_COLUMNS, rows)
    heads = ("scenario", "items", "seconds", "model_calls", "repeated_calls", "text", "violations", "command", "code")
    (out / f"{SCENARIOS}.md").write_text("\n".join(["# Chaos scenarios", "", *_table(heads, rows), ""]))


def markdown(rows: Sequence[Row], machine: dict[str, Any]) -> str:
    """Return the totals with the command, the machine and the commit that they come from."""
    where = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} before, {machine['system']}"
    lines = ["# Chaos runs", "", f"`{machine['command']}`, {machine['date']}, code {machine['code']}.", ""]
    lines += [f"{where}, Python {machine['python']}.", ""]
    lines += _table(("what", "figure"), [{"what": name, "figure": figure} for name, figure in totals(rows)])
    broken = [one for one in rows if one["violations"]]
    if broken:
        lines += ["", *_table(("seed", "violations"), broken)]
    return "\n".join([*lines, ""])


def totals(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what the runs come to: names and figures."""
    faults: Counter[str] = Counter()
    for one in rows:
        for fault in str(one["faults"]).split():
            kind, _, times = fault.partition("=")
            faults[kind] += int(times)
    states = Counter(str(one["state"]) for one in rows)
    sums = {name: sum(int(one[name] or 0) for one in rows) for name in _SUMMED}
    return [
        ("runs", str(len(rows))),
        ("runs with a violation", str(sum(bool(one["violations"]) for one in rows))),
        ("ended as", ", ".join(f"{state or 'nothing'} {times}" for state, times in states.most_common())),
        ("redriven", str(sum(int(one["redriven"]) for one in rows))),
        *((name.replace("_", " "), f"{value:,}") for name, value in sums.items()),
        ("seconds, added up", f"{sum(float(one['seconds']) for one in rows):,.0f}"),
        ("faults", f"{sum(faults.values()):,}"),
        *((kind, f"{times:,}") for kind, times in sorted(faults.items())),
    ]


def _table(heads: Sequence[str], rows: Sequence[Row]) -> list[str]:
    cells = [[str(one[head]).replace("|", "/") for head in heads] for one in rows]
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *cells)]


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
