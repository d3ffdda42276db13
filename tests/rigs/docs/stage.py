"""The stack on which the commands of the pages run, and their batches."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis

from pipeline.ledger.states import ENDED
from pipeline.local.openfaas.exchange import Answer, Exchange
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.openfaas.proxy import EVENT_STREAM
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import local_stack
from tests.rigs.docs.shells import Shell, make_shell
from tests.rigs.openfaas.cluster import FAST, Cluster
from tests.rigs.waiting import wait_until

INPUT = "data/images.csv"
ROWS = [f"https://example.org/{number:02d}.jpg" for number in range(11)] + ["https://example.org/missing.jpg"]
CSV = "\n".join(["url", *ROWS, ""])
# Answers as in the summary that the pages print.
MODEL = """
def handle(event, context):
    if b"missing" in event.body:
        return {"statusCode": 422, "body": "no such picture"}
    return [{"name": "espresso", "score": 0.98}]
"""


@dataclass(frozen=True)
class Call:
    """A call to the pipeline, and its answer."""

    mode: str
    query: dict[str, str]
    status: int
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass
class Stage:
    """A cluster whose model function `inception` answers while `gate` is open, and a shell to run commands in."""

    cluster: Cluster
    shell: Shell
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Call] = field(default_factory=list)

    async def intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        """Hold the calls of the model function back while the gate is closed; record the calls to the pipeline."""
        if exchange.function == "inception" and exchange.path != "/_/health":
            await self.gate.wait()
        asked = exchange.kind == "function" and exchange.function == "pipeline"
        if not asked or exchange.path.startswith("/collect"):
            return await proceed()
        if EVENT_STREAM in exchange.headers.get("Accept", ""):
            self.gate.set()  # whoever watches a batch wants to see it end
        answer = await proceed()
        query = dict(re.findall(r"[?&]([^=&]+)=([^&]*)", exchange.path))
        self.calls.append(Call(exchange.headers.get("X-Mode", "status"), query, answer.status, answer.body))
        return answer

    async def state(self, batch: str) -> str:
        """Return a batch's state, "" for one that does not exist."""
        async with self.cluster.http.get(self.cluster.url, params={"batch": batch}) as response:
            document = await response.json()
            assert response.status in {200, 404}, document
            return str(document["state"]) if response.status == 200 else ""

    async def ended(self, batch: str) -> dict[str, Any]:
        """Let a batch end; returns its status."""
        self.gate.set()
        if await self.state(batch) == "paused":
            await self.cluster.call("resume", query={"batch": batch})
        return await self.cluster.ended(batch)

    async def absent(self, batch: str) -> None:
        """Make sure that there is no such batch."""
        if await self.state(batch):
            await self.ended(batch)

            async def deleted() -> bool:
                return (await self.cluster.call("delete", query={"batch": batch}))[0] in {200, 404}

            await wait_until(deleted)

    async def running(self, batch: str) -> None:
        """Make sure that a batch runs, with its model function still to answer."""
        if await self.state(batch) != "running" or self.gate.is_set():
            await self.absent(batch)
            self.gate.clear()
            spec = orjson.dumps({"input": INPUT, "function": "inception", "chunk": 4})
            status, document = await self.cluster.call("batch", body=spec, X_Batch_Id=batch)
            assert status == 201, document

    async def paused(self, batch: str) -> None:
        """Make sure that a batch is paused."""
        if await self.state(batch) != "paused":
            await self.running(batch)
            await self.cluster.call("pause", query={"batch": batch})

    async def failed(self, batch: str) -> None:
        """Make sure that a batch has ended, with a failure in it."""
        if await self.state(batch) not in ENDED:
            await self.running(batch)
        assert (await self.ended(batch))["failed"]


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Run the stack, with the objects of the pages in the bucket and their files in the shell's folder."""
    model = folder / "inception.py"
    model.write_text(MODEL)
    inception = FunctionSpec("inception", (sys.executable, "-m", "pipeline.local.serve_handler", str(model)))
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        stack = await enter(local_stack([inception], workers=16, pipeline_environment=FAST))
        http = await enter(aiohttp.ClientSession())
        s3 = await enter(s3_client(stack.s3))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        shell = make_shell(folder / "shell", {"GATEWAY": stack.gateway_url, "OPENFAAS_URL": stack.gateway_url})
        (shell.folder / "key.txt").write_text(f"{INPUT}\n")
        (shell.folder / "images.csv").write_text(CSV)
        built = Stage(Cluster(stack, http, s3, redis, folder / "calls"), shell)
        await built.cluster.put(INPUT, CSV.encode())
        stack.gateway.interceptor = built.intercept
        yield built
        built.gate.set()
