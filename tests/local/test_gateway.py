"""The synchronous route, its limits, and what faas-cli reads."""

import asyncio
import gzip

import pytest
from aiohttp import ClientConnectionError, web
from yarl import URL

from pipeline.local.openfaas.gateway import LocalGateway
from tests.rigs.openfaas.local_platform import Gate, platform
from tests.rigs.waiting import wait_until


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_any_method_is_forwarded(method: str) -> None:
    async with platform() as stand_in:
        url = stand_in.url("/function/pipeline/a%20b?x=/1")
        async with stand_in.client.request(method, url, headers={"User-Agent": "me"}) as response:
            assert response.status == 200
            assert response.headers["X-Served-By"] == "openfaas-ce/"
        (call,) = stand_in.recorder.requests
        assert (call.method, call.path) == (method, "/a%20b?x=/1")
        assert call.headers["User-Agent"] == "me"
        assert call.headers["X-Call-Id"] == response.headers["X-Call-Id"]
        assert call.headers["X-Start-Time"] == response.headers["X-Start-Time"]


async def test_chunked_body_is_forwarded_and_the_answer_returned() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=201, body=b"\x00made", headers={"X-Answer": "1", "Content-Type": "a/b"})

    async with platform() as stand_in:
        stand_in.recorder.answers["/"] = answer
        large = b"0123456789" * 90_000
        async with stand_in.client.post(
            stand_in.url("/function/pipeline"), data=large, headers={"X-Call-Id": "c"}
        ) as response:
            assert (response.status, await response.read()) == (201, b"\x00made")
            assert (response.headers["X-Answer"], response.headers["Content-Type"]) == ("1", "a/b")
            assert "X-Call-Id" not in response.headers
        (call,) = stand_in.recorder.requests
        assert call.body == large
        assert (call.headers["Transfer-Encoding"], "Content-Length" in call.headers) == ("chunked", False)


async def test_compressed_body_is_forwarded_unchanged() -> None:
    async with platform() as stand_in:
        url, packed = stand_in.url("/function/pipeline"), gzip.compress(b"unpacked")
        async with stand_in.client.post(url, data=packed, headers={"Content-Encoding": "gzip"}) as response:
            assert response.status == 200
        (call,) = stand_in.recorder.requests
    # The one that records is aiohttp's, which unpacks by itself what still is packed.
    assert (call.body, call.headers["Content-Encoding"]) == (b"unpacked", "gzip")


async def test_event_stream_is_forwarded_in_pieces() -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Answer": "1"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go_on.wait()
        await response.write(b"data: 2\n\n")
        return response

    async with platform() as stand_in:
        stand_in.recorder.answers["/"] = answer
        url = stand_in.url("/function/pipeline")
        async with stand_in.client.get(url, headers={"Accept": "text/event-stream"}) as response:
            assert (response.status, response.headers["X-Answer"]) == (200, "1")
            assert response.headers["X-Call-Id"]
            assert await response.content.readexactly(9) == b"data: 1\n\n"
            go_on.set()
            assert await response.content.read() == b"data: 2\n\n"
        async with stand_in.client.get(url) as response:
            assert await response.read() == b"data: 1\n\ndata: 2\n\n"


async def test_other_answer_is_complete_for_a_client_that_accepts_events() -> None:
    async with platform() as stand_in:
        url = stand_in.url("/function/nowhere")
        async with stand_in.client.get(url, headers={"Accept": "text/event-stream"}) as response:
            assert response.status == 404
        async with stand_in.client.get(
            stand_in.url("/function/pipeline"), headers={"Accept": "text/event-stream"}
        ) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "2")


@pytest.mark.parametrize(
    ("sent", "clean"),
    [
        ("/function//pipeline?x=//", "/function/pipeline?x=//"),
        ("/function/pipeline/a/../b/", "/function/pipeline/b/"),
        ("/function/pipeline/%2e%2e/other", "/function/other"),
        ("/async-function/pipeline//a%20b", "/async-function/pipeline/a%20b"),
        ("//", "/"),
    ],
)
async def test_path_is_redirected_to_its_clean_form(sent: str, clean: str) -> None:
    async with (
        platform() as stand_in,
        stand_in.client.post(URL(stand_in.url(sent), encoded=True), data=b"x", allow_redirects=False) as response,
    ):
        assert (response.status, response.headers["Location"], await response.read()) == (301, clean, b"")
        assert stand_in.recorder.requests == []


