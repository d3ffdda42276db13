"""direct with OpenFaaS Pro: the queue-worker repeats calls by itself, and each item is repeated by one of the two."""

import dataclasses
from typing import cast

import orjson
import pytest

from pipeline.answers.envelope import decode_envelope
from tests.rigs.function.direct_calls import Direct


@pytest.fixture
def pro(direct: Direct) -> Direct:
    use(direct, openfaas_pro=True)
    return direct


def use(direct: Direct, **settings: object) -> None:
    context = direct.pipeline.context
    direct.pipeline.context = dataclasses.replace(context, settings=context.settings.model_copy(update=settings))


@pytest.mark.parametrize("status", [400, 404, 422, 501])
async def test_status_that_is_not_retried_settles_at_once(pro: Direct, status: int) -> None:
    await pro.submit("a", attempts="1")
    call = pro.calls.pop(0)
    answer = await pro.call_back(call, status, b"the model's own words", X_Retry="0", X_Retry_Max="100")
    assert answer["verdict"] == "settled"
    await pro.work(lambda _: (200, b""))
    (entry,) = (await pro.pipeline.summary())["failures"]["results"]
    assert (entry["statusCode"], entry["result"]) == (status, "the model's own words")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_status_that_is_retried_extends_the_call(pro: Direct, status: int) -> None:
    await pro.submit("a")
    call = pro.calls.pop(0)
    assert (await pro.call_back(call, status, b"", X_Retry="1", X_Retry_Max="3"))["verdict"] == "extended"
    assert (await pro.call_back(call, 200, b"1", X_Retry="2", X_Retry_Max="3"))["verdict"] == "settled"


async def test_retried_statuses_are_a_setting(pro: Direct) -> None:
    use(pro, retry_codes="404,429")
    await pro.submit("a", attempts="1")
    call = pro.calls.pop(0)
    retries = {"X_Retry": "0", "X_Retry_Max": "9"}
    assert (await pro.call_back(call, 404, b"", **retries))["verdict"] == "extended"
    assert (await pro.call_back(call, 500, b"", **retries))["verdict"] == "settled"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_item_that_the_worker_repeated_is_not_called_again(pro: Direct, status: int) -> None:
    await pro.submit("a", attempts="3")
    call = pro.calls.pop(0)
    answer = await pro.call_back(call, status, b"no", X_Retry="100", X_Retry_Max="100")
    assert answer["verdict"] == "settled"
    await pro.work(lambda _: (200, b""))
    assert pro.called == []
    (entry,) = (await pro.pipeline.summary())["failures"]["results"]
    assert (entry["statusCode"], entry["result"]) == (status, "no")
    assert (await pro.pipeline.status())["state"] == "done"


async def test_item_that_the_worker_does_not_repeat_is_called_again(pro: Direct) -> None:
    await pro.submit("a", attempts="2")
    answer = await pro.call_back(pro.calls.pop(0), 500, b"no", X_Retry="0", X_Retry_Max="0")
    assert answer["verdict"] == "settled"
    await pro.pipeline.deliver(pro.pipeline.queue.pop(0))
    await pro.pipeline.bench().age(not_before=-1)
    await pro.pipeline.sweep()
    await pro.work(lambda _: (200, b"1"))
    assert (len(pro.called), (await pro.pipeline.status())["succeeded"]) == (1, 1)


async def test_overload_that_the_worker_does_not_repeat_is_released_again(pro: Direct) -> None:
    await pro.submit("a", attempts="1")
    retries = {"X_Retry": "0", "X_Retry_Max": "0"}
    assert (await pro.call_back(pro.calls.pop(0), 429, b"busy", **retries))["verdict"] == "retry"


async def test_calls_of_the_worker_are_counted(pro: Direct) -> None:
    await pro.submit("a", "still to come")
    await pro.call_back(pro.calls.pop(0), 200, b"1", X_Retry="4", X_Retry_Max="100")
    bench = pro.pipeline.bench()
    (answer,) = cast("list[bytes]", await bench.redis.lrange(bench.key("outcomes"), 0, -1))
    assert orjson.loads(decode_envelope(answer)[1])["attempts"] == 5


async def test_headers_of_the_model_function_repeat_nothing_without_openfaas_pro(direct: Direct) -> None:
    await direct.submit("a", attempts="1")
    call = direct.calls.pop(0)
    assert (await direct.call_back(call, 500, b"", X_Retry="1", X_Retry_Max="3"))["verdict"] == "settled"
