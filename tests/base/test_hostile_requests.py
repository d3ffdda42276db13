"""Hostile requests: each is answered with a 4xx and its reason, and no secret is logged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from pipeline import server
from pipeline.access import Access
from pipeline.bodies import body_capacity
from pipeline.metrics import Metrics
from pipeline.openfaas.signing import Signer
from pipeline.settings.environment import Settings, read_settings
from tests.rigs.function.fakes import KEY

pytestmark = pytest.mark.usefixtures("watchdog")
SETTINGS = read_settings({"s3_bucket": "rows", "sweep_interval": "3600", "model_function": "model"})
TOKEN = b"0123456789abcdef"
BATCH, STATUS, NO_MODE = b"X-Mode: batch\r\n", b"X-Mode: status\r\n", b""
HUGE = b"9" * 4400


@asynccontextmanager
async def without_services(settings: Settings) -> AsyncIterator[Any]:
    """A context with only what is needed to refuse a request."""
    known = {"access": Access((TOKEN,)), "signer": Signer((KEY,)), "bodies": body_capacity()}
    yield SimpleNamespace(settings=settings, metrics=Metrics(), closing=asyncio.Event(), **known)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(server, "open_context", without_services)
    async with TestServer(server.create_app(SETTINGS)) as running:
        assert running.port is not None
        yield running.port


async def send(port: int, request: bytes) -> tuple[int, str]:
    """Send raw bytes; returns the status and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body.decode()


def request(
    body: bytes = b"key", headers: bytes = BATCH, target: bytes = b"/", *, token: bytes = b"Bearer " + TOKEN
) -> bytes:
    known = b"Authorization: %s\r\nContent-Length: %d\r\n" % (token, len(body))
    return b"POST " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + known + headers + b"\r\n" + body


def fields(more: bytes) -> bytes:
    return request(b'{"input": "key", ' + more + b"}")


NOT_JSON = "the body starts like JSON but is none"
NOT_VALID = "the specification is not valid"

REFUSED: dict[str, tuple[bytes, str]] = {
    "a parameter twice": (request(target=b"/?function=a&function=b"), "'function' in the query is given more than"),
    "a batch twice": (request(headers=STATUS, target=b"/?batch=a&batch=b"), "'batch' in the query is given more than"),
    "a parameter twice in a callback": (request(target=b"/collect?batch=a&batch=b"), "'batch' in the query is given"),
    "a mode twice": (request(headers=BATCH + STATUS), "the header X-Mode is given more than once"),
    "a mode twice in small letters": (
        request(headers=BATCH + b"x-mode: status\r\n"),
        "the header X-Mode is given more",
    ),
    "an id twice": (request(headers=BATCH + b"X-Batch-Id: a\r\nX-Batch-Id: b\r\n"), "the header X-Batch-Id is given"),
    "a type twice": (
        request(headers=BATCH + b"Content-Type: a/b\r\nContent-Type: text/csv\r\n"),
        "Duplicate 'Content-Type'",
    ),
    "a token twice": (
        request(headers=BATCH + b"Authorization: Bearer x\r\n"),
        "the header Authorization is given more",
    ),
    "a mode that is no text": (request(headers=b"X-Mode: \xff\r\n"), r"unknown X-Mode '\\udcff'; the modes are"),
    "an id that is no text": (request(headers=BATCH + b"X-Batch-Id: \xff\r\n"), r"X-Batch-Id '\\udcff' is not a batch"),
    "an id of another line": (request(headers=STATUS, target=b"/?batch=a%0AX-Evil:1"), "is not a batch id"),
    "an id of another folder": (request(headers=STATUS, target=b"/?batch=..%2Fa"), "X-Batch-Id '../a' is not a batch"),
    "a path of two lines": (request(headers=NO_MODE, target=b"/a%0Ab"), "the header X-Mode is missing"),
    "a query that is no text": (request(target=b"/?function=\xff"), "Invalid char in url query"),
    "an encoded name that is no text": (request(target=b"/?%ED%A0%80=1"), "there is no such field"),
    "an encoded zero as a name": (request(target=b"/?%00=1"), "there is no such field"),
    "a thousand names": (request(target=b"/?" + b"&".join(b"a%d=1" % n for n in range(1000))), "no such field"),
    "a huge number in the query": (request(target=b"/?chunk=" + HUGE), "chunk: "),
    "a field twice": (fields(b'"chunk": 1, "chunk": 2'), f"{NOT_VALID}: 'chunk' is given more than once"),
    "a header of a call twice": (fields(b'"headers": {"A": "1", "A": "2"}'), f"{NOT_VALID}: 'A' is given more"),
    "a deep list": (fields(b'"x": ' + b"[" * 90_000 + b"]" * 90_000), NOT_JSON),
    "a deep object": (fields(b'"x": ' + b'{"a":' * 990 + b"1" + b"}" * 990), NOT_JSON),
    "deep headers": (fields(b'"headers": {"A": ' + b"[" * 500 + b"]" * 500 + b"}"), "headers.A: "),
    "not a number": (fields(b'"timeout": NaN'), NOT_JSON),
    "infinity": (fields(b'"timeout": Infinity'), NOT_JSON),
    "a number beyond all bounds": (fields(b'"timeout": 1e999'), NOT_JSON),
    "a huge number": (fields(b'"chunk": ' + HUGE), NOT_JSON),
    "a large number": (fields(b'"chunk": 99999999999999999999999'), "chunk: "),
    "a large negative number": (fields(b'"window": -9223372036854775809'), "window: "),
    "half a surrogate pair": (fields(b'"column": "\\ud800"'), NOT_JSON),
    "half a surrogate pair as a name": (fields(b'"\\udfff": 1'), NOT_JSON),
    "a long name": (fields(b'"' + b"x" * 200_000 + b'": 1'), "x: there is no such field"),
    "a key with a zero": (request(b'{"input": "a\\u0000b"}'), "without control characters and line separators"),
    "a key with a line separator": (request("a\u2028b".encode()), "without control characters and line separators"),
    "a type with another line": (fields(b'"content_type": "a/b\\r\\nX-Evil: 1"'), "content_type: "),
    "a header with another line": (fields(b'"headers": {"A": "1\\r\\nX-Evil: 1"}'), "characters a header cannot carry"),
    "a body that is not zstd": (request(headers=BATCH + b"Content-Encoding: zstd\r\n"), "the body cannot be read"),
    "a chunk of no size": (
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "Invalid character in chunk size",
    ),
}


