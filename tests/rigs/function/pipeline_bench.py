"""The function as its callers see it, with a queue-worker that delivers one message at a time on request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import orjson
from aiohttp import web
from multidict import CIMultiDict
from redis.asyncio import Redis
from structlog.contextvars import clear_contextvars

from pipeline.context import Context, LedgerCache
from pipeline.handler import handle
from pipeline.identity import Identity, Purpose
from pipeline.request import Event, Response
from pipeline.store.batch_records import BatchRecords
from pipeline.store.snapshot import Snapshots
from tests.rigs.openfaas.fake_gateway import FakeGateway, Message, Model
from tests.rigs.redis.ledger_bench import Bench

CSV = {"Content-Type": "text/csv"}
Headers = Mapping[str, str]


def document(response: Response) -> dict[str, Any]:
    """The JSON of a response."""
    return cast("dict[str, Any]", orjson.loads(response.body))


def query_of(url: str) -> dict[str, str]:
    """The query of a URL."""
    return dict(parse_qsl(urlsplit(url).query))


def answering(reply: Callable[[str], tuple[int, Any]]) -> Model:
    """A model function: `reply` maps the text of an item to a status and a result, sent as JSON or as raw bytes."""

    async def model(_request: web.Request, body: bytes) -> web.Response:
        status, result = reply(body.decode())
        return web.Response(status=status, body=result if isinstance(result, bytes) else orjson.dumps(result))

    return model


@dataclass
class PipelineBench:
    """A context and its surroundings. Batch ids carry the test's name, so that tests share no objects."""

    context: Context
    redis: Redis
    gateway: FakeGateway
    name: str
    delivered: list[Message] = field(default_factory=list)

    @property
    def queue(self) -> list[Message]:
        """The messages that are queued and not delivered yet."""
        return self.gateway.queues[self.name]

    @property
    def batch(self) -> str:
        """The id of the test's batch."""
        return f"{self.name}.batch"

    @property
    def mark(self) -> str:
        """The key of the object that marks the test's batch as open."""
        return f"open/{self.name}/{self.batch}"

    def serve(self, model: Model) -> None:
        """Deploy the model function."""
        self.gateway.models[f"{self.name}-model"] = model

    def forget(self) -> None:
        """Become another replica: the same Redis and S3, empty caches."""
        store, ledger = self.context.store, self.context.ledger
        self.context = replace(
            self.context,
            snapshots=Snapshots(store),
            records=BatchRecords(store, self.name),
            ledger_cache=LedgerCache(ledger),
        )

    def bench(self, batch: str = "") -> Bench:
        """The ledger of a batch."""
        return Bench(self.context.ledger, self.redis, self.name, batch or self.batch)

    async def handle(
        self,
        mode: str,
        query: Mapping[str, str] | None = None,
        headers: Headers | None = None,
        body: bytes = b"",
        path: str = "/",
    ) -> Response:
        all_headers = CIMultiDict({"X-Mode": mode, **(headers or {})})
        return await self._handle(Event(body, all_headers, "POST", query or {}, path))

    async def _handle(self, event: Event) -> Response:
        try:
            return await handle(event, self.context)
        finally:
            await self.context.background.wait_idle()
            # In the server each request has a context of its own.
            clear_contextvars()

    async def handle_without_background(self, mode: str, query: Mapping[str, str]) -> Response:
        """Handle a request without waiting for background work, which may itself wait for this request."""
        return await handle(Event(b"", CIMultiDict({"X-Mode": mode}), "POST", query, "/"), self.context)

    async def submit(
        self, body: str | bytes, headers: Headers | None = None, query: Mapping[str, str] | None = None, batch: str = ""
    ) -> Response:
        """Submit under the test's id, or under `batch`."""
        data = body.encode() if isinstance(body, str) else body
        return await self.handle("batch", query, {"X-Batch-Id": batch or self.batch, **(headers or {})}, data)

    async def submit_rows(self, *items: str, **options: str) -> dict[str, Any]:
        """Submit items as a CSV with one column, `url`."""
        response = await self.submit("\n".join(["url", *items, ""]), CSV, options)
        assert response.status == 201, response.body
        return document(response)

    async def run_task(self, message: Message) -> Response:
        """Invoke a task as the queue-worker does."""
        return await self.handle("task", message.query)

    async def call_back(
        self, message: Message, answer: Response | None, status: int = 200, headers: Headers | None = None
    ) -> dict[str, Any]:
        """Send an answer to its callback: its headers, then those of the queue-worker."""
        all_headers: CIMultiDict[str] = CIMultiDict(answer.headers if answer else {})
        all_headers.update({**(headers or {}), "X-Function-Status": str(status)})
        query = query_of(message.headers["X-Callback-Url"])
        event = Event(answer.body if answer else b"", all_headers, "POST", query, "/collect")
        return document(await self._handle(event))

    async def deliver(self, message: Message) -> dict[str, Any]:
        """Deliver a message, and its answer to the callback if it has one."""
        self.delivered.append(message)
        if message.mode != "task":
            response = await self.handle(message.mode, message.query)
            assert response.status == 200
            return document(response)
        return await self.call_back(message, await self.run_task(message))

    async def deliver_all(self) -> list[dict[str, Any]]:
        """Deliver the oldest message first, until the queue is empty."""
        answers = []
        while self.queue:
            answers.append(await self.deliver(self.queue.pop(0)))
        return answers

    async def sweep(self) -> dict[str, Any]:
        """Sweep as if the last sweep were long ago."""
        async for key in self.redis.scan_iter(match=f"{self.name}:{{*}}"):
            await Bench._await(self.redis.hdel(key, "swept_at"))
        response = await self.handle("sweep")
        assert response.status == 200
        return document(response)

    async def status(self, batch: str = "") -> dict[str, Any]:
        return document(await self.handle("status", {"batch": batch or self.batch}))

    async def summary(self, batch: str = "") -> dict[str, Any]:
        return cast("dict[str, Any]", orjson.loads(await self.context.store.get(f"{batch or self.batch}.json")))

    async def objects(self, batch: str = "") -> list[str]:
        """The keys of all the objects of a batch."""
        name = batch or self.batch
        keys = await self.context.store.list(name)
        return [*keys, *[key for key in await self.context.store.list("open/") if key == f"open/{self.name}/{name}"]]

    def signed(self, purpose: Purpose, identity: Identity, function: str = "") -> dict[str, str]:
        """The query of a URL signed for a purpose."""
        return dict(parse_qsl(self.context.signer.query(purpose, identity, function)))
