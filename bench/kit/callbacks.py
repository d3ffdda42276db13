"""The pipeline with a clock on its event loop: `python -m bench.kit.callbacks`, in place of `python -m pipeline`.

A callback that takes long keeps all requests of its replica waiting. Each that takes more than LONGEST of its thread's
processor time, so that a busy machine does not count, is a line of the file LONG_CALLBACKS.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from aiohttp.web_protocol import RequestHandler

from pipeline.__main__ import main

LOG = "LONG_CALLBACKS"
LONGEST = 0.1
# The task that opens the clients before any request is taken, and that waits then.
STARTING = "_run_app()"

Callback = Callable[..., Any]


class TimedLoop(uvloop.Loop):
    """An event loop that measures what it calls, steps of tasks too; uvloop itself calls protocols."""


def watch_callbacks() -> None:
    """Have the pipeline of this process run on a loop with a clock."""
    for name, place in {"call_soon": 0, "call_soon_threadsafe": 0, "call_later": 1, "call_at": 1}.items():
        setattr(TimedLoop, name, _timing(getattr(uvloop.Loop, name), place))
    uvloop.new_event_loop = TimedLoop
    RequestHandler.data_received = timed(RequestHandler.data_received)  # type: ignore[method-assign]


def _timing(method: Callback, place: int) -> Callback:
    """Return a method of a loop that puts a clock around the callback at a place among its arguments."""

    def call(loop: object, *args: Any, **options: Any) -> Any:
        return method(loop, *args[:place], timed(args[place]), *args[place + 1 :], **options)

    return call


def timed(callback: Callback) -> Callback:
    """Return the callback with a clock."""

    def measured(*args: Any) -> Any:
        started = time.thread_time()
        try:
            return callback(*args)
        finally:
            seconds = time.thread_time() - started
            if seconds > LONGEST:
                _note(callback, seconds)

    return measured


def _note(callback: Callback, seconds: float) -> None:
    owner = getattr(callback, "__self__", None)
    name = repr(owner if isinstance(owner, asyncio.Task) else callback)
    if STARTING in name:
        return
    with Path(os.environ[LOG]).open("a") as file:
        file.write(f"{seconds:.3f} s: {name}\n")


def long_callbacks(log: Path) -> list[str]:
    """Return the lines of a file LONG_CALLBACKS, none where it does not exist."""
    return log.read_text().splitlines() if log.exists() else []


if __name__ == "__main__":
    watch_callbacks()
    main()
