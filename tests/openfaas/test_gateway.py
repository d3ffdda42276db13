"""The gateway client: its requests, and how it maps every answer or failure."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aioresponses import CallbackResult
from aioresponses import aioresponses as mocked_requests
from yarl import URL

from pipeline.answers import reply as reply_module
from pipeline.answers.reply import Reply
from pipeline.errors import UnavailableError
from pipeline.identity import Identity, Purpose
from pipeline.local.services.ports import free_port
from pipeline.openfaas import gateway as gateway_module
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.signing import Signer
from pipeline.tasks.model_call import is_retryable
from tests.rigs.fixtures.in_process import WritableResponse

IDENTITY = Identity("batch-1", generation=2, task=3, attempt=4)
QUEUE = "http://gateway:8080/async-function/pipeline"
MODEL = "http://gateway:8080/function/model"
OWN_HEALTH = "http://gateway:8080/function/pipeline/_/health"
STAMPED = {"X-Served-By": "openfaas-ce/"}
MISSING = (
    "error finding function model.openfaas-fn: server returned non-200 status code (404) for function, model, body:"
)


class Sent:
    """Records the requests and answers them."""

    def __init__(self, http: mocked_requests, url: str, **answer: Any) -> None:
        self.urls: list[str] = []
        self.options: list[dict[str, Any]] = []
        self._answer = answer
        http.post(re.compile(re.escape(url) + r"(\?.*)?$"), callback=self._reply, repeat=True)

    def _reply(self, url: URL, **options: Any) -> CallbackResult:
        data: Any = options.get("data")
        self.urls.append(str(url))
        self.options.append(options | {"data": data.read() if hasattr(data, "read") else data})
        return CallbackResult(**self._answer)


class BrokenContent:
    """A body that ends too early."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield await self._content.readany()
        raise aiohttp.ClientPayloadError


class BrokenResponse(WritableResponse):
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, BrokenContent(value) if name == "content" and value is not None else value)


@pytest.mark.parametrize("mode", ["task", "reduce", "open"])
async def test_message_has_its_mode_a_call_id_and_a_signed_identity(
    http: mocked_requests, gateway_client: Gateway, signer: Signer, mode: Purpose
) -> None:
    sent = Sent(http, QUEUE, status=202)
    await gateway_client.enqueue(mode, IDENTITY, "model")
    address, _, query = sent.urls[0].partition("?")
    assert address == QUEUE
    assert signer.verify_query(mode, dict(parse_qsl(query))) == IDENTITY
    assert dict(parse_qsl(query))["function"] == "model"
    headers = sent.options[0]["headers"]
    assert (headers["X-Mode"], headers["X-Call-Id"]) == (mode, IDENTITY.call_id(purpose=mode))
    assert ("X-Callback-Url" in headers) is (mode == "task")
    assert sent.options[0]["data"] is None


async def test_callback_of_a_task_is_signed_and_names_no_function(
    http: mocked_requests, gateway_client: Gateway, signer: Signer
) -> None:
    sent = Sent(http, QUEUE, status=202)
    await gateway_client.enqueue("task", IDENTITY, "model")
    callback = urlsplit(sent.options[0]["headers"]["X-Callback-Url"])
    assert callback.geturl().startswith("http://gateway:8080/function/pipeline/collect?batch=batch-1&")
    assert signer.verify_query("callback", dict(parse_qsl(callback.query))) == IDENTITY


async def test_direct_call_goes_to_the_model_function_with_its_own_callback(
    http: mocked_requests, gateway_client: Gateway, signer: Signer
) -> None:
    sent = Sent(http, "http://gateway:8080/async-function/model.other", status=202)
    request = gateway_client.direct_request(IDENTITY, "model.other", b"item", {"X-Call-Id": "c1"})
    await gateway_client.enqueue_request(request)
    (options,) = sent.options
    assert (options["data"], options["headers"]["X-Call-Id"]) == (b"item", "c1")
    callback = urlsplit(options["headers"]["X-Callback-Url"])
    assert callback.geturl().startswith("http://gateway:8080/function/pipeline/collect/direct?batch=batch-1&")
    assert signer.verify_query("direct callback", dict(parse_qsl(callback.query))) == IDENTITY


