"""A queued call that a function redirects: the worker follows it, and hands on what it was given."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.rigs.openfaas.local_platform import Platform, Recorded, Recorder, platform, served
from tests.rigs.waiting import wait_until


class Scene:
    """A function that redirects to a server outside, and another server that the callbacks go to."""

    def __init__(self, stand_in: Platform, outside: Recorder, sink: Recorder, urls: dict[str, str]) -> None:
        self.stand_in, self.outside, self.sink = stand_in, outside, sink
        self._urls = urls

    async def run(self, status: int, location: str | None, body: bytes = b"secret") -> Recorded:
        """Enqueue a call that is redirected; return its callback."""
        target = None if location is None else location.format(**self._urls)

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={} if target is None else {"Location": target})

        self.stand_in.recorder.answers["/task"] = redirect
        await self.stand_in.enqueue(
            "pipeline/task", body, X_Callback_Url=self._urls["sink"], X_Call_Id="mine", X_Mine="yes", Authorization="me"
        )
        (callback,) = await wait_until(lambda: self.sink.requests)
        return callback


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    outside, sink = Recorder(), Recorder()
    async with contextlib.AsyncExitStack() as cleanup:
        urls = {"outside": await cleanup.enter_async_context(served(outside))}
        urls["localhost"] = urls["outside"].replace("127.0.0.1", "localhost")
        urls["sink"] = await cleanup.enter_async_context(served(sink))
        yield Scene(await cleanup.enter_async_context(platform("other")), outside, sink, urls)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_redirect_is_followed_as_a_get_with_the_callers_headers(scene: Scene, status: int) -> None:
    callback = await scene.run(status, "{outside}/target?x=1")
    (followed,) = scene.outside.requests
    assert (followed.method, followed.path, followed.body) == ("GET", "/target?x=1", b"")
    sent = {
        name: followed.headers[name] for name in ("X-Call-Id", "X-Mine", "Authorization", "User-Agent", "Connection")
    }
    assert list(sent.values()) == ["mine", "yes", "me", "openfaas-ce/nats-queue-worker", "close"]
    assert followed.headers["X-Callback-Url"]
    assert not {"Transfer-Encoding", "Content-Length"} & set(followed.headers)
    assert (callback.headers["X-Function-Status"], callback.headers["X-Function-Name"]) == ("200", "pipeline")
    assert (callback.body, callback.headers["Content-Length"]) == (b"ok", "2")
    assert not {"X-Start-Time", "X-Served-By"} & set(callback.headers)


@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_with_its_body_is_a_post_again(scene: Scene, status: int) -> None:
    await scene.run(status, "{outside}/target")
    (followed,) = scene.outside.requests
    assert (followed.method, followed.body, followed.headers["Content-Length"]) == ("POST", b"secret", "6")


async def test_credentials_stay_with_their_host(scene: Scene) -> None:
    await scene.run(302, "{localhost}/target")
    (followed,) = scene.outside.requests
    assert "Authorization" not in followed.headers
    assert followed.headers["X-Mine"] == "yes"


async def test_redirect_within_the_gateway_has_its_headers(scene: Scene) -> None:
    callback = await scene.run(302, "/function/other/target")
    assert scene.stand_in.calls("other") == ["/target"]
    assert {"X-Start-Time", "X-Served-By"} <= set(callback.headers)


@pytest.mark.parametrize(
    ("location", "status"),
    [(None, "302"), ("/function/pipeline/task", "503"), ("http://127.0.0.1:1/", "503"), ("http://[/", "503")],
    ids=["none", "circle", "refused", "broken"],
)
async def test_redirect_that_leads_nowhere(scene: Scene, location: str | None, status: str) -> None:
    callback = await scene.run(302, location)
    assert (callback.headers["X-Function-Status"], callback.body) == (status, b"")
