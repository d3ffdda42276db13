"""Runs and scenarios as rows, and the pages made of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from bench.chaos.checker import never_ran, time_was_up
from bench.chaos.run import Result
from bench.kit.results import as_frame, as_page, figures_table, read_frame, read_machine, table, write_files

NAME = "chaos"
SCENARIOS = "chaos-scenarios"
_SUMMED = ("items", "steps_fired", "succeeded", "failed", "time_up", "never_run", "model_calls", "repeated_calls")
_MACHINE = ("command", "date", "code", "cores", "load_before")
Row = dict[str, Any]


def row(result: Result) -> Row:
    """Return one run as a row; `faults` are `kind=times` with spaces between them."""
    evidence = result.evidence
    failures = evidence.entries("failures")
    never = sum(map(never_ran, failures))
    return {
        "seed": result.plan.seed,
        "items": len(result.plan.rows),
        "steps_planned": len(result.plan.steps),
        "steps_fired": len(result.fired),
        "faults": " ".join(f"{kind}={times}" for kind, times in sorted(result.faults.items())),
        "state": evidence.status.get("state"),
        "succeeded": evidence.status.get("succeeded"),
        "failed": len(failures) - never,
        "time_up": sum(time_was_up(entry, result.plan.options["timeout"]) for entry in failures),
        "never_run": never,
        "generations": evidence.status.get("generation", 0) + 1,
        "redriven": int(result.first is not None),
        "model_calls": len(evidence.calls),
        "repeated_calls": result.repeated,
        "seconds": round(result.seconds, 1),
        "violations": " | ".join(result.violations) or None,
    }


def write_scenario(out: Path, verdict: Row, machine: Row) -> None:
    """Write a scenario's row, with its machine, over its last one, and the table of all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{SCENARIOS}.csv"
    others = read_frame(out, SCENARIOS).to_dicts() if path.exists() else []
    rows = [verdict | {name: machine[name] for name in _MACHINE}]
    rows += [other for other in others if other["scenario"] != verdict["scenario"]]
    as_frame(rows).sort("scenario").write_csv(path)
    write_files(out, render(out))


def render(folder: Path) -> dict[str, str]:
    """Return the pages of the rows that there are."""
    texts = {}
    if (folder / f"{NAME}.csv").exists():
        runs = read_frame(folder, NAME)
        broken = runs.filter(pl.col("violations").is_not_null()).select("seed", _in_a_cell("violations"))
        parts = [figures_table({name: (figure,) for name, figure in _totals(runs).items()})]
        parts += [table(broken)] if broken.height else []
        texts[f"{NAME}.md"] = as_page("Chaos runs", read_machine(folder, NAME), *parts)
    if (folder / f"{SCENARIOS}.csv").exists():
        rows = read_frame(folder, SCENARIOS).drop("date", "cores", "load_before")
        texts[f"{SCENARIOS}.md"] = f"# Chaos scenarios\n\n{table(rows.with_columns(_in_a_cell('violations')))}\n"
    return texts


def _totals(runs: pl.DataFrame) -> dict[str, Any]:
    faults: Counter[str] = Counter()
    for cell in runs["faults"].drop_nulls():
        faults.update({kind: int(times) for kind, times in (pair.split("=") for pair in cell.split())})
    states = Counter(runs["state"].fill_null("nothing")).most_common()
    sums = runs.select(pl.col(_SUMMED).sum()).row(0, named=True)
    return {
        "runs": runs.height,
        "runs with a violation": runs["violations"].count(),
        "ended as": ", ".join(f"{state} {times}" for state, times in states),
        "redriven": runs["redriven"].sum(),
        **{name.replace("_", " "): figure for name, figure in sums.items()},
        "seconds, added up": float(runs["seconds"].sum()),
        "faults": faults.total(),
        **dict(sorted(faults.items())),
    }


def _in_a_cell(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.replace_all("|", "/", literal=True)
