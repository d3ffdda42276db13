"""The server around a stub of the handler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from pipeline.bodies import body_capacity
from pipeline.errors import UnavailableError
from pipeline.handler import Admission
from pipeline.metrics import Metrics
from pipeline.request import Event, Response
from pipeline.settings.environment import Settings, read_settings

SETTINGS = read_settings({"s3_bucket": "rows", "sweep_interval": "3600"})
Client = TestClient[web.Request, web.Application]


@dataclass
class Stub:
    """A stub of the handler and its context: it records events and answers, or raises, as configured."""

    answer: Response = field(default_factory=lambda: Response(200, b"OK"))
    error: BaseException | None = None
    out_of_reach: str = ""
    events: list[Event] = field(default_factory=list)
    opened: list[Settings] = field(default_factory=list)
    closed: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, _event: Event, context: Any) -> Admission:
        assert context.settings is SETTINGS
        return Admission(self.handle)

    async def handle(self, event: Event) -> Response:
        self.events.append(event)
        if self.error is not None:
            raise self.error
        return self.answer

    @asynccontextmanager
    async def open_context(self, settings: Settings) -> AsyncIterator[Any]:
        self.opened.append(settings)
        parts = {
            "ledger": _Part(self, "Redis"),
            "store": _Part(self, "S3"),
            "metrics": Metrics(),
            "bodies": body_capacity(),
        }
        yield SimpleNamespace(settings=settings, closing=self.closing, **parts)
        self.closed += 1


@dataclass
class _Part:
    stub: Stub
    name: str

    async def ping(self) -> None:
        if self.stub.out_of_reach == self.name:
            raise UnavailableError(f"{self.name} cannot be reached")
