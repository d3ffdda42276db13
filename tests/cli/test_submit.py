"""`pipeline submit`, and watching to the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.spec.batch_spec import BatchSpec
from tests.rigs.client.contract import Answer, contract, progress
from tests.rigs.client.run_cli import run

if TYPE_CHECKING:
    from pathlib import Path

OPENED = Answer({"batch_id": "b-1", "batch_size": 10, "tasks": 10}, 201)
ACCEPTED = Answer({"batch_id": "b-1"}, 202)
EVERY_FIELD: dict[str, tuple[list[str], Any]] = {
    "function": (["--function", "f"], "f"),
    "column": (["--column", "c"], "c"),
    "columns": (["--columns", "a,b", "--columns", "c"], ["a,b", "c"]),
    "format": (["--format", "csv"], "csv"),
    "delimiter": (["--delimiter", "tab"], "tab"),
    "quote": (["--quote", "'"], "'"),
    "escape": (["--escape", "\\"], "\\"),
    "header": (["--csv-header", "a,b"], "a,b"),
    "encoding": (["--encoding", "latin-1"], "latin-1"),
    "skip": (["--skip", "2"], 2),
    "pointer": (["--pointer", "/a"], "/a"),
    "chunk": (["--chunk", "auto"], "auto"),
    "chunk_call": (["--chunk-call"], True),
    "direct": (["--direct"], True),
    "concurrency": (["--concurrency", "2"], 2),
    "window": (["--window", "3"], 3),
    "rate": (["--rate", "0.5"], 0.5),
    "attempts": (["--attempts", "4"], 4),
    "timeout": (["--timeout", "5.5"], 5.5),
    "tolerate": (["--tolerate", "5%"], "5%"),
    "deadline": (["--deadline", "60"], 60),
    "inline_limit": (["--inline-limit", "0"], 0),
    "content_type": (["--content-type", "text/html"], "text/html"),
    "outputs": (["--output", "csv", "--output", "parquet"], ["csv", "parquet"]),
    "csv_safe": (["--csv-safe"], True),
    "sql": (["--sql", "SELECT 1"], "SELECT 1"),
    "headers": (["--header", "X-A: 1", "--header", "X-B:x: y"], {"X-A": "1", "X-B": "x: y"}),
    "reduce": (["--reduce", "fold"], "fold"),
    "notify": (["--notify", "next", "--notify", "https://h/x?a,b"], ["next", "https://h/x?a,b"]),
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("url\nx\n")
    return path


def test_every_field_has_an_option() -> None:
    assert {*EVERY_FIELD, "input"} == set(BatchSpec.model_fields) - {"dry_run"}


async def test_every_field_is_sent_as_given() -> None:
    options = [word for words, _ in EVERY_FIELD.values() for word in words]
    async with contract() as server:
        server.answer("batch", OPENED)
        result = await run(server, "submit", "--key", "data/a.csv", "--id", "monday", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    (request,) = server.seen
    assert request.headers["X-Batch-Id"] == "monday"
    assert json.loads(request.body) == {"input": "data/a.csv"} | {
        name: value for name, (_, value) in EVERY_FIELD.items()
    }


async def test_submitted_file_prints_how_to_watch_it(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        result = await run(server, "submit", str(rows), "--function", "f")
    assert result.exit_code == 0
    (request,) = server.seen
    assert (request.body, request.query) == (b"url\nx\n", {"function": "f"})
    page = f"{server.url}/function/pipeline/?batch=b-1"
    watch = f"pipeline status b-1 --watch --gateway {server.url}"
    assert result.stdout.splitlines() == ["Batch b-1", f"Watch it: {page} or {watch}"]


async def test_content_type_follows_from_the_name_or_the_format(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text('{"a": 1}')
    async with contract() as server:
        server.answer("batch", OPENED)
        told = await run(server, "submit", str(path), "--columns", "a", "--columns", "b")
        said = await run(server, "submit", str(path), "--format", "tsv")
    assert (told.exit_code, said.exit_code) == (0, 0)
    first, second = server.seen
    assert (first.headers["Content-Type"], first.query) == ("application/x-ndjson", {"columns": "a,b"})
    assert (second.headers["Content-Type"], second.query) == ("text/tab-separated-values", {})


async def test_json_output_of_a_submission_is_one_document(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        result = await run(server, "submit", str(rows), "--json")
    assert json.loads(result.stdout) == {"batch_id": "b-1", "page": f"{server.url}/function/pipeline/?batch=b-1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], ". is a folder: give a file, or --key KEY"),
        (["ROWS", "--id", ""], "the id is empty; `pipeline list` shows the existing ones"),
        (["missing.csv"], "there is no file missing.csv here; for an object of the bucket use --key missing.csv"),
        (["s3://b/a.csv"], "there is no file s3://b/a.csv here; for an object of the bucket use --key s3://b/a.csv"),
        ([], "there is no input: give a file, or --key KEY"),
        (["ROWS", "--key", "a.csv"], "there are two inputs: give a file, or --key KEY"),
        (["--key", "a.csv", "--header", "X-A"], "--header is not understood: expected 'NAME: VALUE'"),
        (["--key", "a.csv", "--header", "X-A: 1", "--header", "X-A: 2"], "the header X-A is given twice"),
        (["--key", "a.csv", "--chunk", "0"], "expected a number from 1 or `auto`"),
        (["ROWS", "--format", "xml"], "'xml' is not one of 'csv', 'tsv', 'parquet'"),
        (
            ["ROWS", "--columns", "a,b"],
            "name each column by itself; 'a,b', if it is one name, does not travel with a file",
        ),
        (["ROWS", "--format", "json"], "rows.csv does not hold a JSON array: expected one of objects"),
        (["ROWS", "--header", "X-A: 1"], "headers do not travel with a file: put it into S3 and give its key"),
    ],
)
async def test_impossible_submission_is_a_usage_error(rows: Path, arguments: list[str], message: str) -> None:
    async with contract() as server:
        result = await run(server, "submit", *(str(rows) if word == "ROWS" else word for word in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert server.seen == []


@pytest.mark.parametrize("answer", [Answer({"error": "later"}, 503), Answer(status=504, text=" ")])
async def test_failed_submission_prints_the_batch_id(rows: Path, answer: Answer) -> None:
    async with contract() as server:
        server.answer("batch", answer)
        result = await run(server, "submit", str(rows), "--patience", "0")
    name = server.seen[0].headers["X-Batch-Id"]
    assert (result.exit_code, result.stdout) == (4, "")
    again = f"Submit again with --id {name}: if the batch was started, it is not started twice.\n"
    assert result.stderr.startswith(again)


async def test_refused_submission_started_nothing(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", Answer({"error": "no such column"}, 400))
        result = await run(server, "submit", str(rows))
    assert (result.exit_code, result.stderr) == (3, "error: refused (400): no such column\n")


async def test_dry_run_prints_its_plan(rows: Path) -> None:
    call = {"method": "POST", "url": "http://g/function/f", "headers": {}, "body": "a [bold]row"}
    found = {"dry_run": True, "input": "x", "column": "url", "columns": ["url", "id"], "items": 30, "chunk": 7}
    server_answer = {**found, "tasks": 5, "calls": 31, "messages": 6, "first_calls": [call]}
    async with contract() as server:
        server.answer("batch", server_answer)
        told = await run(server, "submit", str(rows), "--dry-run")
        document = await run(server, "submit", str(rows), "--dry-run", "--json")
    assert told.exit_code == 0
    for text in ("url (of url, id)", "5 of 7 items", "31 to the model function", "6 in the queue", "a [bold]row"):
        assert text in told.stdout
    assert told.stdout.endswith("Nothing was written, queued or called.\n")
    assert json.loads(document.stdout)["first_calls"] == [call]
    assert {request.query["dry_run"] for request in server.seen} == {"true"}


@pytest.mark.parametrize(
    ("final", "code"),
    [
        (progress("done", 10), 0),
        (progress("done", 9, 1), 1),
        (progress("cancelled", 3), 1),
        (progress("failed", 3, 7, reason="7 items failed, and 1 are tolerated"), 1),
    ],
)
async def test_watch_exits_with_the_result_of_the_batch(rows: Path, final: dict[str, Any], code: int) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        server.answer("status", final)
        server.answer("redrive", ACCEPTED)
        results = [
            await run(server, "submit", str(rows), "--watch"),
            await run(server, "status", "b-1", "--watch"),
            await run(server, "status", "b-1"),
            await run(server, "redrive", "b-1", "--watch"),
        ]
    assert [result.exit_code for result in results] == [code] * 4
    counts = f"{final['succeeded']} succeeded, {final['failed']} failed"
    assert all(counts in result.stdout and result.stderr == "" for result in results)


async def test_json_watch_prints_one_line_an_update(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        server.answer("status", progress("opening"), progress("done", 9, 1))
        server.answer("redrive", ACCEPTED)
        result = await run(server, "submit", str(rows), "--watch", "--json")
        redriven = await run(server, "redrive", "b-1", "--watch", "--json")
    assert [json.loads(line)["state"] for line in redriven.stdout.splitlines()] == ["done"]
    assert (result.exit_code, result.stderr) == (1, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["state"], line["failed"]) for line in lines] == [("opening", 0), ("done", 1)]
    assert lines[1]["batch_id"] == "b-1"
