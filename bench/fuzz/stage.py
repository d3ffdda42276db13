"""The stack that is fuzzed: one replica of the function, with a token, and a record of all URLs that it signs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import ClientSession
from yarl import URL

from bench.fuzz.calls import FUNCTION, INPUTS
from bench.fuzz.signed import SignedAnswer
from bench.kit.leftovers import INDEX, MARKS
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.local.demo.bucket import Bucket, open_bucket
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import LocalStack, local_stack
from pipeline.request import PROBE_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from pathlib import Path

    from redis.asyncio import Redis

    from pipeline.local.openfaas.exchange import Answer as Passed
    from pipeline.local.openfaas.exchange import Exchange

T = TypeVar("T")
PIPELINE = "pipeline"
CALLBACK_DELAY = 1.0
SETTINGS = {"sweep_interval": "0.2", "task_timeout": "4", "ack_wait": "1"}
_CONTENTS = {
    "rows.csv": b"url\n" + b"".join(b"good %d\n" % n for n in range(7)),
    "fails.csv": b"url\ngood 1\nfail 400 1\nfail 503 1\ngood 2\n",
    "slow.csv": b"url\n" + b"".join(b"slow 0.2 %d\n" % n for n in range(12)),
    "empty.csv": b"",
    "two.csv": b"a,b\n1,2\n",
    "broken.csv.gz": b"\x1f\x8b\x08\x00broken",
}


@dataclass
class Record:
    """The traffic of the queue: the queries of signed URLs by purpose, and the answers of tasks, the newest last."""

    queries: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    answers: list[SignedAnswer] = field(default_factory=list)

    async def intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Passed]]) -> Passed:
        """Record an exchange."""
        answer = await proceed()
        if exchange.function == PIPELINE and exchange.kind == "enqueue":
            self.queries[exchange.headers["X-Mode"]].append(_query(exchange.path))
            if callback := exchange.headers.get("X-Callback-Url"):
                path = urlsplit(callback).path
                self.queries["probe callback" if path.endswith(PROBE_PATH) else "callback"].append(_query(callback))
        if exchange.function == PIPELINE and exchange.kind == "message":
            signature = answer.headers.get("X-Pipeline-Signature", "")
            if signature:
                self.answers.append(SignedAnswer(_query(exchange.path), answer.body, signature))
        return answer


def _query(url: str) -> str:
    return urlsplit(url).query


@dataclass(frozen=True)
class Stage:
    """The stack, its clients, and the header that the function asks for; requests come from other threads."""

    stack: LocalStack
    redis: Redis
    bucket: Bucket
    record: Record
    token: str
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        """The address of the function itself."""
        return self.stack.gateway.functions[PIPELINE].replicas[0].url

    @property
    def port(self) -> int:
        """Its port."""
        return URL(self.url).port or 0

    @property
    def log(self) -> str:
        """The log of the function."""
        return (self.stack.directory / f"{PIPELINE}-0.log").read_text(errors="replace")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of the stack, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def call(self, mode: str, batch: str, **fields: object) -> tuple[int, dict[str, Any]]:
        """Call the function as an honest caller."""
        headers = {"Authorization": self.token, "X-Mode": mode, "X-Batch-Id": batch}
        async with ClientSession() as session, session.post(self.url, headers=headers, json=fields or None) as answer:
            document: dict[str, Any] = await answer.json()
            return answer.status, document

    async def left_of(self, batch: str) -> list[str]:
        """Return the keys of a batch in Redis, the index where the batch is in it, and its objects."""
        left = [key.decode() async for key in self.redis.scan_iter(match=f"{PIPELINE}:{{{batch}}}*", count=10_000)]
        left += [INDEX] * (await self.redis.zscore(INDEX, batch) is not None)
        for prefix in (batch, f"{MARKS}{batch}", f"ended/{PIPELINE}/{batch}"):
            left += await self.bucket.keys(prefix)
        return left


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Start it, with the inputs in its bucket; the model function's log goes into `folder`."""
    model = FunctionSpec(
        FUNCTION,
        (sys.executable, "-m", "bench.chaos.model"),
        {"MODEL_LOG": str(folder / "calls.ndjson"), "MODEL_SWITCH": str(folder), "PYTHONPATH": str(ROOT)},
    )
    record = Record()
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack([model], workers=8, ack_wait=30, pipeline_replicas=0))
        token = secrets.token_hex(16)
        (stack.secrets_dir / "pipeline-token").write_text(token)
        stack.gateway.interceptor = record.intercept
        # So that a forged answer can come before the real one.
        stack.gateway.callbacks_hook = lambda _: (CALLBACK_DELAY,)
        await stack.add_pipeline(1, SETTINGS)
        redis, bucket = await enter(open_redis(stack)), await enter(open_bucket(stack.s3))
        for key in INPUTS:
            await bucket.put(key, _CONTENTS[key])
        yield Stage(stack, redis, bucket, record, f"Bearer {token}", asyncio.get_running_loop())
