"""The stack that is fuzzed: one replica of the function, with a token, and a record of all URLs that it signs."""

import asyncio
import contextlib
import secrets
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis

from bench.fuzz.calls import FUNCTION, INPUTS
from bench.fuzz.signed import SignedAnswer
from bench.kit.callbacks import LOG, long_callbacks
from bench.kit.leftovers import INDEX, MARKS
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import Bucket, open_bucket
from pipeline.local.openfaas.exchange import Answer, Exchange
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import LocalStack, local_stack
from pipeline.request import PROBE_PATH

T = TypeVar("T")
PIPELINE = "pipeline"
CALLBACK_DELAY = 1.0
SETTINGS = {"sweep_interval": "0.2", "task_timeout": "4", "ack_wait": "1"}


@dataclass
class Record:
    """The traffic of the queue: the queries of signed URLs by purpose, and the answers of tasks, the newest last."""

    queries: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    answers: list[SignedAnswer] = field(default_factory=list)

    async def intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        """Record an exchange."""
        answer = await proceed()
        query = urlsplit(exchange.path).query
        if exchange.function == PIPELINE and exchange.kind == "enqueue":
            self.queries[exchange.headers["X-Mode"]].append(query)
            if callback := exchange.headers.get("X-Callback-Url"):
                url = urlsplit(callback)
                self.queries["probe callback" if url.path.endswith(PROBE_PATH) else "callback"].append(url.query)
        signature = answer.headers.get("X-Pipeline-Signature", "")
        if exchange.function == PIPELINE and exchange.kind == "message" and signature:
            self.answers.append(SignedAnswer(query, answer.body, signature))
        return answer


@dataclass(frozen=True)
class Stage:
    """The stack, its clients, and the header that the function asks for; requests come from other threads."""

    stack: LocalStack
    pipeline: Pipeline
    redis: Redis
    bucket: Bucket
    record: Record
    token: str
    folder: Path
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        """The address of the function itself."""
        return self.stack.gateway.functions[PIPELINE].replicas[0].url

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.url).port or 0

    @property
    def log(self) -> str:
        """The log of the function."""
        return (self.stack.directory / f"{PIPELINE}-0.log").read_text(errors="replace")

    def long_callbacks(self) -> list[str]:
        """Return the callbacks of the function's event loop that took long."""
        return long_callbacks(self.folder / "callbacks")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of the stack, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def left_of(self, batch: str) -> list[str]:
        """Return the keys of a batch in Redis, the index where the batch is in it, and its objects."""
        left = [key.decode() async for key in self.redis.scan_iter(match=f"{PIPELINE}:{{{batch}}}*", count=10_000)]
        left += [INDEX] * (await self.redis.zscore(INDEX, batch) is not None)
        for prefix in (batch, f"{MARKS}{batch}", f"ended/{PIPELINE}/{batch}", f"owners/{batch}"):
            left += await self.bucket.keys(prefix)
        return left


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Start it, with the inputs in its bucket; the logs of the model function and of callbacks go into `folder`."""
    model = FunctionSpec(
        FUNCTION,
        (sys.executable, "-m", "bench.chaos.model"),
        {"MODEL_LOG": str(folder / "calls.ndjson"), "MODEL_SWITCH": str(folder), "PYTHONPATH": str(ROOT)},
    )
    record, token = Record(), secrets.token_hex(16)
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack([model], workers=8, ack_wait=30, pipeline_replicas=0))
        (stack.secrets_dir / "pipeline-token").write_text(token)
        stack.gateway.interceptor = record.intercept
        # So that a forged answer can come before the real one.
        stack.gateway.callbacks_hook = lambda _: (CALLBACK_DELAY,)
        await stack.add_pipeline(1, {**SETTINGS, LOG: str(folder / "callbacks")}, module="bench.kit.callbacks")
        pipeline = await enter(Pipeline(stack.gateway_url, token=token))
        redis, bucket = await enter(open_redis(stack)), await enter(open_bucket(stack.s3))
        for key, content in INPUTS.items():
            await bucket.put(key, content)
        loop = asyncio.get_running_loop()
        yield Stage(stack, pipeline, redis, bucket, record, f"Bearer {token}", folder, loop)
