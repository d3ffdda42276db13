"""The server: requests become events, errors become statuses, and nothing leaks."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator

from pipeline import bodies, server
from pipeline.errors import (
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PipelineError,
    TooLargeError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from pipeline.request import Response
from pipeline.store.errors import MissingObjectError
from pipeline.store.segments import MissingSegmentError
from tests.rigs.function.stub_server import SETTINGS, Client, Stub
from tests.rigs.images import HANDLER
from tests.rigs.metric_samples import parse


async def test_request_becomes_an_event(server_client: Client, stub: Stub) -> None:
    headers = {"X-Mode": "batch", "x-batch-id": "one"}
    async with server_client.put("/some/path?batch=a%2Eb&x=1", data=b"body", headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"OK")
    (event,) = stub.events
    assert (event.method, event.path, event.body, dict(event.query)) == (
        "PUT",
        "/some/path",
        b"body",
        {"batch": "a.b", "x": "1"},
    )
    assert (event.headers["x-mode"], event.headers["X-Batch-Id"]) == ("batch", "one")


async def test_response_is_sent_unchanged(server_client: Client, stub: Stub) -> None:
    stub.answer = Response(202, b"\x00\xff", {"Content-Type": "application/x-ndjson", "X-Pipeline-Signature": "id.mac"})
    async with server_client.post("/") as response:
        assert (response.status, await response.read()) == (202, b"\x00\xff")
        assert response.headers["Content-Type"] == "application/x-ndjson"
        assert response.headers["X-Pipeline-Signature"] == "id.mac"


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


async def test_chunked_body_without_a_length_is_read(server_client: Client, stub: Stub) -> None:
    async with server_client.post("/", data=pieces(10, 1000)) as response:
        assert response.status == 200
    assert "Content-Length" not in stub.events[0].headers
    assert stub.events[0].body == b"x" * 10_000


@pytest.mark.parametrize("body", [lambda: b"x" * 100_001, lambda: pieces(101, 1000)], ids=["with a length", "chunked"])
async def test_body_over_the_limit_is_a_413(server_client: Client, stub: Stub, body: Callable[[], Any]) -> None:
    async with server_client.post("/", data=body()) as response:
        assert response.status == 413
        assert "put the CSV into S3 and send its key" in (await response.json())["error"]
    assert stub.events == []


async def test_body_at_the_limit_is_accepted(server_client: Client, stub: Stub) -> None:
    async with server_client.post("/", data=b"x" * 99_999) as response:
        assert response.status == 200
    assert len(stub.events[0].body) == 99_999


def test_body_limit_is_the_documented_one() -> None:
    assert bodies.BODY_LIMIT == 64 * 1024 * 1024


ERRORS: tuple[tuple[PipelineError, int], ...] = (
    (PipelineError("said"), 500),
    (BadRequestError("said"), 400),
    (UnauthorizedError("said"), 401),
    (ForbiddenError("said"), 403),
    (NotFoundError("said"), 404),
    (ConflictError("said"), 409),
    (TooLargeError("said"), 413),
    (TooManyRequestsError("said"), 429),
    (UnavailableError("said"), 503),
    (MissingSegmentError("said"), 503),
)


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
async def test_error_becomes_its_status(server_client: Client, stub: Stub, error: PipelineError, status: int) -> None:
    stub.error = error
    async with server_client.post("/") as response:
        assert (response.status, await response.json()) == (status, {"error": "said"})
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers.get("Retry-After") == ("2" if status in {429, 503} else None)
        assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def test_every_error_class_is_in_the_table() -> None:
    direct = {type(error) for error, _ in ERRORS}
    assert set(PipelineError.__subclasses__()) <= direct
    assert MissingObjectError("key").status == 404


async def test_problems_are_listed(server_client: Client, stub: Stub) -> None:
    stub.error = BadRequestError("not valid", ["chunk: too small", "window: too large"])
    async with server_client.post("/") as response:
        expected = {"error": "not valid", "problems": ["chunk: too small", "window: too large"]}
        assert (response.status, await response.json()) == (400, expected)


@pytest.mark.parametrize("error", [ValueError("hunter2"), ConfigurationError("hunter2"), KeyError("hunter2")], ids=repr)
async def test_unexpected_error_is_a_500_without_details(
    server_client: Client, stub: Stub, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    stub.error = error
    async with server_client.post("/") as response:
        assert response.status == 500
        assert await response.json() == {"error": "internal error: the function's log says more"}
    assert "hunter2" in caplog.text


async def test_body_in_a_wrong_encoding_is_a_400(server_client: Client, stub: Stub) -> None:
    async with server_client.post("/", data=b"not gzip", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400
        assert (await response.json())["error"].startswith("the body cannot be read")
    assert stub.events == []


async def test_head_request_has_no_body(server_client: Client, stub: Stub) -> None:
    async with server_client.head("/") as response:
        assert (response.status, await response.read()) == (200, b"")
    assert stub.events[0].method == "HEAD"


@pytest.mark.parametrize(("out_of_reach", "ready"), [("", True), ("Redis", False), ("S3", True)])
async def test_health_is_independent_and_readiness_follows_redis(
    server_client: Client, stub: Stub, out_of_reach: str, *, ready: bool
) -> None:
    stub.out_of_reach = out_of_reach
    async with server_client.get("/_/health") as response:
        assert (response.status, await response.text()) == (200, "OK")
    async with server_client.get("/_/ready") as response:
        expected = (200, "OK") if ready else (503, f"{out_of_reach} cannot be reached")
        assert (response.status, await response.text()) == expected
    assert stub.events == []


async def test_metrics_are_served(server_client: Client, stub: Stub) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"a piece"

    for answer in (Response(202, b""), Response(200, b"", {}, pieces())):
        stub.answer = answer
        async with server_client.get("/?batch=a") as response:
            await response.read()
    stub.error = UnavailableError("Redis is away")
    async with server_client.post("/collect"):
        pass
    async with server_client.get("/metrics") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        counts = parse(await response.text())
    # Answers on paths of their own have no mode.
    assert {name for name in counts if name.startswith("requests_total")} == {
        *("requests_total{mode=status,status=202}", "requests_total{mode=stream,status=200}"),
        "requests_total{mode=collect,status=503}",
    }
    assert len(stub.events) == 3


async def test_api_description_is_served(server_client: Client, stub: Stub) -> None:
    async with server_client.get("/openapi.yaml") as response:
        served = await response.read()
        assert (response.status, response.headers["Content-Type"]) == (200, "application/yaml")
    assert served == (HANDLER / "openapi.yaml").read_bytes()
    document = yaml.safe_load(served)
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert {"/metrics", "/openapi.yaml"} < set(document["paths"])
    assert stub.events == []


async def test_clients_live_as_long_as_the_app(stub: Stub) -> None:
    async with TestClient(TestServer(server.create_app(SETTINGS))):
        assert stub.closed == 0
    assert stub.closed == 1
