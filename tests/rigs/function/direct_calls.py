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
        """The calls that are queued."""
        return self.pipeline.gateway.queues[f"{self.pipeline.name}-model"]

    async def submit(self, *items: str, **options: str) -> None:
        await self.pipeline.submit_rows(*items, direct="true", **options)

    async def bring(self, call: Message, status: int, body: bytes, **headers: str) -> dict[str, Any]:
        """Bring a reply home, under the URL that the call names."""
        url = call.headers["X-Callback-Url"]
        given = CIMultiDict({"X-Function-Status": str(status), **{k.replace("_", "-"): v for k, v in headers.items()}})
        path = urlsplit(url).path.removeprefix(f"/function/{self.pipeline.name}")
        return document(await self.pipeline.handle("", query_of(url), given, body, path))

    async def work(self, reply: Callable[[str], Reply]) -> None:
        """Make every call, until none is queued, and the reduces that follow."""
        while self.calls or self.pipeline.queue:
            if self.pipeline.queue:
                await self.pipeline.deliver(self.pipeline.queue.pop(0))
                continue
            call = self.calls.pop(0)
            self.called.append(call)
            status, result = reply(call.body.decode())
            await self.bring(call, status, result if isinstance(result, bytes) else orjson.dumps(result))
