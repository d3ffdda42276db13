"""Make a batch in an S3 server of its own, and write its outputs in processes of their own."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bench.data.made_batch import EPOCH, make_batch
from bench.data.outputs_child import Measured, Source, Task
from bench.kit.errors import BenchError
from pipeline.local.services.redis_and_s3 import s3_server
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store.bucket import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.local.services.s3_client import S3Info

BATCH = "b"


@dataclass(frozen=True)
class Stage:
    """A batch in S3."""

    s3: S3Info
    segments: int

    async def measure(self, formats: tuple[str, ...] | None, *, summary: bool = False) -> Measured:
        """Write the table in these formats, or not at all, in a new process; raises BenchError when it fails."""
        task = Task(self.source, summary, formats is not None, formats or ())
        return msgspec.json.decode(await run_child("bench.data.outputs_child", task), type=Measured)

    @property
    def source(self) -> Source:
        """Where it is."""
        where = (self.s3.endpoint, self.s3.region, self.s3.bucket, self.s3.access_key, self.s3.secret_key)
        return Source(*where, BATCH, EPOCH, self.segments)


async def run_child(module: str, task: msgspec.Struct) -> bytes:
    """Run a module with a task on its input, and return what it prints; raises BenchError when it fails."""
    pipe = asyncio.subprocess.PIPE
    # The child takes the credentials from its input: every user of the machine can read a command line.
    child = await asyncio.create_subprocess_exec(*(sys.executable, "-m", module), stdin=pipe, stdout=pipe, stderr=pipe)
    out, problem = await child.communicate(msgspec.json.encode(task))
    if child.returncode:
        raise BenchError(f"the measured process ended with {child.returncode}: {problem.decode()[-2000:]}")
    return out


@asynccontextmanager
async def open_stage(items: int) -> AsyncIterator[Stage]:
    """Make a batch of so many items."""
    async with s3_server() as server:
        info = server.info
        settings = Settings(
            s3_bucket=info.bucket, s3_endpoint=info.endpoint, s3_region=info.region, s3_addressing="path"
        )
        secrets = Secrets(info.access_key, info.secret_key, None, (b"a key of the measurement",))
        async with Store.connect(settings, secrets) as store:
            _, segments = await make_batch(store, BATCH, items)
        yield Stage(info, len(segments))
