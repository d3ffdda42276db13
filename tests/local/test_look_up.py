"""The gateway looks a function up before it calls it (`scale_from_zero`), or does not; the provider in trouble."""

from typing import Literal

import pytest

from tests.rigs.openfaas.local_platform import Platform, platform
from tests.rigs.waiting import wait_until

COLLECT = "/function/pipeline/collect"
GATEWAY_HEADERS = {"X-Start-Time", "X-Served-By", "X-Call-Id"}


async def answer(stand_in: Platform, path: str, method: str = "POST") -> tuple[int, set[str], str]:
    """Return status, the gateway's own headers and text of an answer."""
    async with stand_in.client.request(method, stand_in.url(path)) as response:
        return response.status, GATEWAY_HEADERS & set(response.headers), await response.text()


async def test_unknown_function_is_found_by_the_look_up() -> None:
    async with platform() as stand_in:
        status, headers, text = await answer(stand_in, "/function/nosuch")
        assert (status, headers) == (404, set())
        assert text == (
            "error finding function nosuch.openfaas-fn: server returned non-200 status code (404) "
            "for function, nosuch, body: 404 page not found\n"
        )
        assert await answer(stand_in, "/function/nosuch.openfaas-fn/_/health", "GET") == (404, set(), text)


async def test_health_of_a_function_has_the_headers_of_the_gateway() -> None:
    async with platform() as stand_in:
        assert await answer(stand_in, "/function/pipeline/_/health", "GET") == (200, GATEWAY_HEADERS, "ok")
        assert stand_in.calls() == ["/_/health"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("failing", "server returned non-200 status code (500) for function, pipeline, body: "),
        ("away", 'Get "http://provider:8081/system/function/pipeline?namespace=openfaas-fn": dial tcp'),
    ],
)
async def test_provider_in_trouble_makes_every_function_unknown(state: Literal["failing", "away"], reason: str) -> None:
    async with platform() as stand_in:
        stand_in.gateway.provider.state = state
        status, headers, text = await answer(stand_in, "/function/pipeline")
        assert (status, headers) == (404, set())
        assert text.startswith(f"error finding function pipeline.openfaas-fn: {reason}")
        assert (await stand_in.enqueue("pipeline")).status == 202
        assert (await answer(stand_in, "/system/functions", "GET"))[0] == {"failing": 500, "away": 502}[state]
        stand_in.gateway.provider.state = "up"
        assert await answer(stand_in, "/function/pipeline") == (200, GATEWAY_HEADERS, "ok")


async def test_callback_tells_of_the_provider_in_trouble() -> None:
    async with platform("sink") as stand_in:
        url = stand_in.gateway.functions["sink"].replicas[0].url
        stand_in.gateway.provider.state = "failing"
        await stand_in.enqueue("pipeline/task", X_Callback_Url=f"{url}/collect", X_Call_Id="mine")
        (callback,) = await wait_until(lambda: stand_in.functions["sink"].requests)
        assert (callback.headers["X-Function-Status"], callback.headers["X-Call-Id"]) == ("404", "mine")
        assert not {"X-Start-Time", "X-Served-By"} & set(callback.headers)
        assert callback.body.startswith(b"error finding function pipeline.openfaas-fn: ")
        assert callback.headers["Content-Length"] == str(len(callback.body))


async def test_function_being_deployed_again_is_unknown_until_it_is_back() -> None:
    async with platform() as stand_in:
        removed = stand_in.gateway.remove("pipeline")
        assert (await answer(stand_in, "/function/pipeline"))[0] == 404
        stand_in.gateway.add(removed)
        assert (await answer(stand_in, "/function/pipeline"))[0] == 200


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        ("up", 404, "404 page not found\n"),
        ("failing", 500, "the provider is failing\n"),
        ("away", 502, ""),
    ],
)
async def test_without_look_up_the_answer_of_the_provider_has_the_headers_of_the_gateway(
    state: Literal["up", "failing", "away"], status: int, text: str
) -> None:
    async with platform(scale_from_zero=False) as stand_in:
        stand_in.gateway.provider.state = state
        assert await answer(stand_in, "/function/nosuch") == (status, GATEWAY_HEADERS, text)
