"""Tables and facts for people. Texts from the function, models and rows become one line of rich `Text`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipeline.client import Progress
from pipeline.client.terminal_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import polars as pl
    from rich.console import Console

    from pipeline.client import Brief, Check, DryRun, Progress, SqlAnswer

CELL_CHARACTERS = 200
FIRST_ROWS = 10
WIDEST = 100_000
COLOURS = {"done": "green", "ok": "green", "warning": "yellow", "paused": "yellow", "failed": "red", "cancelled": "red"}


def cell(value: Any) -> Text:
    """Convert a value to one line of at most 200 characters; None is empty."""
    text = "" if value is None else one_line(str(value), CELL_CHARACTERS)
    return Text(text, style=COLOURS.get(text, ""))


def table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    console.print(_table(headings, rows))


def records(console: Console, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; or, if it would break ids and numbers that people copy, each row as a list of facts."""
    grid = _table(headings, rows)
    if not rows or Measurement.get(console, console.options.update(width=WIDEST), grid).minimum <= console.width:
        console.print(grid)
        return
    for row in rows:
        facts(console, zip(headings, row, strict=True))
        console.print()


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    grid = Table()
    for heading in headings:
        grid.add_column(cell(heading), overflow="fold")
    for row in rows:
        grid.add_row(*(cell(value) for value in row))
    return grid


def facts(console: Console, pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values; names without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            grid.add_row(Text(name), cell(value))
    console.print(grid)


def show_progress(console: Console, progress: Progress) -> None:
    """Print the progress of a batch, its failures and its notifications."""
    latency = progress.latency
    facts(
        console,
        [
            ("batch", progress.batch_id),
            ("state", progress.state),
            ("reason", progress.reason),
            ("trouble", progress.trouble),
            ("function", progress.function),
            ("items", f"{progress.items}: {progress.succeeded} succeeded, {progress.failed} failed"),
            ("tasks", f"{progress.settled} of {progress.tasks} settled, {progress.in_flight} in flight"),
            ("generation", progress.generation or None),
            ("pace", pace_of(progress)),
            ("latency", latency and f"p50 {latency.p50:.3f} s, p99 {latency.p99:.3f} s"),
            ("created", moment(progress.created)),
            ("ended", moment(progress.ended)),
            ("elapsed", f"{progress.elapsed:.1f} s"),
            ("summary", progress.links.summary),
            ("outputs", progress.links.outputs),
            *(("note", note) for note in progress.notes),
        ],
    )
    if progress.failures:
        examples = [(kind.count, kind.kind, kind.example.item if kind.example else "") for kind in progress.failures]
        table(console, ["failed", "kind", "example"], examples)
    if progress.notifications:
        headings = ["notified", "kind", "state", "tries", "status", "last at"]
        rows = [(n.target, n.kind, n.state, n.tries, n.status_code, moment(n.at)) for n in progress.notifications]
        records(console, headings, rows)
    if progress.sql:
        show_sql(console, progress.sql)


def show_sql(console: Console, answer: SqlAnswer) -> None:
    """Print the first rows of a query's answer, or its error."""
    if answer.error is not None:
        facts(console, [("sql", f"error: {answer.error}")])
        return
    records(console, answer.columns, answer.first)
    if answer.rows > len(answer.first):
        console.print(f"The first {len(answer.first)} of {answer.rows} rows; all of them are in sql.csv.")


def show_briefs(console: Console, briefs: Sequence[Brief]) -> None:
    """Print batches, one per line."""
    headings = ["batch", "state", "function", "items", "succeeded", "failed", "created", "ended"]
    rows = [
        (b.batch_id, b.state, b.function, b.items, b.succeeded, b.failed, moment(b.created), moment(b.ended))
        for b in briefs
    ]
    records(console, headings, rows)


def show_dry_run(console: Console, plan: DryRun) -> None:
    """Print the plan of a submission."""
    facts(
        console,
        [
            ("input", plan.input),
            ("column", f"{plan.column} (of {', '.join(plan.columns)})"),
            ("items", plan.items),
            ("tasks", f"{plan.tasks} of {plan.chunk} items"),
            ("calls", f"{plan.calls} to the model function, if each succeeds"),
            ("messages", f"{plan.messages} in the queue, if nothing is retried"),
        ],
    )
    if plan.first_calls:
        calls = [(call.method, call.url, call.body) for call in plan.first_calls]
        table(console, ["first calls", "address", "body"], calls)
    console.print("Nothing was written, queued or called.")


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print checks, and below them the advice."""
    table(console, ["check", "status", "found"], [(check.name, check.status, check.found) for check in checks])
    for check in checks:
        if check.advice:
            line = Text.assemble(cell(check.name), ": ", one_line(check.advice))
            console.print(line, soft_wrap=True)


def show_frame(console: Console, frame: pl.DataFrame) -> None:
    """Print the first rows of a frame."""
    records(console, frame.columns, frame.head(FIRST_ROWS).rows())
    if frame.height > FIRST_ROWS:
        console.print(f"The first {FIRST_ROWS} of {frame.height} rows: --to FILE writes them all.")


def moment(seconds: float | None) -> str | None:
    """Format a time in UTC to the second; a number outside the calendar stays a number."""
    if seconds is None:
        return None
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
    return time.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")


def pace_of(progress: Progress) -> str:
    """Return the rate and, while the batch runs, the time left."""
    pace = f"{progress.rate:.1f} items/s" if progress.rate else ""
    if progress.over or progress.eta is None:
        return pace
    minutes, seconds = divmod(round(progress.eta), 60)
    return f"{pace}, {minutes}:{seconds:02} to go".removeprefix(", ")
