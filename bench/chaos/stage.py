"""The stack of chaos runs: one local stack for many runs, whose services can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.local.demo.bucket import Bucket
from pipeline.local.errors import ServiceStartError
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import redis_server, s3_server
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bench.chaos.plan import Step

MODEL = "model"
TASK_TIMEOUT = 2.0
SILENCE = 2.5
# How long one message of another function holds a worker.
FOREIGN_SECONDS = 10.0
REQUEST = aiohttp.ClientTimeout(total=30)
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
    """A stack with two replicas of each function, and the clients of the user and of the checker."""

    stack: LocalStack
    http: aiohttp.ClientSession
    folder: Path

    @property
    def url(self) -> str:
        """Address of the pipeline at the gateway."""
        return f"{self.stack.gateway_url}/function/pipeline"

    @property
    def model_log(self) -> Path:
        """The log of the model function: a line with call id and item for each call."""
        return self.folder / "calls.ndjson"

    async def ask(
        self, mode: str, query: Mapping[str, str], *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Call the pipeline in a mode; returns the status, 0 without an answer, and the document."""
        try:
            async with self.http.post(
                self.url, params=query, data=body, headers={"X-Mode": mode, **(headers or {})}, timeout=REQUEST
            ) as answer:
                return answer.status, await answer.json(content_type=None) if await answer.read() else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, None

    @contextlib.asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        """Open a plain client, patient with a server that has just been killed."""
        async with s3_client(self.stack.s3, retries={"mode": "standard", "max_attempts": 8}) as client:
            yield Bucket(client, self.stack.s3.bucket)

    async def whole(self, within: float = 60.0) -> None:
        """Wait until every replica answers; raises TimeoutError when one does not come back."""
        functions = self.stack.gateway.functions.values()
        async with asyncio.timeout(within):
            while not all(replica.ready for function in functions for replica in function.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def clear(self) -> None:
        """Forget the calls of the run before."""
        self.model_log.unlink(missing_ok=True)
        shutil.rmtree(f"{self.model_log}.calls", ignore_errors=True)
        (self.folder / "switch").unlink(missing_ok=True)
        for file in self.folder.glob("fired-*"):
            file.unlink()

    def heal(self) -> None:
        """Switch on the `switch` items: they succeed from now on."""
        (self.folder / "switch").touch()

    async def hold_queue(self, messages: int) -> None:
        """Put messages of another function at the end of the queue."""
        # All at once: a message of the batch between any two of them would be answered meanwhile.
        await asyncio.gather(*map(self._post_foreign, range(messages)))

    async def _post_foreign(self, number: int) -> None:
        url = f"{self.stack.gateway_url}/async-function/{MODEL}"
        async with self.http.post(url, data=f"slow {FOREIGN_SECONDS:g} foreign-{number}".encode()) as answer:
            await answer.read()

    async def strike(self, step: Step) -> None:
        """Carry out a step: kill processes, and restart those that do not start by themselves."""
        match step.fault:
            case "backlog":
                await self.hold_queue(int(step.value))
            case "kill-pipeline":
                self._kill("pipeline", int(step.value))
            case "kill-model":
                self._kill(MODEL, int(step.value))
            case "restart-redis":
                self.stack.redis_service.kill()
                await asyncio.sleep(step.value)
                await self.stack.redis_service.restart()
            case "lose-redis":
                await self._lose_redis(step.value)
            case "restart-s3":
                self.stack.s3_service.kill()
                await asyncio.sleep(step.value)
                await self._restart_s3()

    async def _restart_s3(self) -> None:
        """Start S3 on its ports again, one of which a foreign connection may hold for a moment."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ServiceStartError),
            stop=stop_after_delay(60),
            wait=wait_fixed(1),
            reraise=True,
        ):
            with attempt:
                await self.stack.s3_service.restart()

    def _kill(self, function: str, place: int) -> None:
        """Kill one replica, or all for a place past the last."""
        replicas = self.stack.gateway.functions[function].replicas
        for replica in replicas[place : place + 1] or replicas:
            replica.kill()

    async def _lose_redis(self, pause: float) -> None:
        async with open_redis(self.stack) as client:
            folder = Path(str((await client.config_get("dir"))["dir"]))
        self.stack.redis_service.kill()
        shutil.rmtree(folder / "appendonlydir")
        await asyncio.sleep(pause)
        await self.stack.redis_service.restart()


@contextlib.asynccontextmanager
async def stage(
    settings: Mapping[str, str] | None = None, *, workers: int = 12, replicas: int = 2, redelivery: float = 1.5
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
        running = Stage(stack, await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))), folder)
        environment = {
            "PYTHONPATH": str(ROOT),
            "MODEL_LOG": str(running.model_log),
            "MODEL_SWITCH": str(folder / "switch"),
        }
        command = (sys.executable, "-m", "bench.chaos.model")
        await stack.add_function(FunctionSpec(MODEL, command, environment, replicas=replicas))
        points = {**SETTINGS, "CHAOS_POINT": str(folder / "point"), **(settings or {})}
        await stack.add_pipeline(replicas, points, module="bench.chaos.replica")
        yield running
