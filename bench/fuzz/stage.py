"""The stack that is fuzzed: one replica of the function, with a token, and a record of all URLs that it signs."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from yarl import URL

from bench.fuzz.values import FUNCTION, INPUTS
from bench.fuzz.wire import Answer, Request, ask
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack
from pipeline.request import PROBE_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from redis.asyncio import Redis
    from types_aiobotocore_s3 import S3Client

    from pipeline.local.openfaas.proxy import Answer as Passed
    from pipeline.local.openfaas.proxy import Exchange

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


class SignedAnswer(NamedTuple):
    """A task's answer, and the query of the URL that it answers."""

    query: bytes
    body: bytes
    signature: bytes


@dataclass
class Record:
    """The traffic of the queue: the queries of signed URLs by purpose, and the answers of tasks, the newest last."""

    queries: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
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
                self.answers.append(SignedAnswer(_query(exchange.path), answer.body, signature.encode()))
        return answer


def _query(url: str) -> bytes:
    return urlsplit(url).query.encode()


@dataclass(frozen=True)
class Stage:
    """The stack, its clients, and the token that the function asks for."""

    stack: LocalStack
    redis: Redis
    s3: S3Client
    record: Record
    token: bytes

    @property
    def port(self) -> int:
        """The port of the function itself."""
        return URL(self.stack.gateway.functions[PIPELINE].replicas[0].url).port or 0

    @property
    def log(self) -> str:
        """The log of the function."""
        return (self.stack.directory / f"{PIPELINE}-0.log").read_text(errors="replace")

    @property
    def authorization(self) -> tuple[bytes, bytes]:
        """The header with the token."""
        return (b"Authorization", b"Bearer " + self.token)

    async def call(self, mode: bytes, batch: str, *, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Call the function as an honest caller."""
        headers = [self.authorization, (b"X-Mode", mode), (b"X-Batch-Id", batch.encode())]
        answer: Answer = await ask(self.port, Request(b"POST", b"/", headers, body))
        document: dict[str, Any] = json.loads(answer.body)
        return answer.status, document

    async def objects(self, prefix: str = "") -> list[str]:
        """List the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.stack.s3.bucket, Prefix=prefix)
        return [entry["Key"] async for page in pages for entry in page.get("Contents", [])]

    async def keys(self, batch: str) -> list[str]:
        """Return the keys of a batch in Redis, and the index where the batch is in it."""
        keys = [key.decode() async for key in self.redis.scan_iter(match=f"{PIPELINE}:{{{batch}}}*", count=10_000)]
        return keys + [f"{PIPELINE}:open"] * (await self.redis.zscore(f"{PIPELINE}:open", batch) is not None)


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
        redis = await enter(open_redis(stack))
        s3 = await enter(s3_client(stack.s3))
        for key in INPUTS:
            await s3.put_object(Bucket=stack.s3.bucket, Key=key, Body=_CONTENTS[key])
        yield Stage(stack, redis, s3, record, token.encode())
