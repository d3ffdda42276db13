"""The processor time and memory of processes is seen from outside."""

import asyncio
import subprocess
import sys

import psutil
import pytest

from bench.kit.errors import BenchError
from bench.kit.processes import Memory, Usage, freeze, repeated
from tests.rigs.waiting import wait_until

# Uses processor time in a process that has ended when it says so, and lives on.
PARENT = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass"
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", burn])
    print("done", flush=True)
"""


def test_processor_time_of_children_that_have_ended_counts() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        usage = Usage({"group": (parent.pid,)})
        parent.stdin.write("go\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "done\n"
        used = usage.cpu_ms()["group"]
        parent.stdin.close()

    assert used >= 280


def test_a_child_that_ends_meanwhile_is_no_error_and_the_process_itself_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        ended = psutil.Process(process.pid)
    own = psutil.Process()
    monkeypatch.setattr(psutil.Process, "children", lambda _process, **_options: [ended])

    assert Usage({"group": (own.ppid(),)}).cpu_ms()["group"] >= 0
    with pytest.raises(BenchError, match="a process of group ended"):
        Usage({"group": (ended.pid,)})


def test_memory_is_the_most_between_two_times_and_the_nearest_where_there_is_none() -> None:
    memory = Memory({})
    memory.samples += [(1.0, {"a": 10.0}), (2.0, {"a": 30.0}), (3.0, {"a": 20.0})]

    assert memory.peak("a", 1.0, 3.0) == 30
    assert memory.peak("a", 2.5, 3.0) == 20
    assert memory.peak("a", 2.05, 2.1) == 30


async def test_a_sampler_stops_with_its_block_and_raises_its_error() -> None:
    taken: list[int] = []

    async def sample() -> None:
        taken.append(1)

    async def fail() -> None:
        raise BenchError("a process ended")

    async with repeated(sample, 0.001):
        await asyncio.sleep(0.05)
    count = len(taken)
    await asyncio.sleep(0.01)
    assert len(taken) == count > 1
    with pytest.raises(BenchError, match="a process ended"):
        async with repeated(fail, 0.001):
            pass


async def test_frozen_process_goes_on_after_some_seconds() -> None:
    process = psutil.Popen(["/bin/sleep", "60"], start_new_session=True)
    try:
        freeze(process.pid, 0.3)
        await wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        await wait_until(lambda: process.status() != psutil.STATUS_STOPPED)
    finally:
        process.kill()
        process.wait()
