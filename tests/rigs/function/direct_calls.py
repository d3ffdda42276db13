"""A batch of direct calls, and the queue-worker that makes them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from multidict import CIMultiDict

from tests.rigs.function.pipeline_bench import PipelineBench, document, query_of
from tests.rigs.openfaas.fake_gateway import Message

Reply = tuple[int, Any]


class Direct:
    """A batch of direct calls, and the queue-worker that makes them."""

    def __init__(self, pipeline: PipelineBench) -> None:
        self.pipeline = pipeline
        self.called: list[Message] = []

    @property
    def calls(self) -> list[Message]:
        """The queued calls."""
        return self.pipeline.gateway.queues[f"{self.pipeline.name}-model"]

    async def submit(self, *items: str, **options: str) -> None:
        await self.pipeline.submit_rows(*items, direct="true", **options)

    async def call_back(self, call: Message, status: int, body: bytes, **headers: str) -> dict[str, Any]:
        """Send a reply to the callback URL of the call."""
        url = call.headers["X-Callback-Url"]
        all_headers = CIMultiDict(
            {"X-Function-Status": str(status), **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        path = urlsplit(url).path.removeprefix(f"/function/{self.pipeline.name}")
        return document(await self.pipeline.handle("", query_of(url), all_headers, body, path))

    async def work(self, reply: Callable[[str], Reply]) -> None:
        """Make every queued call, and the reduces that follow, until nothing is queued."""
        while self.calls or self.pipeline.queue:
            if self.pipeline.queue:
                await self.pipeline.deliver(self.pipeline.queue.pop(0))
                continue
            call = self.calls.pop(0)
            self.called.append(call)
            status, result = reply(call.body.decode())
            await self.call_back(call, status, result if isinstance(result, bytes) else orjson.dumps(result))
