"""The pipeline at a gateway: submit batches, find them, ask how it is."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import ClientSession, ClientTimeout

from pipeline.client.batch import Batch
from pipeline.client.documents import Batches, Diagnosis, DryRun, Opened, read
from pipeline.client.downloads import Downloads
from pipeline.client.submission import make_request
from pipeline.client.transport import Transport, make_target

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from pipeline.client.retry import Tell
    from pipeline.client.submission import Source, SpecFields

FUNCTION = "pipeline"
PATIENCE = 60.0
# A snapshot of 64 MiB is made before the answer.
SUBMIT_TIMEOUT = ClientTimeout(total=300)


@dataclass(frozen=True)
class _Open:
    """What an open client calls through."""

    transport: Transport
    downloads: Downloads


class Pipeline:
    """The function `pipeline` at a gateway; an async context manager.

    `patience` is for how many seconds a call that meets no answer, or one that may pass, is sent again; `tell` hears
    the error before each wait. Raises ValueError for a URL or a token that cannot be used. Every call raises what
    `pipeline.client.errors` lists.
    """

    def __init__(
        self,
        url: str,
        function: str = FUNCTION,
        *,
        token: str | None = None,
        patience: float = PATIENCE,
        tell: Tell | None = None,
    ) -> None:
        self._target = make_target(url, function, token, patience, tell)
        self._cleanup = AsyncExitStack()
        self._open: _Open | None = None

    async def __aenter__(self) -> Self:
        # Two: what reads the bucket knows nothing of the gateway, no cookie either.
        enter = self._cleanup.enter_async_context
        transport = Transport(self._target, await enter(ClientSession()))
        downloads = Downloads(await enter(ClientSession()), self._target.patience, self._target.tell)
        self._open = _Open(transport, downloads)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        await self._cleanup.aclose()

    async def submit(self, source: Source, *, batch_id: str | None = None, **fields: Unpack[SpecFields]) -> Batch:
        """Start a batch over a file (Path), its bytes (a CSV, or of a `format`) or what is in S3 (str: see `input`).

        It carries an id in any case, made here unless given, so that sending it twice starts one batch. A file over
        64 MiB is packed. Raises SourceError for one that cannot be sent, ValueError for an id that is empty.
        """
        name = new_id() if batch_id is None else _named(batch_id)
        opened = read(await self._submit(source, dict(fields), {"X-Batch-Id": name}), Opened)
        return self.batch(opened.batch_id)

    async def dry_run(self, source: Source, **fields: Unpack[SpecFields]) -> DryRun:
        """Say what a submission would do, without writing, queueing or calling anything; raises as `submit`."""
        return read(await self._submit(source, {**fields, "dry_run": True}, {}), DryRun)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch by its id; nothing is asked yet. Raises ValueError for one that is empty."""
        return Batch(_named(batch_id), self._opened.transport, self._opened.downloads)

    async def list(self) -> Batches:
        """Return the open batches and those that ended lately."""
        return read(await self._opened.transport.call("status", method="GET"), Batches)

    async def doctor(self) -> Diagnosis:
        """Let the function check its settings and the services it uses."""
        return read(await self._opened.transport.call("doctor"), Diagnosis)

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError("the client is not open: use it inside `async with Pipeline(...)`")
        return self._open

    async def _submit(self, source: Source, fields: dict[str, Any], headers: dict[str, str]) -> Any:
        request = await asyncio.to_thread(make_request, source, fields)
        request["headers"] |= headers
        return await self._opened.transport.call("batch", limit=SUBMIT_TIMEOUT, **request)


def _named(batch_id: str) -> str:
    if not batch_id:
        raise ValueError("the batch's id is empty")
    return batch_id


def new_id() -> str:
    """Make an id for a batch that nobody else has."""
    return str(uuid.uuid4())
