"""Each command: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.batchspec import BatchSpec
from tests.cli.cases import run
from tests.client.contract import TOKEN, Answer, contract, progress

if TYPE_CHECKING:
    from pathlib import Path

OPENED = Answer({"batch_id": "b-1", "batch_size": 10, "tasks": 10}, 201)
ACCEPTED = Answer({"batch_id": "b-1"}, 202)
EVERY_FIELD: dict[str, tuple[list[str], Any]] = {
    "function": (["--function", "f"], "f"),
    "column": (["--column", "c"], "c"),
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
    "headers": (["--header", "X-A: 1", "--header", "X-B:x: y"], {"X-A": "1", "X-B": "x: y"}),
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("url\nx\n")
    return path


def test_every_field_has_its_option() -> None:
    assert {*EVERY_FIELD, "input"} == set(BatchSpec.model_fields) - {"dry_run"}


async def test_every_field_is_sent_as_it_is_given() -> None:
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


async def test_a_file_is_sent_and_how_to_watch_it_is_told(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        result = await run(server, "submit", str(rows), "--function", "f")
    assert result.exit_code == 0
    (request,) = server.seen
    assert (request.body, request.query) == (b"url\nx\n", {"function": "f"})
    page = f"{server.url}/function/pipeline/?batch=b-1"
    watch = f"pipeline status b-1 --watch --gateway {server.url}"
    assert result.stdout.splitlines() == ["Batch b-1", f"Watch it: {page} or {watch}"]


async def test_a_submission_as_json_is_one_document(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        result = await run(server, "submit", str(rows), "--json")
    assert json.loads(result.stdout) == {"batch_id": "b-1", "page": f"{server.url}/function/pipeline/?batch=b-1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "there is no file missing.csv here; for an object of the bucket say --key missing.csv"),
        ([], "there is no input: give a CSV, or --key KEY"),
        (["ROWS", "--key", "a.csv"], "there are two inputs: give a CSV, or --key KEY"),
        (["--key", "a.csv", "--header", "X-A"], "--header is not understood: expected 'NAME: VALUE'"),
        (["--key", "a.csv", "--header", "X-A: 1", "--header", "X-A: 2"], "the header X-A is given twice"),
        (["--key", "a.csv", "--chunk", "0"], "expected a number from 1 or `auto`"),
        (["ROWS", "--header", "X-A: 1"], "headers do not travel with a CSV: put it into S3 and give its key"),
    ],
)
async def test_a_submission_that_cannot_be_made_is_a_usage_error(
    rows: Path, arguments: list[str], message: str
) -> None:
    async with contract() as server:
        result = await run(server, "submit", *(str(rows) if word == "ROWS" else word for word in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert server.seen == []


async def test_a_dry_run_says_what_would_be_done(rows: Path) -> None:
    call = {"method": "POST", "url": "http://g/function/f", "headers": {}, "body": "a [bold]row"}
    found = {"dry_run": True, "input": "x", "column": "url", "columns": ["url", "id"], "items": 30, "chunk": 7}
    server_answer = {**found, "tasks": 5, "calls": 31, "messages": 6, "first_calls": [call]}
    async with contract() as server:
        server.answer("batch", server_answer)
        told = await run(server, "submit", str(rows), "--dry-run")
        document = await run(server, "submit", str(rows), "--dry-run", "--json")
    assert told.exit_code == 0
    for text in ("url (of url, id)", "5 of 7 items", "31 of the model function", "6 in the queue", "a [bold]row"):
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
async def test_watching_ends_as_the_batch_does(rows: Path, final: dict[str, Any], code: int) -> None:
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


async def test_a_batch_that_runs_is_no_failure() -> None:
    async with contract() as server:
        server.answer("status", progress("running", 3, 1))
        result = await run(server, "status", "b-1")
    assert result.exit_code == 0
    assert "0:01 to go" in result.stdout


async def test_watching_as_json_is_a_line_an_update(rows: Path) -> None:
    async with contract() as server:
        server.answer("batch", OPENED)
        server.answer("status", progress("opening"), progress("done", 9, 1))
        result = await run(server, "submit", str(rows), "--watch", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["state"], line["failed"]) for line in lines] == [("opening", 0), ("done", 1)]
    assert lines[1]["batch_id"] == "b-1"


@pytest.mark.parametrize(
    ("arguments", "mode", "query", "told"),
    [
        (["cancel"], "cancel", {}, "Batch b-1 is being cancelled."),
        (["pause"], "pause", {}, "Batch b-1 is paused."),
        (["resume"], "resume", {}, "Batch b-1 goes on."),
        (["tune", "--window", "3", "--rate", "0.5"], "tune", {"window": "3", "rate": "0.5"}, "Batch b-1 is tuned."),
        (["redrive"], "redrive", {}, "Batch b-1 runs again."),
        (["delete"], "delete", {}, "Batch b-1 is being deleted."),
    ],
)
async def test_a_batch_is_steered(arguments: list[str], mode: str, query: dict[str, str], told: str) -> None:
    command, *options = arguments
    async with contract() as server:
        server.answer(mode, ACCEPTED)
        result = await run(server, command, "b-1", *options)
        document = await run(server, command, "b-1", *options, "--json")
    assert (result.exit_code, result.stdout) == (0, told + "\n")
    assert json.loads(document.stdout)["batch_id"] == "b-1"
    assert [(request.mode, request.query) for request in server.seen] == [(mode, {"batch": "b-1", **query})] * 2


async def test_what_there_was_to_do_is_told() -> None:
    async with contract() as server:
        server.answer("redrive", {"redriven": 0})
        server.answer("delete", {"deleted": True})
        assert (await run(server, "redrive", "b-1")).stdout == "Batch b-1 has nothing that failed.\n"
        assert json.loads((await run(server, "redrive", "b-1", "--json")).stdout)["redriven"] is False
        assert (await run(server, "delete", "b-1")).stdout == "Batch b-1 is deleted.\n"
        assert json.loads((await run(server, "delete", "b-1", "--json")).stdout)["deleted"] is True


async def test_tuning_nothing_is_a_usage_error() -> None:
    async with contract() as server:
        result = await run(server, "tune", "b-1")
    assert result.exit_code == 2
    assert "there is nothing to change: give --window or --rate" in result.stderr


async def test_batches_are_listed() -> None:
    listed = {
        "open": [{"batch_id": "monday", "status_url": "http://x"}],
        "ended": [{"batch_id": "sunday", "state": "done", "function": "f", "items": 3, "created": 1.0}],
    }
    async with contract() as server:
        server.answer("status", listed, listed, {"open": []})
        told, document, nothing = [await run(server, "list", *more) for more in ([], ["--json"], [])]
    assert told.stdout.index("monday") < told.stdout.index("sunday")
    assert "1970-01-01 00:00:01 UTC" in told.stdout
    assert [brief["batch_id"] for brief in json.loads(document.stdout)["ended"]] == ["sunday"]
    assert nothing.stdout == "There are no batches.\n"


async def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nthe older one\n")
    async with contract() as server:
        server.answer("status", {"open": []})
        await run(server, "list", "--token-file", str(file), PIPELINE_TOKEN="another")
        await run(server, "list", PIPELINE_TOKEN_FILE=str(file))
        await run(server, "list", PIPELINE_TOKEN="another")
        await run(server, "list")
    given = [request.headers.get("Authorization") for request in server.seen]
    assert given == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer another", None]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: No such file"), (b"\n", "is empty")])
async def test_a_token_file_that_is_no_use_is_a_usage_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    result = await run(None, "list", "--token-file", str(file))
    assert result.exit_code == 2
    assert f"the token file {file} {message}" in result.stderr


async def test_no_option_takes_the_token_itself() -> None:
    result = await run(None, "list", "--token", TOKEN)
    assert result.exit_code == 2
    assert "--token" in result.stderr


@pytest.mark.parametrize("url", ["gateway", "http://ada:secret@gateway:8080"])
async def test_a_gateway_that_is_none_is_a_usage_error(url: str) -> None:
    result = await run(None, "list", "--gateway", url)
    assert result.exit_code == 2
    assert "the gateway's URL" in result.stderr
    assert "secret" not in result.stderr


async def test_another_name_of_the_pipeline_is_called() -> None:
    async with contract() as server:
        result = await run(server, "list", "--pipeline-name", "other")
    assert (result.exit_code, result.stderr) == (3, "error: refused (404): 404: Not Found\n")


async def test_trying_again_is_said_beside_the_output() -> None:
    async with contract() as server:
        server.answer("status", Answer({"error": "later"}, 503, headers={"Retry-After": "0"}), {"open": []})
        result = await run(server, "list", "--json", "--patience", "7")
    assert json.loads(result.stdout) == {"open": [], "ended": []}
    assert result.stderr == "failed (503): later; trying again for up to 7 s\n"


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Answer({"error": "there is no batch 'b-1'"}, 404), 3, "error: refused (404): there is no batch 'b-1'"),
        (Answer({"error": "no token"}, 401), 3, "error: refused (401): no token"),
        (Answer({"error": "Redis is away"}, 503), 4, "error: failed (503): Redis is away"),
        (Answer(text="<html>"), 4, "error: failed (200): the answer is not the pipeline's, but <html>"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--json"], ["--watch"]])
async def test_an_error_is_one_line_and_an_exit_code(answer: Answer, code: int, message: str, more: list[str]) -> None:
    async with contract() as server:
        server.answer("status", answer)
        result = await run(server, "status", "b-1", "--patience", "0", *more)
    assert result.exit_code == code
    assert result.stderr == message + "\n"