@pytest.mark.parametrize(("sent", "reason"), REFUSED.values(), ids=REFUSED)
async def test_hostile_request_is_a_400(port: int, caplog: pytest.LogCaptureFixture, sent: bytes, reason: str) -> None:
    status, body = await send(port, sent)
    assert status == 400
    assert reason in body
    assert len(body) < 3000
    assert "Traceback" not in caplog.text
    assert TOKEN.decode() not in caplog.text + body


@pytest.mark.parametrize("number", ["generation", "task", "attempt"])
async def test_callback_with_a_huge_number_is_a_403(port: int, number: str) -> None:
    query = {b"batch": b"a", b"generation": b"0", b"task": b"0", b"attempt": b"0", b"key": b"a", b"sig": b"b"}
    target = b"/collect?" + b"&".join(b"%s=%s" % pair for pair in (query | {number.encode(): HUGE}).items())
    status, body = await send(port, request(target=target))
    assert (status, "a signed URL was expected" in body) == (403, True)


@pytest.mark.parametrize("broken", [b"\x01", b"x" * 9000], ids=["a control character", "a long header"])
async def test_token_in_a_malformed_header_is_not_logged(
    port: int, caplog: pytest.LogCaptureFixture, broken: bytes
) -> None:
    status, _ = await send(port, request(token=b"Bearer " + TOKEN + broken))
    assert status == 400
    assert "Error handling request" in caplog.text
    assert TOKEN.decode() not in caplog.text + "".join(str(record.exc_info) for record in caplog.records)


@pytest.mark.parametrize("sent", [b"", b"Bearer another-token-of-tests", b"Basic " + TOKEN])
async def test_request_without_a_known_token_is_a_401(port: int, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    status, body = await send(port, request(token=sent))
    assert status == 401
    assert "expected 'Authorization: Bearer TOKEN' with a token of the secret pipeline-token" in body
    assert TOKEN.decode() not in caplog.text + body


async def test_specification_over_its_limit_is_a_413(port: int) -> None:
    status, body = await send(port, fields(b'"column": "' + b"x" * 256 * 1024 + b'"'))
    assert status == 413
    assert "a specification has at most 262144 bytes; a CSV is sent with Content-Type: text/csv" in body


async def test_health_needs_no_token(port: int) -> None:
    assert await send(port, b"GET /_/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == (200, "OK")
