"""Processes forked from one with the heavy imports; none of them outlives this process."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.kit.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.context import ForkServerProcess

# All that the tests and the function import, except the function: each process imports that from the copy.
_PRELOADED = (
    *("aiobotocore.session", "aiohttp", "aioresponses", "async_lru", "botocore.session", "hypothesis", "msgspec"),
    *("multidict", "orjson", "polars", "pydantic", "pytest", "pytest_asyncio", "pytest_timeout", "redis.asyncio"),
    *("tenacity", "uvloop", "yarl"),
)
# For pytest: the heavy imports are there before pytest looks at them.
OPTIONS = ("-q", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_PRELOADED))


@dataclass(frozen=True)
class Ground:
    """The place of a job's tests: a folder with a copy of the working tree, and the environment that names services."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        """The copy."""
        return self.folder / "tree"

    @property
    def log(self) -> Path:
        """The output of the last process."""
        return self.folder / "log"

    @property
    def note(self) -> Path:
        """The note of the last process."""
        return self.folder / "note"


async def run_forked(target: Callable[..., None], ground: Ground, *arguments: Any, limit: float) -> int | None:
    """Run `target(ground, *arguments)` in a new process and return its exit code, None after `limit` seconds.

    `target` calls `enter` first. All processes of its group have ended on return.
    """
    ground.note.unlink(missing_ok=True)
    process = _context.Process(target=target, args=(ground, *arguments))
    process.start()
    try:
        return process.exitcode if await _has_ended(process, limit) else None
    finally:
        process.kill()
        if process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.join()
        process.close()


def enter(ground: Ground) -> None:
    """Move this forked process to the ground, in a process group of its own, which ends with the parent."""
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output = os.open(ground.log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(ground.environment)
    # A cached module may be as old and as long as the changed one.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.chdir(ground.tree)
    sys.path[:] = [str(ground.tree), *(path for path in sys.path if Path(path).resolve() != ROOT)]
    if "pipeline" in sys.modules:
        raise RuntimeError("pipeline was imported before the fork: the change would go unseen")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.killpg(0, signal.SIGKILL)


async def _has_ended(process: ForkServerProcess, limit: float) -> bool:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        async with asyncio.timeout(limit):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(process.sentinel)
    process.join()
    return True
