"""A callback that takes long is noticed, whatever calls it."""

import asyncio
import time
from pathlib import Path

import pytest
import uvloop
from aiohttp.web_protocol import RequestHandler

from bench.kit import callbacks


def work() -> None:
    """Use the processor for a while."""
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        pass


async def call_in_every_way() -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(work)
    loop.call_later(0, work)
    loop.call_at(loop.time(), work)
    await asyncio.to_thread(loop.call_soon_threadsafe, work)
    later = asyncio.Event()
    # A task that only waits uses no processor time.
    loop.call_later(0.05, later.set)
    await later.wait()
    work()


def test_long_callbacks_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvloop, "new_event_loop", uvloop.new_event_loop)
    monkeypatch.setattr(RequestHandler, "data_received", RequestHandler.data_received)
    monkeypatch.setattr(callbacks, "LONGEST", 0.004)
    log = tmp_path / "callbacks"
    monkeypatch.setenv(callbacks.LOG, str(log))
    assert callbacks.long_callbacks(log) == []
    callbacks.watch_callbacks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call_in_every_way())
    lines = callbacks.long_callbacks(log)
    assert sum("function work" in line for line in lines) == 4
    assert sum("call_in_every_way" in line for line in lines) == 1
