"""Runs and scenarios as rows of CSV files, and their totals as tables in Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from bench.chaos.checker import time_was_up
from bench.kit.publish import facts, markdown_table, publish, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.chaos.run import Result
    from bench.chaos.scenarios import Verdict

NAME = "chaos"
SCENARIOS = "chaos-scenarios"
_SUMMED = ("items", "steps_fired", "succeeded", "failed", "time_up", "never_run", "model_calls", "repeated_calls")
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
    """Write the rows by seed, their totals, and the machine and command that they come from."""
    rows = sorted(rows, key=lambda one: int(one["seed"]))
    publish(out, NAME, machine=machine, rows=rows, page=markdown(rows, machine))


def write_scenario(out: Path, verdict: Verdict, machine: dict[str, Any]) -> None:
    """Write a scenario's row over its last one, and the table of all."""
    path = out / f"{SCENARIOS}.csv"
    rows: list[Mapping[str, Any]] = [
        {
            "scenario": verdict.name,
            "items": verdict.items,
            "seconds": f"{verdict.seconds:.1f}",
            "model_calls": verdict.model_calls,
            "repeated_calls": verdict.repeated_calls,
            "text": verdict.text,
            "violations": " | ".join(verdict.violations),
            **{name: machine[name] for name in ("command", "date", "code", "cores", "load_before")},
        },
        *(row for row in (read_rows(path) if path.exists() else []) if row["scenario"] != verdict.name),
    ]
    rows.sort(key=lambda row: str(row["scenario"]))
    heads = ("scenario", "items", "seconds", "model_calls", "repeated_calls", "text", "violations", "command", "code")
    page = "\n".join(["# Chaos scenarios", "", *_table(heads, rows), ""])
    publish(out, SCENARIOS, rows=rows, page=page)


def markdown(rows: Sequence[Row], machine: dict[str, Any]) -> str:
    """Return the totals with the command, the machine and the commit that they come from."""
    lines = ["# Chaos runs", "", *facts(machine), "", *markdown_table(("what", "figure"), totals(rows))]
    broken = [one for one in rows if one["violations"]]
    if broken:
        lines += ["", *_table(("seed", "violations"), broken)]
    return "\n".join([*lines, ""])


def totals(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the totals of the runs: names and figures."""
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


def _table(heads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return markdown_table(heads, [[str(one[head]).replace("|", "/") for head in heads] for one in rows])
