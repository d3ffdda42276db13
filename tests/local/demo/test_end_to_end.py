from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aiohttp import ClientSession
from rich.console import Console

from pipeline.client import Pipeline
from pipeline.local.demo import run
from pipeline.local.demo.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).parents[3]
HANDLER = """
def handle(event, context):
    text = event.body.decode()
    if text == "bad":
        return {"statusCode": 422, "body": {"error": "a bad row"}}
    return {"label": "long" if len(text) > 3 else "short"}
"""


def demo_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.local", "demo", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "120"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_demo_classifies_its_photos_and_reports(tmp_path: Path) -> None:
    ended = demo_process(tmp_path, "--count", "30", "--chunk", "3")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "29 succeeded, 1 failed" in ended.stdout
    assert re.search(
        r"^Watch it: http://127.0.0.1:\d+/function/pipeline/\?batch=[0-9a-f-]{36}$", ended.stdout, re.MULTILINE
    )
    assert "espresso" in ended.stdout
    assert "Egyptian cat" in ended.stdout
    assert "422: the picture's host answered 404" in ended.stdout
    (copy,) = (tmp_path / "build" / "demo").iterdir()
    summary = json.loads(copy.read_bytes())
    assert (summary["results"]["count"], summary["failures"]["count"]) == (29, 1)
    assert f"s3://pipeline-local/{summary['batchId']}.json" in ended.stdout


async def test_demo_at_a_terminal_keeps_the_page_until_ctrl_c(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "pipeline.local", "demo", "--count", "4"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while b"The page stays" not in shown:
        shown += await asyncio.to_thread(os.read, master, 4096)
    page = re.search(rb"http://127.0.0.1:\d+/function/pipeline/\?batch=[0-9a-f-]{36}", shown)
    assert page is not None
    async with ClientSession() as session, session.get(page[0].decode()) as response:
        assert (await response.json())["state"] == "done"
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    os.close(master)


async def test_demo_without_a_terminal_ends_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(run, "PAGE_LINGER", 0.01)
    console = Console(force_terminal=True, file=io.StringIO())
    assert await run.demo(console, Options(count=4))


def test_own_function_runs_over_an_own_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n1,hello\n2,hi\n3,bad\n4,good day\n")
    (tmp_path / "handler.py").write_text(HANDLER)
    ended = demo_process(tmp_path, "--csv", "rows.csv", "--function", "handler.py", "--column", "text")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 succeeded, 1 failed" in ended.stdout
    (copy,) = (tmp_path / "build" / "demo").iterdir()
    summary = json.loads(copy.read_bytes())
    assert [(entry["text"], entry["result"]["label"]) for entry in summary["results"]["results"]] == [
        ("hello", "long"),
        ("hi", "short"),
        ("good day", "long"),
    ]
    assert [entry["text"] for entry in summary["failures"]["results"]] == ["bad"]


@contextmanager
def up_process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pipeline.local", "up", "--count", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0


def lines_after(heading: str, output: IO[str]) -> str:
    for line in output:
        if line.rstrip() == heading:
            return next(output)
    raise AssertionError(f"{heading} was not printed")


async def test_curl_command_of_up_works() -> None:
    with up_process() as process:
        assert process.stdout is not None
        words = shlex.split(lines_after("Start a batch", process.stdout))
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        body, url = words[-2], words[-1]
        async with ClientSession() as session, session.post(url, data=body, headers=headers) as response:
            assert (await response.json())["batch_id"] == "demo-1"
        async with Pipeline(url.removesuffix("/function/pipeline")) as pipeline:
            last = await pipeline.batch("demo-1").wait(interval=0.1)
    assert (last.state, last.succeeded) == ("done", 4)


async def test_command_line_examples_of_up_work(tmp_path: Path) -> None:
    with up_process() as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        page = re.fullmatch(r"Open (http://127.0.0.1:\d+/function/pipeline/) in a browser; Ctrl-C stops it\.\n", first)
        assert page is not None
        line = lines_after("From the command line", process.stdout)
        submit = await asyncio.create_subprocess_exec(
            *shlex.split(line), cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
        )
        output, _ = await submit.communicate()
    assert submit.returncode == 0
    assert f"Watch it: {page[1]}?batch=demo-0" in output.decode()
    assert "4 succeeded, 0 failed" in output.decode()
