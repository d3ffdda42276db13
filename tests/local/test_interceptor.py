"""The interceptor between a request and its target."""

from collections.abc import Awaitable, Callable

from multidict import CIMultiDict

from pipeline.local.openfaas.exchange import Answer, Exchange
from tests.rigs.openfaas.local_platform import platform
from tests.rigs.waiting import wait_until

Proceed = Callable[[], Awaitable[Answer]]


async def test_interceptor_sees_every_exchange_with_its_body() -> None:
    seen: list[tuple[str, str, str, object]] = []

    async def look(exchange: Exchange, proceed: Proceed) -> Answer:
        seen.append((exchange.kind, exchange.function, exchange.path, exchange.body))
        return await proceed()

    async with platform() as stand_in:
        stand_in.gateway.interceptor = look
        await stand_in.enqueue("pipeline/task", b"message", to="/function/pipeline/collect")
        await wait_until(lambda: stand_in.recorder.at("/collect"))
    assert seen == [
        ("enqueue", "pipeline", "/task", b"message"),
        ("message", "pipeline", "/task", b"message"),
        ("function", "pipeline", "/collect", b"ok"),
    ]


async def test_interceptor_can_refuse_a_request() -> None:
    async def refuse(_: Exchange, _proceed: Proceed) -> Answer:
        return Answer(503, CIMultiDict(), b"")

    async with platform() as stand_in:
        stand_in.gateway.interceptor = refuse
        assert (await stand_in.enqueue("pipeline/task")).status == 503
        async with stand_in.client.post(stand_in.url("/function/pipeline"), data=b"x") as response:
            assert response.status == 503
        assert stand_in.gateway.queue_depth() == 0
        assert stand_in.recorder.requests == []


async def test_interceptor_can_drop_an_answer() -> None:
    async def lose(exchange: Exchange, proceed: Proceed) -> Answer:
        answer = await proceed()
        return answer if exchange.kind == "message" else Answer(502, CIMultiDict(), b"")

    async with platform() as stand_in:
        stand_in.gateway.interceptor = lose
        assert (await stand_in.enqueue("pipeline/task")).status == 502
        await wait_until(lambda: stand_in.recorder.at("/task"))
