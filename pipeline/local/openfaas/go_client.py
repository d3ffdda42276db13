"""Requests as Go's HTTP client sends them: compression, and the redirects that a queue-worker follows."""

import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.local.openfaas.exchange import Answer
from pipeline.local.openfaas.go_http import NO_AUTO_HEADERS, end_to_end

_LARGE = 1 << 20
_MAX_REDIRECTS = 10
_REDIRECTS_TO_GET = frozenset({301, 302, 303})
_REDIRECTS_WITH_BODY = frozenset({307, 308})
_SAME_HOST_ONLY = ("Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "Www-Authenticate")


@dataclass(frozen=True, slots=True)
class GoRequest:
    """A request; a body without `chunked` has a Content-Length."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | aiohttp.StreamReader = b""
    chunked: bool = False


def client_session() -> aiohttp.ClientSession:
    """Open a client that adds no headers to a request and holds any number of connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
        auto_decompress=False,
        skip_auto_headers=NO_AUTO_HEADERS,
    )


@contextlib.asynccontextmanager
async def open_response(
    session: aiohttp.ClientSession, request: GoRequest, limits: aiohttp.ClientTimeout | None = None
) -> AsyncIterator[tuple[aiohttp.ClientResponse, CIMultiDict[str]]]:
    """Send a request as Go's transport does; yield the response and the headers that belong to an `Answer`."""
    headers = CIMultiDict(request.headers)
    # Go's transport asks for gzip if the caller did not, and then decompresses the answer.
    decompress = request.method != "HEAD" and "Accept-Encoding" not in headers and "Range" not in headers
    if decompress:
        headers["Accept-Encoding"] = "gzip"
    async with session.request(
        request.method,
        request.url,
        headers=headers,
        data=_payload(request.body),
        chunked=True if request.chunked and request.body else None,
        timeout=session.timeout if limits is None else limits,
        allow_redirects=False,
        auto_decompress=decompress,
    ) as response:
        received = end_to_end(response.headers.items())
        if decompress and received.pop("Content-Encoding", None) is not None:
            yield response, received
            return
        if (length := response.headers.get("Content-Length")) is not None:
            received["Content-Length"] = length
        yield response, received


async def send(session: aiohttp.ClientSession, request: GoRequest) -> Answer:
    """Send a request and follow its redirects."""
    return await follow(session, request, await _send_once(session, request))


async def follow(session: aiohttp.ClientSession, request: GoRequest, answer: Answer) -> Answer:
    """Follow the redirects that begin with this answer; raises ClientError after ten."""
    first = request
    for _ in range(_MAX_REDIRECTS):
        location = answer.headers.get("Location")
        if answer.status not in _REDIRECTS_TO_GET | _REDIRECTS_WITH_BODY or location is None:
            return answer
        request = _redirected(first, request, request.url.join(URL(location)), answer.status)
        answer = await _send_once(session, request)
    raise aiohttp.ClientError(f"stopped after {_MAX_REDIRECTS} redirects")


def _redirected(first: GoRequest, last: GoRequest, url: URL, status: int) -> GoRequest:
    """Return the request to the target of a redirect: with the headers of the first request, its secrets excepted."""
    headers = CIMultiDict(first.headers)
    host = f".{url.host}"
    if not host.endswith(f".{first.url.host}"):
        for name in _SAME_HOST_ONLY:
            headers.popall(name, None)
    if (last.url.scheme, url.scheme) != ("https", "http"):
        headers["Referer"] = str(last.url.with_user(None))
    # A redirect that was followed as a GET stays one.
    if status in _REDIRECTS_TO_GET and last.method not in ("GET", "HEAD"):
        return GoRequest("GET", url, headers)
    return replace(last, url=url, headers=headers)


async def _send_once(session: aiohttp.ClientSession, request: GoRequest) -> Answer:
    async with open_response(session, request) as (response, headers):
        return Answer(response.status, headers, await response.read())


def _payload(body: bytes | aiohttp.StreamReader) -> bytes | io.BytesIO | aiohttp.StreamReader | None:
    """Convert a body for aiohttp, which warns about large bytes but not about files."""
    if isinstance(body, bytes) and len(body) > _LARGE:
        return io.BytesIO(body)
    return body or None
