"""One HTTP call of the pipeline: errors become those of the client, what may pass is tried again."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from pipeline.client.errors import AnswerError, BrokenError, RefusedError, UnreachableError
from pipeline.client.retry import PASSING, Tell, patiently
from pipeline.units import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_TIMEOUT = ClientTimeout(total=60)
# Of an answer that is no JSON: a gateway's page of HTML says no more in more letters.
SHOWN_LETTERS = 300


@dataclass(frozen=True)
class Target:
    """Which function is called, and how long it is waited for: `patience` is in seconds."""

    gateway: URL
    function: str
    token: str | None = field(repr=False)
    patience: float
    tell: Tell | None

    @property
    def url(self) -> URL:
        """The function's address at the gateway."""
        return self.gateway / "function" / self.function


def make_target(url: str, function: str, token: str | None, patience: float, tell: Tell | None) -> Target:
    """Check what a caller gives; raises ValueError that shows no token and no password."""
    try:
        gateway = URL(url)
        usable = gateway.scheme in {"http", "https"} and gateway.host and not gateway.query_string
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("the gateway's URL is not usable: expected http://host:port, or https")
    if gateway.user is not None or gateway.password is not None:
        raise ValueError("the gateway's URL names a user: expected http://host:port, and a token apart from it")
    if token is not None and not (token.strip() and token.isascii() and token.isprintable()):
        raise ValueError("the token is not usable: expected printable ASCII on one line")
    return Target(gateway, function, token, patience, tell)


class Transport:
    """Calls the function; open while its session is. The token goes to the gateway and nowhere else."""

    def __init__(self, target: Target, session: ClientSession) -> None:
        self.target = target
        self._session = session

    async def call(
        self,
        mode: str,
        *,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        limit: ClientTimeout = REQUEST_TIMEOUT,
        passing: frozenset[int] = PASSING,
    ) -> Any:
        """Call the function in a mode and return the document that it answers; raises RefusedError and its siblings."""
        token = {"Authorization": f"Bearer {self.target.token}"} if self.target.token else {}
        sent = {"X-Mode": mode, "Accept": "application/json", **(headers or {}), **token}

        async def once() -> Any:
            # A file: aiohttp copies bytes of this size, and warns that it does.
            content = io.BytesIO(body) if method == "POST" else None
            request = self._session.request(
                method,
                self.target.url,
                params=query,
                data=content,
                headers=sent,
                timeout=limit,
                allow_redirects=False,
            )
            try:
                async with request as response:
                    return await _read(response)
            except (ClientError, TimeoutError, OSError) as error:
                reason = str(error) or "no answer in time"
                raise UnreachableError(f"{self.target.gateway} cannot be reached: {reason}") from error

        return await patiently(once, self.target.patience, self.target.tell, passing)


async def _read(response: ClientResponse) -> Any:
    body = await response.read()
    document = _parse(body)
    if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
        if document is None:
            raise BrokenError(response.status, f"the answer is not the pipeline's, but {_shown(body)}")
        return document
    raise _error(response, document, body)


def _error(response: ClientResponse, document: Any, body: bytes) -> AnswerError:
    """Make the error of an answer, in the words of its `error` and `problems` where it has them."""
    status, wait = response.status, retry_after(response.headers.get("Retry-After", ""))
    if status < HTTPStatus.BAD_REQUEST:
        there = response.headers.get("Location", "nowhere")
        return RefusedError(status, f"the gateway leads to {there}: give the address that answers by itself")
    kind = BrokenError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RefusedError
    if not isinstance(document, dict) or "error" not in document:
        # A proxy's 504 is often no more than its status.
        return kind(status, _shown(body) if body.strip() else f"{response.reason}, and no more", retry_after=wait)
    problems = document.get("problems")
    listed = [str(problem) for problem in problems] if isinstance(problems, list) else []
    return kind(status, str(document["error"]), listed, retry_after=wait)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _shown(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    return text[:SHOWN_LETTERS] or "nothing"
