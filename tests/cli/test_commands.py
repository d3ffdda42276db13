"""Each command: its request, its output and its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.rigs.client.contract import TOKEN, Answer, contract, progress
from tests.rigs.client.run_cli import run

if TYPE_CHECKING:
    from pathlib import Path

ACCEPTED = Answer({"batch_id": "b-1"}, 202)


async def test_running_batch_has_exit_code_0() -> None:
    async with contract() as server:
        server.answer("status", progress("running", 3, 1))
        result = await run(server, "status", "b-1")
    assert result.exit_code == 0
    assert "0:01 to go" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "mode", "query", "message"),
    [
        (["cancel"], "cancel", {}, "Batch b-1 is being cancelled."),
        (["pause"], "pause", {}, "Batch b-1 is paused."),
        (["resume"], "resume", {}, "Batch b-1 continues."),
        (["tune", "--window", "3", "--rate", "0.5"], "tune", {"window": "3", "rate": "0.5"}, "Batch b-1 is tuned."),
        (["redrive"], "redrive", {}, "Batch b-1 runs again."),
        (["delete"], "delete", {}, "Batch b-1 is being deleted."),
    ],
)
async def test_batch_is_steered_by_a_command(
    arguments: list[str], mode: str, query: dict[str, str], message: str
) -> None:
    command, *options = arguments
    async with contract() as server:
        server.answer(mode, ACCEPTED)
        result = await run(server, command, "b-1", *options)
        document = await run(server, command, "b-1", *options, "--json")
    assert (result.exit_code, result.stdout) == (0, message + "\n")
    assert json.loads(document.stdout)["batch_id"] == "b-1"
    assert [(request.mode, request.query) for request in server.seen] == [(mode, {"batch": "b-1", **query})] * 2


async def test_commands_print_whether_they_did_something() -> None:
    async with contract() as server:
        server.answer("redrive", {"redriven": 0})
        server.answer("delete", {"deleted": True})
        assert (await run(server, "redrive", "b-1")).stdout == "Batch b-1 has nothing that failed.\n"
        assert json.loads((await run(server, "redrive", "b-1", "--json")).stdout)["redriven"] is False
        assert (await run(server, "delete", "b-1")).stdout == "Batch b-1 is deleted.\n"
        assert json.loads((await run(server, "delete", "b-1", "--json")).stdout)["deleted"] is True


async def test_tune_without_options_is_a_usage_error() -> None:
    async with contract() as server:
        result = await run(server, "tune", "b-1")
    assert result.exit_code == 2
    assert "there is nothing to change: give --window or --rate" in result.stderr


@pytest.mark.parametrize("command", ["status", "cancel", "pause", "resume", "redrive", "results", "delete"])
async def test_empty_id_is_a_usage_error(command: str) -> None:
    async with contract() as server:
        result = await run(server, command, "")
    assert (result.exit_code, result.stdout, server.seen) == (2, "", [])
    assert "the id is empty; `pipeline list` shows the existing ones" in result.stderr


async def test_batches_are_listed() -> None:
    listed = {
        "open": [{"batch_id": "monday", "status_url": "http://x"}],
        "ended": [{"batch_id": "sunday", "state": "done", "function": "f", "items": 3, "created": 1.0}],
    }
    async with contract() as server:
        server.answer("status", listed, listed, {"open": []})
        table, document, nothing = [await run(server, "list", *more) for more in ([], ["--json"], [])]
    assert table.stdout.index("monday") < table.stdout.index("sunday")
    assert "1970-01-01 00:00:01 UTC" in table.stdout
    assert [brief["batch_id"] for brief in json.loads(document.stdout)["ended"]] == ["sunday"]
    assert nothing.stdout == "There are no batches.\n"


async def test_durations_are_printed_to_the_millisecond() -> None:
    async with contract() as server:
        server.answer("status", progress("running", latency={"tasks": 3, "p50": 0.107635, "p99": 2.435496}))
        result = await run(server, "status", "b-1")
    assert "p50 0.108 s, p99 2.435 s" in result.stdout


@pytest.mark.parametrize(("columns", "lines"), [("250", 5), ("80", 7)])
async def test_id_is_not_cut_in_a_narrow_terminal(columns: str, lines: int) -> None:
    batch = "3dac75d6-30a3-4449-89be-7e7cdea85754"
    briefs = [{"batch_id": batch, "state": "done", "function": "classify", "items": 20, "succeeded": 19, "failed": 1}]
    async with contract() as server:
        server.answer("status", {"ended": briefs})
        result = await run(server, "list", COLUMNS=columns)
    assert batch in result.stdout
    assert len(result.stdout.splitlines()) == lines
    assert ("batch      3dac75d6" in result.stdout) == (columns == "80")


async def test_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nthe older one\n")
    async with contract() as server:
        server.answer("status", {"open": []})
        await run(server, "list", "--token-file", str(file), PIPELINE_TOKEN="another")
        await run(server, "list", PIPELINE_TOKEN_FILE=str(file))
        await run(server, "list", PIPELINE_TOKEN="another")
        await run(server, "list")
    tokens = [request.headers.get("Authorization") for request in server.seen]
    assert tokens == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer another", None]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: No such file"), (b"\n", "is empty")])
async def test_unusable_token_file_is_a_usage_error(tmp_path: Path, content: bytes | None, message: str) -> None:
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
async def test_malformed_gateway_url_is_a_usage_error(url: str) -> None:
    result = await run(None, "list", "--gateway", url)
    assert result.exit_code == 2
    assert "the gateway's URL" in result.stderr
    assert "secret" not in result.stderr


async def test_pipeline_name_option_changes_the_function() -> None:
    async with contract() as server:
        result = await run(server, "list", "--pipeline-name", "other")
    assert (result.exit_code, result.stderr) == (3, "error: refused (404): 404: Not Found\n")


async def test_retries_are_printed_to_stderr() -> None:
    async with contract() as server:
        server.answer("status", Answer({"error": "later"}, 503, headers={"Retry-After": "0"}), {"open": []})
        result = await run(server, "list", "--json", "--patience", "7")
    assert json.loads(result.stdout) == {"open": [], "ended": []}
    assert result.stderr == "failed (503): later; retrying for up to 7 s\n"


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
async def test_error_is_one_line_and_an_exit_code(answer: Answer, code: int, message: str, more: list[str]) -> None:
    async with contract() as server:
        server.answer("status", answer)
        result = await run(server, "status", "b-1", "--patience", "0", *more)
    assert result.exit_code == code
    assert result.stderr == message + "\n"


async def test_notification_targets_are_printed() -> None:
    notifications = [
        {"target": "fold", "kind": "reduce", "state": "delivered", "tries": 1, "status_code": 200, "at": 1.0},
        {"target": "https://h", "kind": "notify", "state": "due", "tries": 12, "status_code": None, "at": 2.0},
    ]
    async with contract() as server:
        server.answer("status", progress("done", 10, notifications=notifications))
        result = await run(server, "status", "b-1")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line for line in lines if "fold" in line or "https://h" in line] != []
    assert "given up" not in result.stdout
    for word in ("fold", "reduce", "delivered", "200", "https://h", "due", "12"):
        assert word in result.stdout
