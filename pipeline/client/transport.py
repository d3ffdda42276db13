"""One HTTP call to the pipeline, with retries; every failure becomes an error of the client."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from pipeline.client.errors import AnswerError, BrokenError, RefusedError, UnreachableError
from pipeline.client.retry import RETRY_STATUSES, Tell, call_with_retries
from pipeline.units import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_TIMEOUT = ClientTimeout(total=60)
# Of an answer that is not JSON, such as a gateway's HTML page.
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Target:
    """The function to call, and for how many seconds it is retried (`patience`)."""

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
    """Check the arguments of a client; raises ValueError, which shows no token and no password."""
    try:
        gateway = URL(url)
        usable = gateway.scheme in {"http", "https"} and gateway.host and not gateway.query_string
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("the gateway's URL is not usable: expected http://host:port, or https")
    if gateway.user is not None or gateway.password is not None:
        raise ValueError("the gateway's URL names a user: expected http://host:port, and the token separately")
    if token is not None and not (token.strip() and token.isascii() and token.isprintable()):
        raise ValueError("the token is not usable: expected printable ASCII on one line")
    return Target(gateway, function, token, patience, tell)


class Transport:
    """Calls the function through an open session. The token goes to the gateway and nowhere else."""

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
        retry_statuses: frozenset[int] = RETRY_STATUSES,
    ) -> Any:
        """Call the function in a mode and return the JSON document of its answer; raises CallError."""
        token = {"Authorization": f"Bearer {self.target.token}"} if self.target.token else {}
        all_headers = {"X-Mode": mode, "Accept": "application/json", **(headers or {}), **token}

        async def once() -> Any:
            # A file object: aiohttp would copy large bytes, with a warning.
            content = io.BytesIO(body) if method == "POST" else None
            request = self._session.request(
                method,
                self.target.url,
                params=query,
                data=content,
                headers=all_headers,
                timeout=limit,
                allow_redirects=False,
            )
            try:
                async with request as response:
                    return await _read(response)
            except (ClientError, TimeoutError, OSError) as error:
                reason = str(error) or "no answer in time"
                raise UnreachableError(f"{self.target.gateway} cannot be reached: {reason}") from error

        return await call_with_retries(once, self.target.patience, self.target.tell, retry_statuses)


async def _read(response: ClientResponse) -> Any:
    body = await response.read()
    document = _parse(body)
    if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
        if document is None:
            raise BrokenError(response.status, f"the answer is not the pipeline's, but {_shown(body)}")
        return document
    raise _error(response, document, body)


def _error(response: ClientResponse, document: Any, body: bytes) -> AnswerError:
    """Make the error of an answer, from its `error` and `problems` if it has them."""
    status, wait = response.status, retry_after(response.headers.get("Retry-After", ""))
    if status < HTTPStatus.BAD_REQUEST:
        location = response.headers.get("Location", "nowhere")
        return RefusedError(status, f"the gateway redirects to {location}: give the address that answers itself")
    kind = BrokenError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RefusedError
    if not isinstance(document, dict) or "error" not in document:
        # A proxy's 504 often has no body.
        return kind(status, _shown(body) if body.strip() else f"{response.reason}, and no more", retry_after=wait)
    problems = document.get("problems")
    problem_texts = [str(problem) for problem in problems] if isinstance(problems, list) else []
    return kind(status, str(document["error"]), problem_texts, retry_after=wait)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _shown(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    return text[:SHOWN_CHARACTERS] or "nothing"
