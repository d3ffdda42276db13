"""The pipeline at a gateway: submit, plan and list batches, and run its checks."""

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
# An input of up to 64 MiB is copied before the answer.
SUBMIT_TIMEOUT = ClientTimeout(total=300)


@dataclass(frozen=True)
class _Connections:
    """The open sessions of a client."""

    transport: Transport
    downloads: Downloads


class Pipeline:
    """The function `pipeline` at a gateway; an async context manager.

    A call without an answer, or with an error that may pass, is retried for `patience` seconds; `tell` gets the error
    before each wait. Raises ValueError for an unusable URL or token. Every call raises the errors of
    `pipeline.client.errors`.
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
        self._connections: _Connections | None = None

    async def __aenter__(self) -> Self:
        # Two sessions: the one that reads the bucket must not carry the gateway's cookies.
        enter = self._cleanup.enter_async_context
        transport = Transport(self._target, await enter(ClientSession()))
        downloads = Downloads(await enter(ClientSession()), self._target.patience, self._target.tell)
        self._connections = _Connections(transport, downloads)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections = None
        await self._cleanup.aclose()

    async def submit(self, source: Source, *, batch_id: str | None = None, **fields: Unpack[SpecFields]) -> Batch:
        """Start a batch over a file (Path), bytes (a CSV, or in `format`) or an object in S3 (str: see `input`).

        Without `batch_id` the client makes one, so that a submission that is sent twice starts one batch. A file over
        64 MiB is compressed. Raises SourceError for an input that cannot be sent, ValueError for an empty id.
        """
        name = new_id() if batch_id is None else _nonempty(batch_id)
        opened = read(await self._submit(source, dict(fields), {"X-Batch-Id": name}), Opened)
        return self.batch(opened.batch_id)

    async def dry_run(self, source: Source, **fields: Unpack[SpecFields]) -> DryRun:
        """Return the plan of a submission without writing, queueing or calling anything; raises as `submit`."""
        return read(await self._submit(source, {**fields, "dry_run": True}, {}), DryRun)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch by its id, without a call. Raises ValueError for an empty id."""
        return Batch(_nonempty(batch_id), self._open.transport, self._open.downloads)

    async def list(self) -> Batches:
        """Return the open batches and the last that ended."""
        return read(await self._open.transport.call("status", method="GET"), Batches)

    async def doctor(self) -> Diagnosis:
        """Let the function check its settings and the services it uses."""
        return read(await self._open.transport.call("doctor"), Diagnosis)

    @property
    def _open(self) -> _Connections:
        if self._connections is None:
            raise RuntimeError("the client is not open: use it inside `async with Pipeline(...)`")
        return self._connections

    async def _submit(self, source: Source, fields: dict[str, Any], headers: dict[str, str]) -> Any:
        request = await asyncio.to_thread(make_request, source, fields)
        request["headers"] |= headers
        return await self._open.transport.call("batch", limit=SUBMIT_TIMEOUT, **request)


def _nonempty(batch_id: str) -> str:
    if not batch_id:
        raise ValueError("the batch's id is empty")
    return batch_id


def new_id() -> str:
    """Make a unique id for a batch."""
    return str(uuid.uuid4())
