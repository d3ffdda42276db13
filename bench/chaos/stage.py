"""The stack of chaos runs: one local stack for many runs, whose services can be killed."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.chaos.checker import Evidence
from bench.kit.callbacks import LOG, long_callbacks
from bench.kit.leftovers import clean_within
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.local.demo.bucket import Bucket
from pipeline.local.errors import ServiceStartError
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.redis_and_s3 import Service, redis_server, s3_server
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack

MODEL = "model"
TASK_TIMEOUT = 2.0
SILENCE = 2.5
# The sweep removes what a killed replica left, one lease later.
CLEANED_WITHIN = 20.0
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
    """A stack with two replicas of each function, and the clients of the user and of the checker.

    `folder` holds the log of the model function, `calls.ndjson`, a line with call id and item for each call.
    """

    stack: LocalStack
    http: aiohttp.ClientSession
    folder: Path

    async def ask(self, mode: str, *, body: bytes = b"", headers: Mapping[str, str], **query: str) -> tuple[int, Any]:
        """Call the pipeline in a mode; returns the status, 0 without an answer, and the document."""
        url, headers = f"{self.stack.gateway_url}/function/pipeline", {"X-Mode": mode, **headers}
        try:
            async with self.http.post(url, params=query, data=body, headers=headers, timeout=REQUEST) as answer:
                return answer.status, await answer.json(content_type=None) if await answer.read() else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, None

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

    def heal(self) -> None:
        """Switch on the `switch` items: they succeed from now on."""
        (self.folder / "switch").touch()

    async def gather(self, batch: str, known: Evidence) -> Evidence:
        """Read S3, Redis and the logs of an ended batch, as soon as nothing is left or the time is over."""
        async with self.bucket() as bucket, open_redis(self.stack) as redis:
            summary = json.loads(await bucket.get(f"{batch}.json") or b"null")
            left = tuple(await clean_within(CLEANED_WITHIN, bucket, redis, batch))
            known = known.but(summary=summary, left=left)
            keys = [entry["resultRef"] for entry in known.entries("results") if entry.get("resultRef")]
            objects = {key: await bucket.get(key) or b"" for key in keys}
            later = json.loads(await bucket.get(f"{batch}.json") or b"null")
        log = self.folder / "calls.ndjson"
        calls = [tuple(json.loads(line)) for line in (log.read_text() if log.exists() else "").splitlines()]
        callbacks = tuple(long_callbacks(self.folder / "callbacks"))
        return known.but(later=later, objects=objects, calls=calls, callbacks=callbacks)

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
        yield Stage(stack, await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))), folder)
