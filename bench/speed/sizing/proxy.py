"""A proxy before the S3 server that counts requests by the operations of S3, and forwards each unchanged."""

import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from bench.kit.stack import serving

# Of one connection, not of the message.
_HOP = {"connection", "keep-alive", "transfer-encoding"}
_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# The operation of a method with a name in the query, else of a method on a bucket, else on an object.
_BY_QUERY = {
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("POST", "delete"): "DeleteObjects",
    ("GET", "uploads"): "ListMultipartUploads",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_OF_OBJECTS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def operation(method: str, path: str, query: Mapping[str, str], headers: MultiMapping[str]) -> str:
    """Name the operation of a request by the method, the path-style path, the query and the headers (S3 API reference).

    Operations that no batch uses have the name of their method.
    """
    by_path = _OF_OBJECTS if path.strip("/").count("/") else {"GET": "ListObjects"}
    by_query = (name for (verb, key), name in _BY_QUERY.items() if verb == method and key in query)
    name = next(by_query, by_path.get(method, method))
    return _COPIES.get(name, name) if "x-amz-copy-source" in headers else name


@dataclass
class CountingProxy:
    """Counts in `operations` from its start on."""

    upstream: str
    session: ClientSession
    url: str = ""
    operations: Counter[str] = field(default_factory=Counter)

    async def serve(self, request: web.Request) -> web.Response:
        """Count a request, and forward it with the Host that it is signed for."""
        self.operations[operation(request.method, request.path, request.query, request.headers)] += 1
        body = io.BytesIO(await request.read()) if request.body_exists else None
        url, headers = URL(self.upstream + request.raw_path, encoded=True), _without_hops(request.headers)
        async with self.session.request(
            request.method, url, headers=headers, data=body, skip_auto_headers=_SKIPPED
        ) as answer:
            # Of an answer to HEAD the Content-Length is the object's.
            read = await answer.read() or None
            return web.Response(status=answer.status, body=read, headers=_without_hops(answer.headers))


@asynccontextmanager
async def counting_proxy(upstream: str) -> AsyncIterator[CountingProxy]:
    """Serve on a free port of 127.0.0.1."""
    async with ClientSession(auto_decompress=False) as session:
        proxy = CountingProxy(upstream, session)
        async with serving(proxy.serve) as proxy.url:
            yield proxy


def _without_hops(headers: MultiMapping[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP)
