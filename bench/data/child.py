"""A process that is measured: it reads a task as JSON from its standard input, and prints its figures as JSON."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import uvloop

from bench.kit.errors import BenchError
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store.bucket import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from pipeline.local.services.s3_client import S3Info

BEAT = 0.001

T = TypeVar("T", bound=msgspec.Struct)


class Place(msgspec.Struct, frozen=True):
    """The bucket, with its credentials."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    @classmethod
    def of(cls, s3: S3Info) -> Place:
        """Return the place of a local S3 server's bucket."""
        return cls(s3.endpoint, s3.region, s3.bucket, s3.access_key, s3.secret_key)

    def settings(self) -> Settings:
        """Return the settings of a function that uses the bucket."""
        return Settings(s3_bucket=self.bucket, s3_endpoint=self.endpoint, s3_region=self.region, s3_addressing="path")

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Connect to it as the function does."""
        secrets = Secrets(self.access_key, self.secret_key, None, (b"a key of the measurement",))
        return Store.connect(self.settings(), secrets)


class Source(msgspec.Struct, frozen=True):
    """A batch in a bucket."""

    place: Place
    batch: str
    epoch: str
    segments: int


class Heart:
    """Beats in the event loop; `longest` is the longest delay of a beat, in seconds: how long the loop was held."""

    longest = 0.0

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the block runs."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, perf_counter() - before - BEAT)


def peak_rss_mb(process: int | str = "self") -> float:
    """Return the most memory that a process has held, in MiB; getrusage would count its parent's at the start too."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchError("this system does not tell the peak memory of a process: /proc/self/status has no VmHWM")


async def run_child(module: str, task: msgspec.Struct, kind: type[T]) -> T:
    """Run a module with a task in a new process, and return its measurement; raises BenchError when it fails."""
    pipe = asyncio.subprocess.PIPE
    # The child takes the credentials from its input: every user of the machine can read a command line.
    child = await asyncio.create_subprocess_exec(*(sys.executable, "-m", module), stdin=pipe, stdout=pipe, stderr=pipe)
    out, problem = await child.communicate(msgspec.json.encode(task))
    if child.returncode:
        raise BenchError(f"the measured process ended with {child.returncode}: {problem.decode()[-2000:]}")
    return msgspec.json.decode(out, type=kind)


def answer_task(kind: type[T], measure: Callable[[T], Coroutine[Any, Any, msgspec.Struct]]) -> None:
    """Measure the task on standard input: the main function of a child."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(task))
    sys.stdout.buffer.write(msgspec.json.encode(measured))
