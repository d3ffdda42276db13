"""A local stack as a bench needs it: model functions, process ids, inputs, and the times of a batch."""

import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from botocore.exceptions import BotoCoreError, ClientError
from redis.asyncio import Redis

from bench.kit.counters import Counts, read_counts
from bench.kit.errors import BenchError
from bench.kit.processes import Pids
from pipeline.client import Pipeline, Progress, SpecFields
from pipeline.local.demo.bucket import Bucket, open_bucket
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.openfaas.message_queue import Callback, Message, once
from pipeline.local.services.s3_client import S3Info
from pipeline.local.stack import LocalStack, local_stack

MODEL = Path(__file__).with_name("model.py")
BETWEEN_POLLS = 0.2


@dataclass
class Site:
    """A local stack, and the clients that a bench needs of it.

    `messages` and `task_ms`, the milliseconds of the calls by queue-workers, count from `watch_queue` on.
    """

    stack: LocalStack
    pipeline: Pipeline
    redis: Redis
    bucket: Bucket
    messages: int = 0
    task_ms: list[float] = field(default_factory=list)

    async def counts(self) -> Counts:
        """Read the counters of Redis and S3; raises BenchError where S3 has none."""
        return await read_counts(self.redis, self.stack.s3_service.metrics_url)

    def watch_queue(self) -> None:
        """Count messages and tasks from now on."""
        self.messages = 0
        self.task_ms.clear()
        self.stack.gateway.messages_hook, self.stack.gateway.callbacks_hook = self._enqueued, self._answered

    def _enqueued(self, message: Message) -> Sequence[float]:
        self.messages += 1
        return once(message)

    def _answered(self, callback: Callback) -> Sequence[float]:
        self.task_ms.append(1000 * float(callback.headers["X-Duration-Seconds"]))
        return once(callback)


@asynccontextmanager
async def open_site(*models: FunctionSpec, **options: Any) -> AsyncIterator[Site]:
    """Start a stack with model functions and the options of `local_stack`; raises LocalError."""
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack(models, **options))
        pipeline, redis = await enter(Pipeline(stack.gateway_url)), await enter(open_redis(stack))
        yield Site(stack, pipeline, redis, await enter(open_bucket(stack.s3)))


@dataclass(frozen=True)
class Times:
    """Seconds since 1970: claimed, first task released, last task settled, summary written."""

    created: float
    started: float
    completed: float
    ended: float


def times_of(progress: Progress) -> Times:
    """Return the times of a batch that has ended; raises BenchError for a batch that has not run."""
    created, started, completed, ended = progress.created, progress.started, progress.completed, progress.ended
    if created is None or started is None or completed is None or ended is None:
        raise BenchError(f"batch {progress.batch_id} is {progress.state} without having run: {progress.reason}")
    return Times(created, started, completed, ended)


async def run_batch(site: Site, items: int, batch_id: str | None = None, **fields: Unpack[SpecFields]) -> Progress:
    """Run a batch of so many items to its end; raises BenchError for one that is not done then."""
    key = await put_input(site.stack.s3, item_names(items))
    batch = await site.pipeline.submit(key, batch_id=batch_id, **fields)
    last = await batch.wait(BETWEEN_POLLS)
    if last.state != "done":
        raise BenchError(f"batch {last.batch_id} is {last.state}: {last.reason}")
    return last


def model_spec(name: str, model_ms: int = 0, result_bytes: int = 0, fails: str = "") -> FunctionSpec:
    """Describe a model function, see `bench.kit.model`."""
    environment = {"BENCH_MODEL_MS": str(model_ms), "BENCH_RESULT_BYTES": str(result_bytes), "BENCH_FAILS": fails}
    return FunctionSpec(name, (sys.executable, str(MODEL)), environment=environment)


def pids(stack: LocalStack, functions: Iterable[str]) -> dict[str, Pids]:
    """Return the processes of a stack: functions, gateway, and the services that it started itself.

    The gateway and the queue-workers are this process.
    """
    services = {"redis": stack.redis_service.daemon, "s3": stack.s3_service.daemon}
    started = {name: daemon.pid for name, daemon in services.items() if daemon is not None}
    return {
        **{name: tuple(stack.pids(name)) for name in functions},
        "gateway": (os.getpid(),),
        **{name: (pid,) for name, pid in started.items() if pid is not None},
    }


def open_redis(stack: LocalStack) -> Redis:
    """Return a plain client of the stack's Redis, to be entered."""
    return Redis.from_url(stack.redis_url, password=stack.redis_password)


def item_names(count: int) -> list[str]:
    """Return so many items, all of one length."""
    return [f"item-{number:07}" for number in range(count)]


async def put_input(s3: S3Info, items: Sequence[str], name: str = "") -> str:
    """Put a CSV of one column, `item`, into the bucket; returns its key. Raises BenchError."""
    key = f"bench/{name or len(items)}.csv"
    try:
        async with open_bucket(s3) as bucket:
            await bucket.put(key, "".join(f"{line}\n" for line in ("item", *items)).encode())
    except (BotoCoreError, ClientError) as error:
        raise BenchError(f"the input cannot be put to {s3.endpoint}: {error}") from error
    return key
