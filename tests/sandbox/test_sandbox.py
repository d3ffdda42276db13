"""A function is called in a child process, which has limits and ends with its parent."""

import asyncio
import os
import resource
import signal
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.sandbox.child import Limits
from pipeline.sandbox.parent import ChildEndedError, call_in_child
from pipeline.units import MIB

LIMITS = Limits(memory=256 * MIB, processor_seconds=60)


def double(number: int) -> int:
    return 2 * number


def limits_of_process(name: str) -> tuple[int, int]:
    soft, hard = resource.getrlimit(getattr(resource, name))
    return soft, hard


def oom_score(path: str) -> int:
    """Only Linux has the file."""
    return int(Path(path).read_text()) if Path(path).exists() else 1000


def raise_error(name: str) -> None:
    raise {"BadRequestError": BadRequestError, "UnavailableError": UnavailableError}[name]("in words")


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


def allocate(size: int) -> int:
    return len(bytearray(size))


def work(seconds: int) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


async def test_function_is_called_with_its_argument() -> None:
    assert await call_in_child(double, 21, LIMITS) == 42


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("RLIMIT_DATA", (256 * MIB, 256 * MIB)),
        ("RLIMIT_CPU", (60, 120)),
        ("RLIMIT_CORE", (0, 0)),
        ("RLIMIT_FSIZE", (MIB, MIB)),
    ],
)
async def test_child_has_limits(name: str, limit: tuple[int, int]) -> None:
    limits = Limits(memory=256 * MIB, processor_seconds=60, file_bytes=MIB)
    assert await call_in_child(limits_of_process, name, limits) == limit


async def test_child_is_the_first_to_be_killed_without_memory() -> None:
    assert await call_in_child(oom_score, "/proc/self/oom_score_adj", LIMITS) == 1000


@pytest.mark.parametrize("kind", [BadRequestError, UnavailableError])
async def test_error_of_the_function_is_raised(kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^in words$") as caught:
        await call_in_child(raise_error, kind.__name__, LIMITS)
    assert type(caught.value) is kind


async def test_function_over_its_memory_is_an_error() -> None:
    with pytest.raises(ChildEndedError, match=r"^it needs more than 256 MiB of memory$"):
        await call_in_child(allocate, 300 * MIB, LIMITS)


async def test_function_over_its_processor_time_is_an_error() -> None:
    limits = Limits(memory=256 * MIB, processor_seconds=1)
    with pytest.raises(ChildEndedError, match=r"^it took more than 1 s of processor time$"):
        await call_in_child(work, 60, limits)


async def test_function_over_its_time_is_killed() -> None:
    with pytest.raises(TimeoutError):
        await call_in_child(work, 60, Limits(memory=256 * MIB, processor_seconds=60, seconds=0.1))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (signal.SIGKILL, "^it needs more than 256 MiB of memory$"),
        (signal.SIGALRM, "^its process stood still for 30 s, as one may that needs more than 256 MiB of memory$"),
        (signal.SIGSEGV, "^its process ended with exit code -11, as one may that needs more than 256 MiB of memory$"),
    ],
)
async def test_end_of_a_child_is_explained(code: signal.Signals, words: str) -> None:
    limits = Limits(memory=256 * MIB, processor_seconds=60, idle_seconds=30)
    with pytest.raises(ChildEndedError, match=words) as caught:
        await call_in_child(end_by, int(code), limits)
    assert caught.value.code == -code


HANGS = """
import time
from pipeline.sandbox.child import exit_when_idle
exit_when_idle(2)
end = time.monotonic() + 5
while time.monotonic() < end:
    sum(range(1000))
print("worked", flush=True)
time.sleep(100)
"""


async def test_stalled_child_is_killed_and_a_working_one_is_not() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HANGS, stdout=PIPE)
    output, _ = await process.communicate()
    assert (output, process.returncode) == (b"worked\n", -signal.SIGALRM)
