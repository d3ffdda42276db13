"""The pipeline as a client sees it: start a batch, follow its status. HTTP only, nothing of the function's inside."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

ENDED = frozenset({"done", "cancelled", "failed"})
BETWEEN_POLLS = 0.2
# A minute without one good status: a replica that restarts takes seconds.
POLLS_IN_VAIN = 300
REQUEST_TIMEOUT = ClientTimeout(total=60)
OPENING_TIMEOUT = ClientTimeout(total=300)


class RefusedError(Exception):
    """The pipeline did not do what was asked; the text is one line with the error that it answered.

    `broken` says that it is no fault of the request: the function failed or did not answer, so its log says more.
    """

    def __init__(self, message: str, *, broken: bool = False) -> None:
        super().__init__(message)
        self.broken = broken


@dataclass(frozen=True)
class Status:
    """A batch at one moment: items counted, `rate` in items per second, `eta` and `elapsed` in seconds."""

    state: str
    items: int
    succeeded: int
    failed: int
    rate: float
    eta: float | None
    elapsed: float
    reason: str | None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read a status answer; counts that are not known yet, while the batch opens, are 0."""
        return cls(
            state=document["state"],
            items=document.get("items") or 0,
            succeeded=document.get("succeeded") or 0,
            failed=document.get("failed") or 0,
            rate=document.get("rate") or 0.0,
            eta=document.get("eta"),
            elapsed=document.get("elapsed") or 0.0,
            reason=document.get("reason"),
        )

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


class PipelineClient:
    """Calls of the function `pipeline` through a gateway; an async context manager."""

    def __init__(self, gateway_url: str) -> None:
        self._url = f"{gateway_url}/function/pipeline"
        self._session = ClientSession(timeout=REQUEST_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def start(self, spec: Mapping[str, Any]) -> str:
        """Open a batch and return its id; raises `RefusedError` when the pipeline refuses or cannot be reached."""
        headers = {"X-Mode": "batch"}
        try:
            async with self._session.post(self._url, json=spec, headers=headers, timeout=OPENING_TIMEOUT) as response:
                document = read_json(await response.read())
                if not response.ok:
                    broken = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                    raise RefusedError(refusal("the batch was refused", response.status, document), broken=broken)
        except (ClientError, TimeoutError) as error:
            raise RefusedError(
                f"the gateway cannot be reached: {error or type(error).__name__}", broken=True
            ) from error
        return str(document["batch_id"])

    async def follow(self, batch_id: str) -> AsyncIterator[Status]:
        """Yield a batch's status several times a second until it has ended; the last one is the end.

        Passing failures are waited out; raises `RefusedError` for a 4xx, or when a minute long nothing answered.
        """
        failures = 0
        while True:
            try:
                status = await self._status(batch_id)
            except (ClientError, TimeoutError) as error:
                failures += 1
                if failures >= POLLS_IN_VAIN:
                    raise RefusedError(f"the status of {batch_id} cannot be read: {error}", broken=True) from error
            else:
                failures = 0
                yield status
                if status.ended:
                    return
            await asyncio.sleep(BETWEEN_POLLS)

    async def _status(self, batch_id: str) -> Status:
        async with self._session.get(self._url, params={"batch": batch_id}) as response:
            body = await response.read()
            passing = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            if passing or response.status == HTTPStatus.TOO_MANY_REQUESTS:
                response.raise_for_status()
            if not response.ok:
                raise RefusedError(refusal(f"no status of {batch_id}", response.status, read_json(body)))
        return Status.read(read_json(body))


def read_json(body: bytes) -> Any:
    """Parse JSON; a body that is none becomes a document with its text as the error."""
    try:
        return json.loads(body)
    except ValueError:
        return {"error": body.decode(errors="replace").strip()}


def refusal(what: str, status: int, document: Any) -> str:
    """Make one line of an error answer: its `error`, then whatever else it says."""
    if not isinstance(document, dict):
        return f"{what} ({status}): {document}"
    details = [f"{key}: {_plain(value)}" for key, value in document.items() if key != "error" and value]
    return f"{what} ({status}): " + "; ".join([str(document.get("error", "no reason given")), *details])


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
