"""A proxy before the S3 server that counts requests by the operations of S3, and forwards each unchanged."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import ClientSession, web
from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from multidict import MultiMapping

LARGEST = 2**30
# Of one connection, not of the message.
_HOP = {"connection", "keep-alive", "transfer-encoding"}
# The operation of a method with a name in the query, else of a method on a bucket, else on an object.
_BY_QUERY = {
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("POST", "delete"): "DeleteObjects",
    ("GET", "uploads"): "ListMultipartUploads",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_OF_BUCKETS = {"GET": "ListObjects"}
_OF_OBJECTS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def operation(method: str, path: str, query: Mapping[str, str], headers: MultiMapping[str]) -> str:
    """Name the operation of a request by the method, the path-style path, the query and the headers (S3 API reference).

    Operations that no batch uses have the name of their method.
    """
    by_path = _OF_OBJECTS if path.strip("/").count("/") else _OF_BUCKETS
    by_query = (name for (verb, key), name in _BY_QUERY.items() if verb == method and key in query)
    name = next(by_query, by_path.get(method, method))
    return _COPIES.get(name, name) if "x-amz-copy-source" in headers else name


class CountingProxy:
    """Counts in `operations` from its start on, and listens at `url`."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self.operations: Counter[str] = Counter()
        self.url = ""
        self._upstream = upstream
        self._session = session

    async def serve(self, request: web.Request) -> web.Response:
        """Count a request, and forward it with the Host that it is signed for."""
        self.operations[operation(request.method, request.path, request.query, request.headers)] += 1
        async with self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=_without_hops(request.headers),
            data=io.BytesIO(await request.read()) if request.body_exists else None,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            # Of an answer to HEAD the Content-Length is the object's.
            body = await answer.read() or None
            return web.Response(status=answer.status, body=body, headers=_without_hops(answer.headers))


@asynccontextmanager
async def counting_proxy(upstream: str) -> AsyncIterator[CountingProxy]:
    """Serve on a free port of 127.0.0.1."""
    app = web.Application(client_max_size=LARGEST)
    runner = web.AppRunner(app, access_log=None)
    async with ClientSession(auto_decompress=False) as session:
        proxy = CountingProxy(upstream, session)
        app.router.add_route("*", "/{path:.*}", proxy.serve)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()


def _without_hops(headers: MultiMapping[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP)
