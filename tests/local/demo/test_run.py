"""The output of the demo when the pipeline fails."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from pipeline.client import BrokenError, CallError, RefusedError
from pipeline.local.demo import run
from pipeline.local.demo.options import Options
from tests.rigs.client.contract import Answer, contract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("status", "kind", "log"), [(500, BrokenError, True), (400, RefusedError, False), (404, RefusedError, False)]
)
async def test_log_of_the_function_is_printed_if_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[CallError], *, log: bool
) -> None:
    (tmp_path / "pipeline-0.log").write_text("settings: [bold]missing\n")
    console = Console(file=io.StringIO(), width=120)
    async with contract() as server:
        server.answer("batch", Answer({"error": "no"}, status))

        @asynccontextmanager
        async def ready(*_: Any) -> AsyncIterator[Any]:
            stack = SimpleNamespace(gateway_url=server.url, directory=tmp_path)
            yield SimpleNamespace(
                stack=stack, bucket=SimpleNamespace(name="b"), fields={"column": "url", "function": "f"}
            )

        monkeypatch.setattr(run, "_start_stack", ready)
        with pytest.raises(kind):
            await run.demo(console, Options())
    assert isinstance(console.file, io.StringIO)
    assert ("settings: [bold]missing" in console.file.getvalue()) == log
