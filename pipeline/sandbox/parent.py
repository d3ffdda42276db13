"""Call a function in a child process: start the child, send the argument, read the reply, kill it, explain its end."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast, get_type_hints

import msgspec

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sandbox.child import Limits, Reply
from pipeline.units import MIB

Argument = TypeVar("Argument")
Value = TypeVar("Value")

_ROOT = Path(__file__).parents[2]
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
# Freed memory counts against the limit until the allocators of polars and DuckDB give it back.
_ALLOCATOR = "narenas:4,dirty_decay_ms:0,muzzy_decay_ms:0,retain:false"
# Each thread takes memory, and a backtrace needs more where none is left.
_ENVIRONMENT = {
    "POLARS_MAX_THREADS": "2",
    "RUST_BACKTRACE": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "_RJEM_MALLOC_CONF": _ALLOCATOR,
    "DUCKDB_JE_MALLOC_CONF": _ALLOCATOR,
}


class ChildEndedError(BadRequestError):
    """The child ended without a reply; `code` is its exit code, or the negative number of a signal."""

    def __init__(self, code: int, limits: Limits) -> None:
        super().__init__(_explain(code, limits))
        self.code = code


async def call_in_child(function: Callable[[Argument], Value], argument: Argument, limits: Limits) -> Value:
    """Return `function(argument)`, called in a child process; both are sent as JSON, by the function's annotations.

    The child is killed when the caller is cancelled. Raises what the function raises as BadRequestError or
    UnavailableError, any other end as ChildEndedError, TimeoutError after `limits.seconds`, and UnavailableError when
    no process can be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pipeline.sandbox.child", f"{function.__module__}:{function.__qualname__}"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            cwd=_ROOT,
            env=environment(),
        )
    except OSError as error:
        raise UnavailableError(f"no process can be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(limits.seconds):
            text = await _exchange(process, [msgspec.json.encode(limits), msgspec.json.encode(argument)])
            code = await process.wait()
    finally:
        await _kill(process)
    if code or not text:
        raise ChildEndedError(code, limits)
    reply = msgspec.json.decode(text, type=Reply)
    if reply.error is not None:
        raise (UnavailableError if reply.is_unavailable else BadRequestError)(reply.error)
    value: Value = msgspec.json.decode(reply.value, type=get_type_hints(function)["return"])
    return value


def environment() -> dict[str, str]:
    """Return the environment of a child: none of the function's settings, and no secret."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ENVIRONMENT


async def _exchange(process: Process, lines: list[bytes]) -> bytes:
    """Send lines to the child and return its output; its stdin stays open, since the child ends when that closes."""
    stdin, stdout = cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)
    stdin.write(b"".join(line + b"\n" for line in lines))
    with contextlib.suppress(ConnectionError):
        await stdin.drain()
    return await stdout.read()


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    cast("asyncio.StreamWriter", process.stdin).close()
    await asyncio.shield(process.wait())


def _explain(code: int, limits: Limits) -> str:
    memory = f"more than {limits.memory // MIB} MiB of memory"
    if code in {-signal.SIGABRT, -signal.SIGKILL}:
        return f"it needs {memory}"
    if code == -signal.SIGXCPU:
        return f"it took more than {limits.processor_seconds} s of processor time"
    if code == -signal.SIGALRM:
        return f"its process stood still for {limits.idle_seconds} s, as one may that needs {memory}"
    return f"its process ended with exit code {code}, as one may that needs {memory}"
