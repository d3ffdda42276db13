"""The stack of chaos runs, whose services can be killed, and the user of a batch."""

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.chaos.checker import COLUMN
from bench.chaos.plan import Plan
from bench.kit.callbacks import LOG
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.client import CallError, Pipeline, RefusedError
from pipeline.local.demo.bucket import Bucket
from pipeline.local.errors import ServiceStartError
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import Service, redis_server, s3_server
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack

MODEL = "model"
TASK_TIMEOUT = 2.0
SILENCE = 2.5
# How long one message of another function holds a worker.
FOREIGN_SECONDS = 10.0
# Twenty silences without any progress.
HANG = 60.0
LIMIT = 400.0
POLL = 0.1
PROGRESS = ("state", "generation", "succeeded", "failed", "settled")
# A short run meets several leases in its time.
SHORT = {"CHAOS_LEASE": "1"}
SETTINGS = {
    "sweep_interval": "0.2",
    "task_timeout": f"{TASK_TIMEOUT:g}",
    "ack_wait": f"{SILENCE - TASK_TIMEOUT:g}",
    "CHAOS_LEASE": "2",
    "CHAOS_SEGMENT": "50",
    # S3 takes no smaller one.
    "CHAOS_PART": "5242880",
}


@dataclass(frozen=True)
class Stage:
    """A stack with two replicas of each function, and the clients of the user and of the checker.

    `folder` holds the log of the model function, `calls.ndjson`, a line with call id and item for each call.
    """

    stack: LocalStack
    pipeline: Pipeline
    http: aiohttp.ClientSession
    folder: Path

    @contextlib.asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        """Open a plain client, patient with a server that has just been killed."""
        async with s3_client(self.stack.s3, retries={"mode": "standard", "max_attempts": 8}) as client:
            yield Bucket(client, self.stack.s3.bucket)

    async def reset(self) -> None:
        """Forget the run before, and wait until every replica answers; raises TimeoutError when one does not."""
        functions = self.stack.gateway.functions.values()
        async with asyncio.timeout(60):
            while not all(replica.ready for function in functions for replica in function.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "point":
                path.unlink()

    async def hold_queue(self, messages: int) -> None:
        """Put messages of another function at the end of the queue."""

        async def post(number: int) -> None:
            url = f"{self.stack.gateway_url}/async-function/{MODEL}"
            async with self.http.post(url, data=f"slow {FOREIGN_SECONDS:g} foreign-{number}".encode()) as answer:
                await answer.read()

        # All at once: a message of the batch between any two of them would be answered meanwhile.
        await asyncio.gather(*map(post, range(messages)))

    async def kill(self, function: str, place: int) -> None:
        """Kill one replica, or all for a place past the last."""
        replicas = self.stack.gateway.functions[function].replicas
        for replica in replicas[place : place + 1] or replicas:
            replica.kill()

    async def lose_redis(self, pause: float) -> None:
        """Restart Redis without its data."""
        async with open_redis(self.stack) as client:
            folder = Path(str((await client.config_get("dir"))["dir"]))
        self.stack.redis_service.kill()
        shutil.rmtree(folder / "appendonlydir")
        await restart(self.stack.redis_service, pause)


class User:
    """Submits a batch and follows it; `problems` are the answers that must not be."""

    def __init__(self, stage: Stage, batch: str, plan: Plan) -> None:
        self.stage, self.plan, self.batch = stage, plan, stage.pipeline.batch(batch)
        self.problems: list[str] = []
        self.stopped = self.cancelled = False
        self._source: bytes | str = "".join(f"{row}\n" for row in (COLUMN, *plan.rows)).encode()

    async def prepare(self) -> None:
        """Put the rows under the key that the submission names."""
        if self.plan.by_key and isinstance(self._source, bytes):
            key = f"chaos/{self.batch.id}.csv"
            async with self.stage.bucket() as bucket:
                await bucket.put(key, self._source)
            self._source = key

    async def submit(self) -> None:
        """Submit the batch; the same id and specification are the same batch."""
        options: Any = self.plan.options
        try:
            await self.stage.pipeline.submit(self._source, batch_id=self.batch.id, **options)
        except CallError as error:
            self.problems.append(f"the submission: {error}")

    async def cancel(self) -> None:
        """Cancel the batch."""
        self.stopped = True
        self.cancelled = await self._insist(self.batch.cancel)

    async def pause(self, seconds: float) -> None:
        """Pause the batch for a while."""
        await self._insist(self.batch.pause)
        await asyncio.sleep(seconds)
        await self._insist(self.batch.resume)

    async def redrive(self) -> None:
        """Run the failed items again; where there are none, the batch stays as it ended."""
        if await self._insist(self.batch.redrive):
            self.stopped = self.cancelled = False

    async def _insist(self, control: Callable[[], Awaitable[bool | None]]) -> bool:
        """Control the batch until that is accepted, or the batch has ended; returns whether it had an effect."""
        deadline = time.monotonic() + HANG
        while True:
            try:
                return await control() is not False
            except RefusedError as error:
                if (await self.batch.status()).over:
                    return False
                if time.monotonic() > deadline:
                    self.problems.append(str(error))
                    return False
            await asyncio.sleep(POLL)

    async def follow(self) -> dict[str, Any]:
        """Return the status once the batch has ended, or has stood still for long."""
        started = changed = time.monotonic()
        last: tuple[Any, ...] = ()
        status: dict[str, Any] = {}
        try:
            async for read in self.batch.follow(POLL):
                status, now = msgspec.to_builtins(read), time.monotonic()
                progress = tuple(status[name] for name in PROGRESS)
                if progress != last:
                    last, changed = progress, now
                if not read.over and (now - changed > HANG or now - started > LIMIT):
                    self.problems.append(f"it hangs after {now - started:.0f} s: {status}")
                    break
        except CallError as error:
            self.problems.append(f"an accepted batch has no status: {error}")
        return status


async def restart(service: Service, pause: float) -> None:
    """Kill a service and start it again, on ports one of which a foreign connection may hold for a moment."""
    service.kill()
    await asyncio.sleep(pause)
    once_more = retry_if_exception_type(ServiceStartError)
    await retry(retry=once_more, stop=stop_after_delay(60), wait=wait_fixed(1), reraise=True)(service.restart)()


@contextlib.asynccontextmanager
async def stage(
    settings: Mapping[str, str] | None = None, *, workers: int = 12, redelivery: float = 1.5
) -> AsyncIterator[Stage]:
    """Start services, gateway and functions; Redis writes every change to disk before it answers. Raises LocalError.

    `settings` go over SETTINGS. `redelivery` is the seconds after which the queue delivers again what was not
    acknowledged.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        redis, s3 = await enter(redis_server(appendonly=True)), await enter(s3_server())
        stack = await enter(local_stack(workers=workers, ack_wait=redelivery, pipeline_replicas=0, redis=redis, s3=s3))
        folder = stack.directory / "chaos"
        folder.mkdir()
        model = {"MODEL_LOG": str(folder / "calls.ndjson"), "MODEL_SWITCH": str(folder / "switch")}
        command = (sys.executable, "-m", "bench.chaos.model")
        await stack.add_function(FunctionSpec(MODEL, command, {"PYTHONPATH": str(ROOT), **model}, replicas=2))
        points = {"CHAOS_POINT": str(folder / "point"), LOG: str(folder / "callbacks")}
        await stack.add_pipeline(2, {**SETTINGS, **points, **(settings or {})}, module="bench.chaos.replica")
        pipeline = await enter(Pipeline(stack.gateway_url, patience=HANG))
        http = await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        yield Stage(stack, pipeline, http, folder)
