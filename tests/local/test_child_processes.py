"""Child processes and the temporary folder never outlive the parent, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.local.services.child_processes import child_processes
from tests.rigs.waiting import wait_until

ROOT = Path(__file__).parents[2]

# The child starts a child of its own, which must end as well.
PARENT = """
import asyncio, os, sys
from pipeline.local.services.child_processes import child_processes

async def main():
    with child_processes() as children:
        child = children.start(("sh", "-c", "sleep 1000 & echo $!; wait"), log="log", environment=os.environ)
        while not child.tail():
            await asyncio.sleep(0.01)
        print(children.directory, child.pid, child.tail(), flush=True)
        {then}

asyncio.run(main())
"""
STACK = """
import asyncio, sys
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

async def main():
    function = FunctionSpec("model", (sys.executable, "tests/rigs/openfaas/environment_function.py"))
    async with local_stack([function], pipeline_replicas=0) as stack:
        services = [stack.redis_service.own_daemon().pid, stack.s3_service.own_daemon().pid]
        print(stack.directory, *services, *stack.pids("model"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def parent(script: str) -> Iterator[tuple[subprocess.Popen[str], Path, list[int]]]:
    """Run `script`, which prints a folder and process ids."""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            assert process.stdout is not None
            directory, *pids = process.stdout.readline().split()
            yield process, Path(directory), [int(pid) for pid in pids]
        finally:
            process.kill()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("return", None),
        ("raise ValueError", None),
        ("os._exit(1)", None),
        ("await asyncio.Event().wait()", signal.SIGINT),
        ("await asyncio.Event().wait()", signal.SIGTERM),
        ("await asyncio.Event().wait()", signal.SIGKILL),
    ],
)
async def test_children_end_with_their_parent(then: str, number: signal.Signals | None) -> None:
    with parent(PARENT.format(then=then)) as (process, directory, pids):
        assert len(pids) == 2
        if number is not None:
            assert all(runs(pid) for pid in pids)
            assert directory.is_dir()
            process.send_signal(number)
        await wait_until(lambda: not any(runs(pid) for pid in pids))
        await wait_until(lambda: not directory.exists())


async def test_stack_ends_with_its_killed_parent() -> None:
    with parent(STACK) as (process, directory, pids):
        assert len(pids) == 3
        assert all(runs(pid) for pid in pids)
        process.kill()
        await wait_until(lambda: not any(runs(pid) for pid in pids))
        await wait_until(lambda: not directory.exists())


async def test_child_that_ignores_sigterm_is_killed() -> None:
    with child_processes() as children:
        script = "trap '' TERM; echo ready; while true; do sleep 0.1; done"
        child = children.start(("sh", "-c", script), log="log", environment=os.environ)
        await wait_until(child.tail)
        await child.stop(grace=0.05)
        assert child.exit_code == -signal.SIGKILL


async def test_child_that_ends_on_sigterm_is_not_killed() -> None:
    with child_processes() as children:
        script = "trap 'exit 5' TERM; echo ready; while true; do sleep 0.01; done"
        child = children.start(("sh", "-c", script), log="log", environment=os.environ)
        await wait_until(child.tail)
        await child.stop()
        assert child.exit_code == 5


async def test_folder_is_private_and_the_environment_is_exact() -> None:
    with child_processes() as children:
        assert children.directory.stat().st_mode & 0o777 == 0o700
        child = children.start(("/usr/bin/env",), log="log", environment={"only": "this"})
        assert await child.wait() == 0
        assert set(child.tail().splitlines()) - {"only=this"} <= {f"PWD={Path.cwd()}", "SHLVL=0", "_=/usr/bin/env"}
