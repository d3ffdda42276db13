"""What a run came to, as a page."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.fuzz.running import Result


def markdown(result: Result, machine: Mapping[str, Any]) -> str:
    """Return the page: the run, its answers by mode and status, and what was wrong."""
    seen = result.seen
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for (mode, status), count in seen.counts.items():
        if status != "-":
            rows[mode][status] = count
    statuses = sorted({status for row in rows.values() for status in row})
    table = [
        f"| mode | {' | '.join(statuses)} | all |",
        f"|---|{'---:|' * (len(statuses) + 1)}",
        *(_row(mode, [row.get(status, 0) for status in statuses]) for mode, row in sorted(rows.items())),
        _row("all", [sum(row.get(status, 0) for row in rows.values()) for status in statuses]),
    ]
    answers = sum(sum(row.values()) for row in rows.values())
    facts = {
        "command": f"`{machine['command']}`",
        "date": machine["date"],
        "code": machine["code"],
        "machine": f"{machine['cores']} x {machine['cpu']}, {machine['system']}, load before {machine['load_before']}",
        "Python": machine["python"],
        "seed": result.seed,
        "conversations": result.conversations,
        "seconds": f"{result.seconds:.0f}",
        "answers": answers,
        "requests without an answer that needed one": seen.counts[("no answer", "-")],
        "batches taken": len(seen.accepted),
        "violations": len(seen.violations),
    }
    lines = ["# Hostile requests", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += ["", "Answers by mode and status; `raw` is what is no well-formed request, or several.", "", *table]
    if seen.violations:
        lines += ["", "## Violations", "", *(f"- `{violation[:1000]}`" for violation in seen.violations)]
    return "\n".join(lines) + "\n"


def _row(name: str, counts: list[int]) -> str:
    return f"| {name} | {' | '.join(str(count or '') for count in counts)} | {sum(counts)} |"