async def test_refused_direct_call_is_an_error(http: mocked_requests, gateway_client: Gateway) -> None:
    Sent(http, "http://gateway:8080/async-function/model", status=500)
    with pytest.raises(UnavailableError, match=r"^the gateway refused a message with 500$"):
        await gateway_client.enqueue_request(gateway_client.direct_request(IDENTITY, "model", b"item", {}))


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 404, 413, 429, 500, 502, 503])
async def test_refused_message_is_an_error(http: mocked_requests, gateway_client: Gateway, status: int) -> None:
    sent = Sent(http, QUEUE, status=status, body="Error queuing request")
    with pytest.raises(UnavailableError, match=f"^the gateway refused a message with {status}$"):
        await gateway_client.enqueue("task", IDENTITY, "model")
    assert len(sent.urls) == 1


FAILURES = (
    (aiohttp.ClientConnectionError("secret detail"), 502, "ClientConnectionError"),
    (aiohttp.ServerDisconnectedError(), 502, "ServerDisconnectedError"),
    (aiohttp.ClientOSError(104, "reset"), 502, "ClientOSError"),
    (aiohttp.ClientPayloadError("cut"), 502, "ClientPayloadError"),
    (aiohttp.InvalidURL("x"), 502, "InvalidUrl|InvalidURL"),
    (TimeoutError(), 504, "TimeoutError"),
    (aiohttp.ServerTimeoutError(), 504, "ServerTimeoutError"),
    (aiohttp.ConnectionTimeoutError(), 504, "ConnectionTimeoutError"),
)


@pytest.mark.parametrize(("error", "status", "name"), FAILURES, ids=[name for _, _, name in FAILURES])
async def test_message_to_an_unreachable_gateway_is_an_error(
    http: mocked_requests, gateway_client: Gateway, error: Exception, status: int, name: str
) -> None:
    assert status in {502, 504}
    http.post(re.compile(QUEUE), exception=error)
    with pytest.raises(UnavailableError, match=rf"^the gateway cannot be reached \(({name})\)$"):
        await gateway_client.enqueue("task", IDENTITY, "model")


@pytest.mark.parametrize(("error", "status", "name"), FAILURES, ids=[name for _, _, name in FAILURES])
async def test_call_of_an_unreachable_function_still_has_a_reply(
    http: mocked_requests, gateway_client: Gateway, error: Exception, status: int, name: str
) -> None:
    http.post(MODEL, exception=error)
    reply = await gateway_client.invoke("model", b"item", {}, 1.5)
    assert (reply.status, reply.retry_after) == (status, "")
    assert re.fullmatch(
        rf"the connection broke \(({name})\)" if status == 502 else r"no reply within 1\.5 s", reply.body.decode()
    )


async def test_call_sends_the_item_unchanged(http: mocked_requests, gateway_client: Gateway) -> None:
    sent = Sent(http, MODEL, status=200, body=b"done")
    headers = {"Content-Type": "text/plain", "X-Call-Id": "id"}
    assert await gateway_client.invoke("model", b"\x00item\xff", headers, 2.5) == Reply(200, b"done")
    (options,) = sent.options
    assert sent.urls == [MODEL]
    assert (options["data"], dict(options["headers"])) == (b"\x00item\xff", headers)
    assert options["timeout"].total == 2.5


async def test_function_in_a_namespace_is_called(http: mocked_requests, gateway_client: Gateway) -> None:
    Sent(http, f"{MODEL}.other", status=200, body=b"done")
    assert (await gateway_client.invoke("model.other", b"", {}, 1.0)).status == 200


@pytest.mark.parametrize("status", [200, 204, 400, 404, 408, 413, 429, 500, 503, 504])
async def test_reply_keeps_its_status_and_body(http: mocked_requests, gateway_client: Gateway, status: int) -> None:
    """A gateway that stamps nothing leaves each status to the function."""
    http.post(MODEL, status=status, body=b'{"a": 1}')
    http.get(OWN_HEALTH)
    assert await gateway_client.invoke("model", b"item", {}, 1.0) == Reply(status, b'{"a": 1}')


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("known", ["by the look-up", "not yet"])
async def test_error_without_the_stamp_is_the_platforms(
    http: mocked_requests, gateway_client: Gateway, status: int, known: str
) -> None:
    if known == "by the look-up":
        http.get(OWN_HEALTH, headers=STAMPED)
    else:
        http.get(OWN_HEALTH, status=404)
    http.post(MODEL, status=status)
    reply = await gateway_client.invoke("model", b"item", {}, 1.0)
    assert reply.unreached == (status in {404, 500, 502, 503, 504})
    http.post(MODEL, status=status, headers=STAMPED)
    assert not (await gateway_client.invoke("model", b"item", {}, 1.0)).unreached


