"""Output on a terminal: no control sequences from outside, and a hint after Ctrl-C. Real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipeline.cli.command import GATEWAY, Setup
from pipeline.cli.watch import watch_command
from pipeline.client.terminal_text import one_line
from tests.rigs.client.batch_parts import ROWS, outcome, parts, segment, with_parts
from tests.rigs.client.contract import TOKEN, Answer, Contract, contract, progress
from tests.rigs.client.run_cli import run
from tests.rigs.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Sets the title, clears the screen, moves the cursor; a C1 CSI, a delete, a bidi override; and markup of rich.
HOSTILE = "a\x1b]0;x\x07\x1b[2J\r\n\x9b31m\x7f\u202e [bold red]b[/] [/] \\[x]"
SAFE = "[bold red]b[/] [/] "


def commands(text: str) -> list[str]:
    """Return the characters that a terminal could take for a command."""
    return [letter for letter in text if letter != "\n" and (ord(letter) < 32 or 127 <= ord(letter) < 160)] + [
        letter for letter in text if letter == "\u202e"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" a\n b\tc ", "a b c"),
        ("a\x1b[31mb\x9bc\x7f", "a�[31mb�c�"),
        ("a\u202eb\u200bc\ud800", "a�b�c�"),
        ("a\u2028b", "a b"),
        ("日本語 é 👩\u200d💻 ب\u200cب", "日本語 é 👩\u200d💻 ب\u200cب"),
    ],
)
def test_line_has_no_control_characters(text: str, line: str) -> None:
    assert one_line(text) == line


def test_long_line_is_cut() -> None:
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


@pytest.mark.parametrize("seconds", [1e300, -1e12, 1e17])
async def test_time_beyond_the_calendar_is_a_number(seconds: float) -> None:
    async with contract() as server:
        server.answer("status", progress("done", 10, ended=seconds))
        result = await run(server, "status", "b-1")
    assert (result.exit_code, f"{seconds:g}" in result.stdout) == (0, True)


def answer_with_hostile_text(server: Contract) -> None:
    example = {"index": 1, "item": HOSTILE, "result": HOSTILE, "call_id": HOSTILE, "generation": 0}
    failures = [{"kind": HOSTILE, "status_code": 422, "count": 1, "retried": 0, "at": 1, "example": example}]
    words = dict.fromkeys(("reason", "trouble", "function"), HOSTILE)
    document = progress("done", 9, 1, failures=failures, notes=[HOSTILE], **words)
    brief = {"batch_id": HOSTILE, "state": HOSTILE, "function": HOSTILE}
    check = {"name": HOSTILE, "status": HOSTILE, "found": HOSTILE, "advice": HOSTILE}
    call = {"method": HOSTILE, "url": HOSTILE, "headers": {}, "body": HOSTILE}
    server.answer(
        "status", document, document, {"open": [brief]}, Answer({"error": HOSTILE, "problems": [HOSTILE]}, 404)
    )
    server.answer("doctor", {"checks": [check], "now": 1})
    server.answer("batch", {"dry_run": True, "input": HOSTILE, "column": HOSTILE, "first_calls": [call]})
    rows = ROWS.rename({"note": "no\x1bte [bold]"})
    first = server.link("b-1/hostile.ndjson", segment(outcome(0, json.dumps(HOSTILE, ensure_ascii=False))))
    with_parts(
        server,
        segments=[first],
        snapshot=[server.link(f"b-1/hostile-{n}.parquet", body) for n, body in enumerate(parts(rows, "url"))],
    )


@pytest.mark.parametrize("more", [[], ["--json"]])
async def test_output_contains_no_terminal_commands(more: list[str]) -> None:
    asked = [
        ["status", "b-1"],
        ["status", "b-1", "--watch"],
        ["list"],
        ["status", "b-1"],
        ["doctor"],
        ["submit", "--key", "x", "--dry-run"],
        ["results", "b-1"],
    ]
    async with contract() as server:
        answer_with_hostile_text(server)
        results = [await run(server, *arguments, *more) for arguments in asked]
    for arguments, result in zip(asked, results, strict=True):
        output = result.stdout + result.stderr
        assert commands(output) == [], arguments
        assert SAFE in output, arguments


async def process(server: Contract, *arguments: str, encoding: str = "utf-8") -> asyncio.subprocess.Process:
    """Start the command line as a process of its own, on a terminal of this encoding."""
    command = [sys.executable, "-m", "pipeline.cli", *arguments, "--gateway", server.url]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONIOENCODING": encoding}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("watch", [[], ["--watch"]])
@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"caf\\xe9 \\u65e5"), ("latin-1", b"caf\xe9 \\u65e5")])
async def test_characters_missing_in_the_encoding_are_escaped(encoding: str, shown: bytes, watch: list[str]) -> None:
    async with contract() as server:
        server.answer("status", progress("done", 10, reason="café 日"))
        child = await process(server, "status", "b-1", *watch, encoding=encoding)
        output, errors = await child.communicate()
    assert shown in output
    assert (child.returncode, errors) == (0, b"")


async def test_ctrl_c_says_that_the_batch_continues(tmp_path: Path) -> None:
    async with contract() as server:
        server.answer("status", progress("running", 3))
        file = tmp_path / "a token"
        file.write_text(TOKEN)
        child = await process(server, "status", "b-1", "--watch", "--token-file", str(file))
        await wait_until(lambda: len(server.seen) > 1)
        child.send_signal(signal.SIGINT)
        _, errors = await child.communicate()
        again = f"pipeline status b-1 --watch --gateway {server.url} --token-file '{file}'"
        assert errors.decode() == f"Batch b-1 continues. Watch it again: {again}\n"
        assert child.returncode == 130


def test_watch_command_names_options_that_differ_from_the_defaults() -> None:
    setup = Setup(GATEWAY, "other", None, None, 60, False, Console(), Console())  # noqa: FBT003
    assert watch_command(setup, "b-1") == "pipeline status b-1 --watch --pipeline-name other"


async def test_ctrl_c_during_a_submission_names_the_batch(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("url\nx\n")
    async with contract() as server:
        server.answer("batch", Answer({"error": "later"}, 503, headers={"Retry-After": "20"}))
        child = await process(server, "submit", str(rows))
        await wait_until(lambda: server.seen)
        assert child.stderr is not None
        assert b"retrying" in await child.stderr.readline()
        child.send_signal(signal.SIGINT)
        _, errors = await child.communicate()
        name = server.seen[0].headers["X-Batch-Id"]
        assert errors.decode().startswith(f"Batch {name} may have been started. See: pipeline status {name} --watch")
        assert child.returncode == 130


async def test_exit_codes_are_those_of_the_process() -> None:
    async with contract() as server:
        server.answer("status", progress("done", 9, 1), Answer({"error": "no"}, 404), Answer({"error": "no"}, 500))
        codes = []
        for _ in range(3):
            child = await process(server, "status", "b-1")
            await child.communicate()
            codes.append(child.returncode)
    assert codes == [1, 3, 4]


async def test_help_lists_exit_codes_and_completion() -> None:
    result = await run(None, "--help")
    assert result.exit_code == 0
    for text in ("--install-completion", "3    refused: the answer is a 4xx", "130  interrupted; the batch continues"):
        assert text in result.stdout
