"""The rules beside the summary: other outputs, notifications, requests that were accepted, a deletion."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import polars as pl

from bench.chaos.evidence import COLUMN, Evidence, never_ran

FORMATS = ("parquet", "csv", "ndjson")
SQL = "SELECT count(*) AS rows, count(*) FILTER (status = 'succeeded') AS succeeded FROM results"

Line = dict[str, Any]
Cells = tuple[str | None, ...]


def _csv_lines(content: bytes) -> Iterable[Line]:
    for line in csv.DictReader(io.StringIO(content.decode(), newline="")):
        yield {name: cell or None for name, cell in line.items()}


# The lines of a table, by the ending of its name; in CSV and Parquet a result is JSON as text.
READERS: dict[str, Callable[[bytes], Iterable[Line]]] = {
    "csv": _csv_lines,
    "parquet": lambda content: pl.read_parquet(io.BytesIO(content)).to_dicts(),
    "ndjson": lambda content: map(json.loads, content.decode().splitlines()),
}


def true_outputs(run: Evidence) -> Iterator[str]:
    """Every output can be read, and says what the summary says."""
    folder = f"{run.status.get('generation', 0)}/"
    names = {name.removeprefix(folder) for name in run.outputs if name.startswith(folder)} & run.outputs.keys()
    if not run.status.get("notes"):
        asked = [f"results.{ending}" for ending in run.options.get("outputs", FORMATS)]
        for name in {"report.json", *asked, *(["sql.json"] if "sql" in run.options else [])} - names:
            yield f"{name} is missing"
    for name in sorted(names):
        if run.outputs[name] != run.outputs[folder + name]:
            yield f"{name} is not that of generation {folder}"
        stem, _, ending = name.rpartition(".")
        if stem in {"results", "failures"}:
            yield from _wrong_table(run, name, list(READERS[ending](run.outputs[name])))
        elif name in DOCUMENTS:
            document, right = json.loads(run.outputs[name]), DOCUMENTS[name](run)
            if right is not None and (shown := _part(document, right)) != right:
                yield f"{name} has {shown}, not {right}"


def _wrong_table(run: Evidence, name: str, lines: list[Line]) -> Iterator[str]:
    if name.startswith("failures"):
        if [line[COLUMN] for line in lines] != run.items("failures"):
            yield f"{name} has not the rows of the failures"
        return
    if [line[COLUMN] for line in lines] != run.rows:
        yield f"{name} has not the rows of the input"
    shown = Counter(_cells(line, as_text=not name.endswith("ndjson")) for line in lines)
    right = Counter(map(_cells_of_entry, [*run.entries("results"), *run.entries("failures")]))
    for cells in (shown - right) + (right - shown):
        yield f"{name} and the summary differ in {str(cells)[:200]}"


def _cells(line: Line, *, as_text: bool) -> Cells:
    result = line["result"]
    if as_text:
        result = None if result is None else json.loads(result)
    return line[COLUMN], str(line["status_code"]), line["call_id"], line["result_ref"], json.dumps(result)


def _cells_of_entry(entry: Line) -> Cells:
    result = None if never_ran(entry) else entry.get("result")
    return entry[COLUMN], str(entry["statusCode"]), entry["callId"], entry.get("resultRef"), json.dumps(result)


def _part(document: Any, like: Any) -> Any:
    return {name: document.get(name) for name in like} if isinstance(like, dict) else document


def _counts(run: Evidence) -> Line:
    failures = run.entries("failures")
    never = sum(map(never_ran, failures))
    counts = {"items": len(run.rows), "succeeded": len(run.entries("results")), "not_run": never}
    return {"state": run.state, **counts, "failed": len(failures) - never}


def _reduced(run: Evidence) -> Line | None:
    """The receiver counts; an answer of an earlier end may stay until that of the redrive comes."""
    return {"status_code": 200, "result": {"sum": run.status["succeeded"]}} if run.over else None


DOCUMENTS: dict[str, Callable[[Evidence], Any]] = {
    "report.json": _counts,
    "sql.json": lambda run: [{"rows": len(run.rows), "succeeded": len(run.entries("results"))}],
    "reduced.json": _reduced,
}


def one_webhook_id_an_end(run: Evidence) -> Iterator[str]:
    """Each end has one webhook-id for each target, and the last one was delivered to each."""
    ids: dict[object, str] = {}
    ends: dict[object, object] = {}
    for notice in run.notices:
        if ids.setdefault((notice.kind, notice.end), notice.id) != notice.id:
            yield f"{notice.kind} of {notice.end} came as {notice.id} and as {ids[notice.kind, notice.end]}"
        if ends.setdefault(notice.id, notice.end) != notice.end:
            yield f"{notice.id} is the id of {ends[notice.id]} and of {notice.end}"
    last = tuple(run.status.get(name) for name in ("state", "generation", "ended"))
    for kind in {"reduce", "notify"} & run.options.keys() if run.over else ():
        if (kind, last) not in ids:
            yield f"the end {last} was never sent to {kind}"


def redrive_runs_again(run: Evidence) -> Iterator[str]:
    """A redrive that was accepted runs the failed items again, unless the batch was stopped."""
    if not run.stopped and run.state == "done":
        for item, call_id in run.redriven & run.failed_calls:
            yield f"{item!r} still has the outcome of its call {call_id} before the redrive"


def tuned_window(run: Evidence) -> Iterator[str]:
    """A window that was changed is the batch's from then on."""
    if run.window not in {0, run.status.get("window")}:
        yield f"the window is {run.status.get('window')}, and was changed to {run.window}"


def nothing_after_deletion(run: Evidence) -> Iterator[str]:
    """A deleted batch leaves no object."""
    yield from run.remains