async def test_a_function_cannot_stamp_for_the_gateway(http: mocked_requests, gateway_client: Gateway) -> None:
    http.get(OWN_HEALTH)
    http.post(MODEL, headers=STAMPED)
    await gateway_client.invoke("model", b"item", {}, 1.0)
    assert not await gateway_client.is_own_answer(200, STAMPED)
    http.post(MODEL, status=404)
    assert not (await gateway_client.invoke("model", b"item", {}, 1.0)).unreached


@pytest.mark.parametrize(
    ("status", "text", "headers", "is_missing"),
    [
        (404, MISSING, {}, True),
        (404, MISSING, STAMPED, False),
        (404, MISSING.replace("(404)", "(500)"), {}, False),
        (404, "not here", {}, False),
        (500, MISSING, {}, False),
        (200, "", STAMPED, False),
    ],
)
async def test_missing_function_is_known_by_the_words_of_a_gateway_that_stamps(
    http: mocked_requests,
    gateway_client: Gateway,
    status: int,
    text: str,
    headers: dict[str, str],
    is_missing: bool,  # noqa: FBT001
) -> None:
    health = "http://gateway:8080/function/model/_/health"
    http.get(health, status=status, body=text, headers=headers)
    http.get(OWN_HEALTH, headers=STAMPED)
    assert await gateway_client.missing_function("model") == (MISSING if is_missing else "")
    http.get(health, exception=TimeoutError())
    assert await gateway_client.missing_function("model") == ""


async def test_reply_keeps_its_retry_after(http: mocked_requests, gateway_client: Gateway) -> None:
    http.post(MODEL, status=429, headers={"retry-after": "7"})
    assert await gateway_client.invoke("model", b"item", {}, 1.0) == Reply(429, b"an empty answer with status 429", "7")


async def test_redirect_is_a_reply_and_not_followed(http: mocked_requests, gateway_client: Gateway) -> None:
    http.post(MODEL, status=302, headers={"Location": "http://elsewhere/"})
    assert (await gateway_client.invoke("model", b"item", {}, 1.0)).status == 302
    assert [str(url) for _, url in http.requests] == [MODEL]


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1000, 200), (1001, 413), (2001, 413)])
async def test_result_over_the_limit_is_a_413(
    http: mocked_requests, gateway_client: Gateway, monkeypatch: pytest.MonkeyPatch, size: int, status: int
) -> None:
    monkeypatch.setattr(gateway_module, "RESULT_LIMIT", 1000)
    http.post(MODEL, body=b"x" * size)
    reply = await gateway_client.invoke("model", b"item", {}, 1.0)
    assert (reply.status, len(reply.body) < 100) == (status, status == 413)


async def test_limit_of_a_result_is_in_the_error(
    http: mocked_requests, gateway_client: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reply_module.RESULT_LIMIT == 32 * 1024 * 1024
    for module in (gateway_module, reply_module):
        monkeypatch.setattr(module, "RESULT_LIMIT", 320)
    monkeypatch.setattr(reply_module, "MIB", 10)
    http.post(MODEL, body=b"x" * 321)
    assert await gateway_client.invoke("model", b"item", {}, 1.0) == Reply(413, b"the result is over 32 MiB")


@pytest.mark.parametrize("packing", ["gzip, gzip", "x-gzip", "compress"])
async def test_result_that_cannot_be_unpacked_fails_once(
    http: mocked_requests, gateway_client: Gateway, packing: str
) -> None:
    http.post(MODEL, body=b"packed", headers={"Content-Encoding": packing})
    reply = await gateway_client.invoke("model", b"item", {}, 1.0)
    assert reply == Reply(415, f"the answer is packed as {packing!r}".encode())
    assert not is_retryable(reply.status)


async def test_truncated_result_is_a_broken_connection(http: mocked_requests, gateway_client: Gateway) -> None:
    http.post(MODEL, body=b"half of it", response_class=BrokenResponse)
    assert await gateway_client.invoke("model", b"item", {}, 1.0) == Reply(
        502, b"the connection broke (ClientPayloadError)"
    )


async def test_gateway_that_cannot_be_reached_has_not_reached_the_function(signer: Signer) -> None:
    async with Gateway.connect(f"http://127.0.0.1:{free_port()}", "pipeline", signer) as away:
        reply = await away.invoke("model", b"item", {}, 5.0)
    assert (reply.status, reply.unreached) == (502, True)
