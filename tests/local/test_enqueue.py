"""POST /async-function/NAME, as the gateway of OpenFaaS CE answers it."""

import uuid

import pytest

from pipeline.local.openfaas.message_queue import Message
from tests.rigs.openfaas.local_platform import Gate, platform
from tests.rigs.waiting import wait_until


async def test_enqueue_answers_202_with_an_empty_body_and_an_id() -> None:
    async with platform() as stand_in:
        response = await stand_in.enqueue("pipeline")
        assert (response.status, response.headers["Content-Length"]) == (202, "0")
        assert uuid.UUID(response.headers["X-Call-Id"])
        assert response.headers["X-Start-Time"].isdigit()
        assert response.headers["X-Served-By"] == "openfaas-ce/"
        (call,) = await wait_until(lambda: stand_in.recorder.requests)
        assert call.headers["X-Call-Id"] == response.headers["X-Call-Id"]


async def test_id_of_the_caller_is_kept_but_not_echoed() -> None:
    async with platform() as stand_in:
        response = await stand_in.enqueue("pipeline/task", to="/function/pipeline/collect", X_Call_Id="mine")
        assert "X-Call-Id" not in response.headers
        await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert [call.headers.getall("X-Call-Id") for call in stand_in.recorder.requests] == [["mine"], ["mine"]]


async def test_unknown_function_is_accepted_and_fails_later() -> None:
    async with platform() as stand_in:
        response = await stand_in.enqueue("nosuch", to="/function/pipeline/collect")
        assert response.status == 202
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert callback.headers["X-Function-Status"] == "404"
        assert callback.headers["X-Function-Name"] == "nosuch"
        assert callback.body.startswith(b"error finding function nosuch.openfaas-fn: ")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(method: str) -> None:
    async with (
        platform() as stand_in,
        stand_in.client.request(method, stand_in.url("/async-function/pipeline")) as response,
    ):
        assert (response.status, await response.read()) == (405, b"")
        assert "Allow" not in response.headers


async def test_body_over_the_limit_is_refused_in_the_words_of_openfaas() -> None:
    async with platform() as stand_in:
        assert (await stand_in.enqueue("pipeline", b"x" * 256_000)).status == 202
        async with stand_in.client.post(stand_in.url("/async-function/pipeline"), data=b"x" * 256_001) as response:
            assert response.status == 500
            assert (await response.text()).strip() == (
                "Error queuing request: request body too large for OpenFaaS CE (256001 bytes), maximum: 256000 bytes"
            )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://%zz/", 'invalid URL escape "%zz"'),
        ("http://host/%z", 'invalid URL escape "%z"'),
        ("http://host:port/", 'invalid port ":port" after host'),
        ("http://[::1/", "missing ']' in host"),
        ("http://a b/", 'invalid character " " in host name'),
        ("://host", "missing protocol scheme"),
        ("a b:c", "first path segment in URL cannot contain colon"),
    ],
)
async def test_unparsable_callback_url_is_refused(url: str, reason: str) -> None:
    async with (
        platform() as stand_in,
        stand_in.client.post(
            stand_in.url("/async-function/pipeline"), data=b"x" * 256_001, headers={"X-Callback-Url": url}
        ) as response,
    ):
        assert response.status == 400
        assert (await response.text()).strip() == f'parse "{url}": {reason}'


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway:8080/function/pipeline/collect?batch=b&sig=%zz",
        "https://user:p%40ss@[::1]:1/a%20b#part",
        "mailto:someone",
        "/only/a/path",
        "",
    ],
)
async def test_parsable_callback_url_is_accepted(url: str) -> None:
    async with platform() as stand_in:
        response = await stand_in.enqueue("pipeline", X_Callback_Url=url)
        assert response.status == 202
        await wait_until(lambda: stand_in.recorder.requests)


async def test_nothing_is_accepted_while_the_queue_is_down() -> None:
    async with platform() as stand_in:
        stand_in.gateway.queue_down = True
        async with stand_in.client.post(stand_in.url("/async-function/pipeline/lost")) as response:
            assert response.status == 500
            assert (await response.text()).startswith("Error queuing request: ")
        stand_in.gateway.queue_down = False
        assert (await stand_in.enqueue("pipeline/kept")).status == 202
        await wait_until(lambda: stand_in.calls() == ["/kept"])


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("pipeline", "/"),
        ("pipeline/", "/"),
        ("pipeline?to=/a/b", "/?to=/a/b"),
        ("pipeline/a%2Fb/c%20d?x=1&x=%C3%A9", "/a%2Fb/c%20d?x=1&x=%C3%A9"),
        ("pipeline.openfaas-fn/p", "/p"),
    ],
)
async def test_path_and_query_are_kept(target: str, seen: str) -> None:
    async with platform() as stand_in:
        await stand_in.enqueue(target)
        await wait_until(lambda: stand_in.calls() == [seen])


async def test_queued_messages_can_be_counted_and_dropped() -> None:
    async with platform("other", workers=1) as stand_in:
        gate = Gate()
        stand_in.recorder.answers["/first"] = gate
        await stand_in.enqueue("pipeline/first")
        await wait_until(lambda: gate.held)
        for target in ("pipeline/second?n=2", "other/third", "pipeline/fourth"):
            await stand_in.enqueue(target, X_Call_Id=target)

        def is_second(message: Message) -> bool:
            return message.path == "/second?n=2"

        depth = stand_in.gateway.queue_depth
        assert (depth(), depth("pipeline"), depth("other"), depth("nosuch")) == (3, 2, 1, 0)
        assert (depth(match=is_second), depth("other", match=is_second)) == (1, 0)
        waiting = stand_in.gateway.messages()
        assert [message.call_id for message in waiting] == ["pipeline/second?n=2", "other/third", "pipeline/fourth"]

        stand_in.gateway.wipe_queue()
        assert (depth(), depth("pipeline"), depth("other")) == (0, 0, 0)
        gate.open()
        await stand_in.enqueue("other/fifth")
        await wait_until(lambda: stand_in.calls("other") == ["/fifth"])
        assert stand_in.calls() == ["/first"]
