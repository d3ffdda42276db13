from __future__ import annotations

import io
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.local.demo.report import EndedBatch, item_of, label_of, print_files, print_report, readable, reason_of
from pipeline.logs import formatter


def entry(url: str, result: Any, status: int | None = 200) -> dict[str, Any]:
    return {"url": url, "result": result, "statusCode": status, "callId": "0b5f6e9e-5c0c-5a54-8f6c-6f0d4a6f3a11"}


def summary(results: list[dict[str, Any]], failures: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "batchId": "b-1",
        "batchStarted": "2026-11-24T22:00:00Z",
        "batchCompleted": "2026-11-24T22:00:08Z",
        "failures": {"count": len(failures), "results": failures},
        "results": {"count": len(results), "results": results},
    }


def labels(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "score": 0.9}, {"name": "other", "score": 0.1}]


def report(document: dict[str, Any] | None, state: str = "done", reason: str | None = None) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_report(console, EndedBatch("b-1", state, 8.0, reason, document), "url")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]


def test_counts_pace_labels_and_failures_are_printed() -> None:
    results = [entry(f"http://h/{n}.jpg", labels("espresso" if n < 3 else "tripod")) for n in range(4)]
    failures = [entry("http://h/missing.jpg", {"error": "the picture's host answered 404"}, 422)]
    text = report(summary(results, failures))
    assert "Batch b-1 is done" in text
    assert "5 items in 8.0 s (0.6 items/s): 4 succeeded, 1 failed" in text
    assert rows(text) == [
        ["espresso", "3"],
        ["tripod", "1"],
        ["http://h/missing.jpg", "422: the picture's host answered 404"],
    ]


def test_only_the_first_failures_are_listed() -> None:
    text = report(summary([], [entry(f"http://h/{n}.jpg", None, 0) for n in range(20)]))
    assert "The first 8 failures of 20" in text
    assert len(rows(text)) == 8


def test_distinct_answers_make_no_table() -> None:
    text = report(summary([entry(str(n), f"answer {n}") for n in range(30)], []))
    assert "30 succeeded" in text
    assert rows(text) == []


def test_batch_without_a_summary_prints_its_end() -> None:
    text = report(None, state="failed", reason="the input data/demo.csv is gone")
    assert text.splitlines() == ["Batch b-1 is failed", "the input data/demo.csv is gone"]


def test_markup_is_printed_unchanged() -> None:
    text = report(summary([entry("[red]", "[bold]x")], [entry("a[/b]", "[/]", 500)]))
    assert rows(text) == [["[bold]x", "1"], ["a[/b]", "500: [/]"]]


@pytest.mark.parametrize(
    ("result", "label"),
    [
        (labels("tabby"), "tabby"),
        ('[{"name": "tabby", "score": 0.9}]', "tabby"),
        ({"label": "spam", "score": 1}, "spam"),
        ("positive", "positive"),
        ("7", "7"),
        (7, "7"),
        (True, "True"),
        (None, None),
        ("", None),
        ([], None),
        ([1.5, 2.5], None),
        ({"x": 1}, None),
        ("two\nlines", None),
        ("x" * 61, None),
    ],
)
def test_label_of_a_result(result: Any, label: str | None) -> None:
    assert label_of(result) == label


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"error": "no cat"}, "422: no cat"),
        ('{"error": "no cat"}', "422: no cat"),
        ("plain\n text ", "422: plain text"),
        (None, "422: null"),
        ({"detail": "x"}, '422: {"detail": "x"}'),
        ("y" * 200, "422: " + "y" * 94 + "…"),
    ],
)
def test_reason_of_a_failure(result: Any, reason: str) -> None:
    assert reason_of(entry("u", result, 422)) == reason


def test_item_that_never_ran_has_no_status() -> None:
    assert reason_of(entry("u", "the batch was cancelled", None)) == "the batch was cancelled"


def test_item_is_found_under_its_column() -> None:
    rest = {"result": "r", "statusCode": 200, "callId": "c", "encoding": "base64", "resultRef": "k"}
    assert item_of({"text": "hello", **rest}) == "hello"
    assert item_of({"item": "hello", **rest}) == "hello"


def test_file_names_are_on_lines_that_can_be_copied() -> None:
    console = Console(file=io.StringIO(), width=20)
    print_files(console, Path("build/demo/b-1.json"), "s3://bucket/b-1.json", "s3://bucket/b-1/", 7)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "Summary: build/demo/b-1.json",
        "         s3://bucket/b-1.json",
        "Input, outcomes and outputs: s3://bucket/b-1/ (7 objects)",
    ]


def test_log_line_is_made_readable() -> None:
    record = logging.makeLogRecord(
        {"name": "pipeline.server", "levelname": "ERROR", "msg": "unexpected error", "status": 500}
    )
    try:
        json.loads("[")
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *traceback = readable(formatter().format(record)).splitlines()
    assert re.fullmatch(r"\S+Z \[error\] unexpected error +\[pipeline.server\] status=500", first)
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1].startswith("json.decoder.JSONDecodeError")


@pytest.mark.parametrize("line", ["settings: s3_bucket: Field required", "", "{", "[]", "1", '{"a": 1}'])
def test_line_that_is_no_event_is_unchanged(line: str) -> None:
    assert readable(line) == line