async def test_root_leads_to_the_ui() -> None:
    async with platform() as stand_in:
        async with stand_in.client.get(stand_in.url("/"), allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (307, "/ui/")
        async with stand_in.client.post(stand_in.url("/")) as response:
            assert (response.status, await response.read()) == (405, b"")


@pytest.mark.parametrize("path", ["/nowhere", "/function/", "/function/a%24b", "/async-function"])
async def test_unknown_path_is_a_404_in_the_words_of_go(path: str) -> None:
    async with platform() as stand_in, stand_in.client.post(URL(stand_in.url(path), encoded=True)) as response:
        assert (response.status, await response.text()) == (404, "404 page not found\n")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_function_is_told_of_its_caller() -> None:
    async with platform() as stand_in:
        url = stand_in.url("/function/pipeline")
        async with stand_in.client.get(url, skip_auto_headers=["User-Agent"]):
            pass
        async with stand_in.client.get(url, headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "outside"}):
            pass
        await stand_in.enqueue("pipeline/queued")
        direct, proxied, queued = await wait_until(
            lambda: stand_in.recorder.requests[2:] and stand_in.recorder.requests
        )
        host = stand_in.gateway.url.removeprefix("http://")
        assert (direct.headers["X-Forwarded-Host"], queued.headers["X-Forwarded-Host"]) == (host, host)
        assert direct.headers["X-Forwarded-For"].startswith("127.0.0.1:")
        assert queued.headers["X-Forwarded-For"].startswith("127.0.0.1:")
        assert direct.headers["User-Agent"] == "openfaas-ce-gateway/dev"
        assert (proxied.headers["X-Forwarded-For"], proxied.headers["X-Forwarded-Host"]) == ("10.0.0.1", "outside")


async def test_head_passes_the_length_on() -> None:
    async with platform() as stand_in:
        url = stand_in.url("/function/pipeline")
        async with stand_in.client.head(url, skip_auto_headers=["Accept-Encoding"]) as response:
            assert (response.status, response.headers["Content-Length"], await response.read()) == (200, "2", b"")
        (call,) = stand_in.recorder.requests
        assert "Accept-Encoding" not in call.headers


async def test_function_at_its_limit_answers_429() -> None:
    async with platform(max_inflight=1) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        await stand_in.enqueue("pipeline/task")
        await wait_until(lambda: gate.held)
        async with stand_in.client.get(stand_in.url("/function/pipeline/other")) as response:
            assert response.status == 429
        gate.open()
        await wait_until(lambda: gate.finished and not stand_in.gateway.functions["pipeline"].replicas[0].inflight)
        async with stand_in.client.get(stand_in.url("/function/pipeline/other")) as response:
            assert response.status == 200


async def test_upstream_timeout_ends_the_call_and_not_the_function() -> None:
    async with platform(upstream_timeout=0.05) as stand_in:
        gate = stand_in.recorder.answers["/slow"] = Gate()
        async with stand_in.client.get(stand_in.url("/function/pipeline/slow")) as response:
            assert (response.status, await response.read()) == (502, b"")
            assert {"X-Start-Time", "X-Served-By"} <= set(response.headers)
        assert gate.held == 1
        gate.open()
        await wait_until(lambda: gate.finished == 1)


async def test_broken_connection_is_a_502() -> None:
    async def crash(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with platform() as stand_in:
        stand_in.recorder.answers["/crash"] = crash
        async with stand_in.client.post(stand_in.url("/function/pipeline/crash"), data=b"x") as response:
            assert (response.status, await response.read()) == (502, b"")
            assert "Content-Type" not in response.headers


async def test_starting_replica_is_not_waited_for() -> None:
    async with platform() as stand_in:
        stand_in.gateway.functions["pipeline"].replicas[0].ready = False
        async with stand_in.client.get(stand_in.url("/function/pipeline")) as response:
            assert response.status == 502
        assert stand_in.recorder.requests == []


async def test_redirect_of_a_function_is_returned() -> None:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with platform() as stand_in:
        stand_in.recorder.answers["/"] = redirect
        async with stand_in.client.get(stand_in.url("/function/pipeline"), allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, "/elsewhere")


async def test_functions_are_described_as_faas_cli_reads_them() -> None:
    async with platform("other") as stand_in:
        async with stand_in.client.get(stand_in.url("/function/other")):
            pass
        async with stand_in.client.get(stand_in.url("/system/functions")) as response:
            pipeline, other = await response.json()
        async with stand_in.client.get(stand_in.url("/system/function/other")) as response:
            assert await response.json() == other
        async with stand_in.client.get(stand_in.url("/system/function/nosuch")) as response:
            assert response.status == 404
    assert (pipeline["name"], pipeline["invocationCount"]) == ("pipeline", 0)
    assert other == {
        "name": "other",
        "image": "local/other:latest",
        "namespace": "openfaas-fn",
        "envProcess": "",
        "labels": {"faas_function": "other"},
        "annotations": {},
        "replicas": 1,
        "availableReplicas": 1,
        "invocationCount": 1,
    }


async def test_system_info_and_health_are_served() -> None:
    async with platform() as stand_in:
        async with stand_in.client.get(stand_in.url("/system/info")) as response:
            information = await response.json()
        async with stand_in.client.get(stand_in.url("/healthz")) as response:
            assert response.status == 200
    assert set(information) == {"provider", "version", "arch"}
    assert set(information["provider"]) == {"provider", "orchestration", "version"}
    assert set(information["version"]) == {"release", "sha", "commit_message"}


async def test_taken_port_is_an_error_that_leaves_nothing_open() -> None:
    async with platform() as stand_in:
        port = int(stand_in.gateway.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with LocalGateway(port=port):
                pytest.fail("two gateways on one port")
    with pytest.raises(ClientConnectionError):
        async with platform() as other:
            await other.client.get(f"http://127.0.0.1:{port}/healthz")
