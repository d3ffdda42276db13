"""What the unit tests share: a gateway client whose requests never leave the process, a faked clock, the server."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import Mock

import aioresponses.core
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aioresponses import aioresponses as mocked_requests

from pipeline import server
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from tests.unit.fakes import KEY, Clock
from tests.unit.served import SETTINGS, Client, Stub


class WritableResponse(ClientResponse):
    """aiohttp 3.14 asks a response for the writer of its request, which aioresponses 0.7.9 does not know of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[mocked_requests]:
    monkeypatch.setattr(aioresponses.core, "ClientResponse", WritableResponse)
    with mocked_requests() as mocked:
        yield mocked


@pytest.fixture
def signer() -> Signer:
    return Signer((KEY,))


@pytest.fixture
async def gateway(signer: Signer) -> AsyncIterator[Gateway]:
    async with Gateway.connect("http://gateway:8080", "pipeline", signer) as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock and the sleeps of `pipeline.tasks.model_call`: a test takes no time, whatever it waits for."""
    faked = Clock()
    monkeypatch.setattr("pipeline.tasks.model_call.time", faked)
    monkeypatch.setattr("asyncio.sleep", faked.sleep)
    return faked


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(server, "handle", stub.handle)
    monkeypatch.setattr(server, "open_context", stub.open_context)
    monkeypatch.setattr("pipeline.request.BODY_LIMIT", 100_000)
    return stub


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[Client]:
    async with TestClient(TestServer(server.create_app(SETTINGS))) as client:
        assert stub.opened == [SETTINGS]
        yield client
