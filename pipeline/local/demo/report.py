"""The report of an ended batch, printed on a terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from structlog.dev import ConsoleRenderer

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

OUTCOME_FIELDS = frozenset({"result", "statusCode", "callId", "encoding", "resultRef"})
FAILURES_SHOWN = 8
LABELS_SHOWN = 10
# A longer result is not counted as a label.
LABEL_LENGTH = 60
CELL_LENGTH = 100


@dataclass(frozen=True)
class EndedBatch:
    """An ended batch: its id and state, its duration in seconds, and its summary (None if there is none)."""

    batch_id: str
    state: str
    elapsed: float
    reason: str | None
    summary: Mapping[str, Any] | None


def label_of(result: Any) -> str | None:
    """Return the label of a result, None if it has none.

    It is the name in `[{"name": ..., "score": ...}, ...]` or `{"label": ...}`, or the result itself if that is a short
    text or number. Text that holds JSON is parsed first.
    """
    if isinstance(result, str):
        try:
            parsed = json.loads(result)
        except ValueError:
            return result if result and len(result) <= LABEL_LENGTH and "\n" not in result else None
        return label_of(parsed) if isinstance(parsed, list | dict) else result[:LABEL_LENGTH]
    if isinstance(result, list):
        return label_of(result[0]) if result and isinstance(result[0], Mapping) else None
    if isinstance(result, Mapping):
        return next((str(result[key]) for key in ("name", "label", "class") if key in result), None)
    return None if result is None else str(result)


def reason_of(entry: Mapping[str, Any]) -> str:
    """Return the reason of a failure in one line: the status code, if the function was called, and its answer."""
    result = entry.get("result")
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except ValueError:
            result = result.strip()
    if isinstance(result, Mapping) and "error" in result:
        result = result["error"]
    text = result if isinstance(result, str) else json.dumps(result)
    return shorten(text if entry["statusCode"] is None else f"{entry['statusCode']}: {text}")


def shorten(text: str) -> str:
    """Shorten text to one line of at most 100 characters."""
    line = " ".join(text.split())
    return line if len(line) <= CELL_LENGTH else line[: CELL_LENGTH - 1] + "…"


def item_of(entry: Mapping[str, Any]) -> str:
    """Return the item of an entry: the value of its column, which is the only key that is no field of an outcome."""
    return shorten(next((str(value) for key, value in entry.items() if key not in OUTCOME_FIELDS), ""))


def print_report(console: Console, batch: EndedBatch, column: str) -> None:
    """Print counts, rate, the most frequent labels and the first failures."""
    colour = "green" if batch.state == "done" else "red"
    console.print(f"Batch [bold]{escape(batch.batch_id)}[/] is [bold {colour}]{escape(batch.state)}[/]")
    if batch.reason:
        console.print(f"[{colour}]{escape(batch.reason)}[/]")
    if batch.summary is None:
        return
    results, failures = batch.summary["results"], batch.summary["failures"]
    items = results["count"] + failures["count"]
    rate = f"{items / batch.elapsed:.1f} items/s" if batch.elapsed > 0 else "no time at all"
    console.print(
        f"{items} items in {batch.elapsed:.1f} s ({rate}): "
        f"[green]{results['count']} succeeded[/], [red]{failures['count']} failed[/]"
    )
    _print_labels(console, results["results"])
    _print_failures(console, failures, column)


def _print_labels(console: Console, results: list[Mapping[str, Any]]) -> None:
    counts = Counter(label for entry in results if (label := label_of(entry.get("result"))) is not None)
    # If all answers differ they are not labels, and a table of ones would be useless.
    if not counts or len(counts) == len(results) > LABELS_SHOWN:
        return
    table = Table("result")
    table.add_column("items", justify="right")
    for label, count in counts.most_common(LABELS_SHOWN):
        table.add_row(escape(shorten(label)), str(count))
    console.print("Most frequent results:")
    console.print(table)


def _print_failures(console: Console, failures: Mapping[str, Any], column: str) -> None:
    shown = failures["results"][:FAILURES_SHOWN]
    if not shown:
        return
    table = Table()
    table.add_column(escape(column), overflow="fold")
    table.add_column("reason", overflow="fold")
    for entry in shown:
        table.add_row(escape(item_of(entry)), escape(reason_of(entry)))
    all_shown = failures["count"] == len(shown)
    console.print("Failures:" if all_shown else f"The first {len(shown)} failures of {failures['count']}:")
    console.print(table)


def print_files(console: Console, local: Path, summary: str, folder: str, objects: int) -> None:
    """Print where the summary is, here and in S3, and the folder of the batch's other objects."""
    console.print(f"Summary: [bold]{escape(str(local))}[/]", soft_wrap=True, highlight=False)
    console.print(f"         {escape(summary)}", soft_wrap=True, highlight=False)
    console.print(f"Input, outcomes and outputs: {escape(folder)} ({objects} objects)", soft_wrap=True, highlight=False)


def readable(line: str) -> str:
    """Format a JSON line of the function's log for people, with its traceback below; other lines are unchanged."""
    try:
        event = json.loads(line)
        event["timestamp"] = event.pop("time")
    except (ValueError, TypeError, KeyError, AttributeError):
        return line
    return ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False)(None, "", event)
