"""A whole platform for end-to-end tests: processes, HTTP, Redis and S3 are real; only the network is loopback."""

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from redis.asyncio import Redis

from pipeline.ledger.states import ENDED
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import LocalStack, local_stack
from tests.rigs.waiting import wait_until

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# The answer of Redis for a key without a TTL; for a key deleted since the listing it is -2.
NO_TTL = -1
FAST = {"sweep_interval": "0.2"}
# A lost message is found within seconds, for tests that lose messages.
SHORT_SILENCE = {**FAST, "task_timeout": "1", "ack_wait": "0.5"}

TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Cluster:
    """The stack, as a client sees it."""

    stack: LocalStack
    http: aiohttp.ClientSession
    s3: "S3Client"
    redis: "Redis"
    log: Path

    @property
    def url(self) -> str:
        """Address of the function at the gateway."""
        return f"{self.stack.gateway_url}/function/pipeline"

    async def put(self, key: str, body: bytes) -> None:
        """Write an object into the bucket."""
        await self.s3.put_object(Bucket=self.stack.s3.bucket, Key=key, Body=body)

    async def get(self, key: str) -> bytes:
        """Read an object of the bucket."""
        answer = await self.s3.get_object(Bucket=self.stack.s3.bucket, Key=key)
        return await answer["Body"].read()

    async def keys(self, prefix: str) -> list[str]:
        """List the bucket."""
        answer = await self.s3.list_objects_v2(Bucket=self.stack.s3.bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    async def call(
        self, mode: str, *, body: bytes = b"", query: Mapping[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Call the function in a mode; keyword arguments are headers, whose underscores become dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = self.http.post(self.url, data=io.BytesIO(body), params=query, headers={"X-Mode": mode, **named})
        async with request as response:
            return response.status, await response.json()

    async def replicas_live(self) -> None:
        """Wait until every replica of the function answers."""
        replicas = self.stack.gateway.functions["pipeline"].replicas
        await wait_until(lambda: all(replica.ready for replica in replicas))

    async def replace_replica(self) -> None:
        """Kill the only replica and wait for its successor, as a new deployment does."""
        before = self.stack.restarts("pipeline")
        (pid,) = self.stack.pids("pipeline")
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: self.stack.restarts("pipeline") > before)
        await self.replicas_live()

    async def submit_rows(self, rows: Sequence[str], **options: str) -> dict[str, Any]:
        """Submit rows as a CSV body; returns the 201 document."""
        body = to_csv(rows)
        status, document = await self.call("batch", body=body, query=options, Content_Type="text/csv")
        assert status == 201, document
        return document

    async def status(self, batch: str) -> dict[str, Any]:
        """Read a batch's status."""
        async with self.http.get(self.url, params={"batch": batch}) as response:
            assert response.status == 200, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    async def ended(self, batch: str) -> dict[str, Any]:
        """Wait until a batch has ended; returns its final status. A replica that is stopping may answer 502."""

        async def final() -> dict[str, Any]:
            async with self.http.get(self.url, params={"batch": batch}) as response:
                assert response.status in {200, 502}, await response.text()
                status: dict[str, Any] = await response.json() if response.status == 200 else {"state": "unknown"}
            return status if status["state"] in ENDED else {}

        return await wait_until(final)

    async def summary(self, batch: str) -> dict[str, Any]:
        """Read a batch's summary."""
        document: dict[str, Any] = orjson.loads(await self.get(f"{batch}.json"))
        return document

    async def run(self, rows: Sequence[str], **options: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Submit rows and wait; returns the final status and the summary."""
        batch = (await self.submit_rows(rows, **options))["batch_id"]
        return await self.ended(batch), await self.summary(batch)

    def calls(self) -> list[tuple[str, str, str | None]]:
        """Return the log of the model function: call id, beginning of the item, header X-Extra."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    async def keys_without_ttl(self) -> list[str]:
        """Return the keys in Redis without a TTL."""
        return [key.decode() async for key in self.redis.scan_iter() if await self.redis.ttl(key) == NO_TTL]


def to_csv(rows: Sequence[str], column: str = "url") -> bytes:
    """Write rows as a CSV of one column."""
    quoted = ('"' + row.replace('"', '""') + '"' for row in rows)
    return "\n".join([column, *quoted, ""]).encode()


def urls(count: int) -> list[str]:
    """Return rows that are all different."""
    return [f"https://example.org/pictures/{number:06d}.jpg" for number in range(count)]


@contextlib.asynccontextmanager
async def cluster(
    folder: Path,
    platform: Mapping[str, Any] = MappingProxyType({}),
    /,
    *,
    workers: int = 16,
    redelivery: float = 60.0,
    replicas: int = 1,
    **environment: str,
) -> AsyncIterator[Cluster]:
    """Run a stack with the misbehaving model function `echo`; messages are redelivered after `redelivery` s.

    `platform` are more settings of `local_stack`.
    """
    log = folder / "calls.ndjson"
    model = FunctionSpec("echo", (sys.executable, "-m", "tests.rigs.openfaas.model_function"), {"MODEL_LOG": str(log)})
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(
            local_stack(
                [model],
                workers=workers,
                ack_wait=redelivery,
                pipeline_replicas=replicas,
                **platform,
                pipeline_environment={**FAST, **environment},
            )
        )
        http = await enter(aiohttp.ClientSession())
        s3 = await enter(s3_client(stack.s3))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        yield Cluster(stack, http, s3, redis, log)
