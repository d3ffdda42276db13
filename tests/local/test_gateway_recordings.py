"""The local platform compared with answers and callbacks of OpenFaaS CE with `scale_from_zero`, header by header."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.rigs.openfaas.local_platform import Answering, Platform, Recorder, platform, served
from tests.rigs.waiting import wait_until

RECORDINGS = json.loads((Path(__file__).parent / "data" / "openfaas_ce_gateway.json").read_text())
ANSWERS = {one["case"]: one for one in RECORDINGS if one["what"] == "answer"}
CALLBACKS = {one["case"]: one for one in RECORDINGS if one["what"] == "callback"}

# The function's own server adds or lacks it.
UNCOMPARED = {"Host", "Server"}
VARYING = {"Date", "X-Call-Id", "X-Duration-Seconds", "X-Start-Time"}
# After it comes the provider's text, which is not that of the recorded provider.
PROVIDER_TEXT = ", body: "

TEXT = {"Content-Type": "text/plain; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
WATCHDOG = {"X-Duration-Seconds": "0.001"}
LABELS = ANSWERS["POST /function/, watchdog in front, caller's X-Call-Id"]["body"]
REFUSAL = CALLBACKS["function behind a watchdog answered 400"]["body"]


def answering(status: int, headers: Mapping[str, str], body: str = "tapped\n") -> Answering:
    async def respond(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, body=body.encode() or None)

    return respond


async def crash(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


def prepare(stand_in: Platform, case: str, answer: Answering | None) -> None:
    """Give every function the answer, and bring the provider into trouble where the case says so."""
    if "provider answer" in case:
        stand_in.gateway.provider.state = "failing"
    if answer is not None:
        for recorder in stand_in.functions.values():
            recorder.answers = dict.fromkeys(("/", "/_/health", "/_/ready"), answer)


def compare(recorded: dict[str, Any], headers: Mapping[str, str], body: str) -> None:
    expected = {name: value for name, value in recorded["headers"].items() if name not in UNCOMPARED}
    actual = {name: headers[name] for name in headers if name not in UNCOMPARED}
    assert set(actual) == set(expected)
    assert body.partition(PROVIDER_TEXT)[:2] == recorded["body"].partition(PROVIDER_TEXT)[:2]
    compared = set(actual) - VARYING - ({"Content-Length"} if PROVIDER_TEXT in body else set())
    assert {name: actual[name] for name in compared} == {name: expected[name] for name in compared}


@pytest.mark.parametrize(
    ("case", "answer", "call"),
    [
        ("POST /function/ of a function that does not exist", None, "POST nope"),
        (
            "POST /function/, watchdog in front, caller's X-Call-Id",
            answering(200, {**JSON, **WATCHDOG}, LABELS),
            "POST tap mine",
        ),
        ("POST /function/, no watchdog", answering(200, TEXT), "POST tap"),
        ("POST /function/, no watchdog, answers 404", answering(404, TEXT), "POST tap"),
        ("POST /function/, no watchdog, answers 500", answering(500, TEXT), "POST tap"),
        ("POST /function/, no watchdog, answers 503", answering(503, TEXT), "POST tap"),
        ("POST /function/, no watchdog, answers 429", answering(429, TEXT), "POST tap"),
        ("POST /function/ while the provider answers 500", None, "POST tap"),
        ("GET /function/NAME/_/health, there (its own 503)", answering(503, {}, ""), "GET tap/_/health"),
        ("GET /function/NAME/_/health, no such function", None, "GET nope/_/health"),
        (
            "GET /function/NAME/_/ready, there, watchdog in front",
            answering(200, {**TEXT, **WATCHDOG}, "OK"),
            "GET tap/_/ready",
        ),
        ("HEAD, no such function", None, "HEAD nope"),
        ("POST /function/, the function broke the connection", crash, "POST tap"),
        ("POST /function/, upstream_timeout (3 s here) passed", never, "POST tap"),
    ],
)
async def test_answer_equals_the_recorded_one(case: str, answer: Answering | None, call: str) -> None:
    method, path, *call_id = call.split()
    headers = {"X-Call-Id": call_id[0]} if call_id else {}
    async with platform("tap", upstream_timeout=0.05 if answer is never else 60) as stand_in:
        prepare(stand_in, case, answer)
        url = stand_in.url(f"/function/{path}")
        async with stand_in.client.request(method, url, headers=headers) as response:
            assert response.status == ANSWERS[case]["status"]
            compare(ANSWERS[case], response.headers, await response.text())


@pytest.mark.parametrize(
    ("case", "answer"),
    [
        ("function does not exist", None),
        ("function behind a watchdog answered 200", answering(200, JSON, LABELS)),
        ("function without a watchdog answered 404", answering(404, TEXT)),
        ("function answered 302, the worker followed it, the target answered 200", answering(200, TEXT)),
        ("function behind a watchdog answered 400", answering(400, JSON, REFUSAL)),
        ("the provider answered 500 to the gateway", None),
        ("the function broke the connection", crash),
        ("upstream_timeout (3 s here) passed", never),
    ],
)
async def test_callback_equals_the_recorded_one(case: str, answer: Answering | None) -> None:
    recorded, sink = CALLBACKS[case], Recorder()
    names = ("tap", "wd", "hostile", "slow5")
    async with (
        platform(*names, upstream_timeout=0.05 if answer is never else 60) as stand_in,
        served(sink) as receiver,
    ):
        prepare(stand_in, case, answer)
        target = stand_in.gateway.functions["tap"].replicas[0].url
        stand_in.functions["hostile"].answers["/"] = answering(302, {"Location": target}, "")
        await stand_in.enqueue(recorded["headers"]["X-Function-Name"], b"x", X_Callback_Url=f"{receiver}/callback")
        (callback,) = await wait_until(lambda: sink.requests)
        assert callback.method == recorded["method"]
        compare(recorded, callback.headers, callback.body.decode())


def test_every_recording_is_compared() -> None:
    assert len(ANSWERS) + len(CALLBACKS) == len(RECORDINGS)
    marks = [*test_answer_equals_the_recorded_one.pytestmark, *test_callback_equals_the_recorded_one.pytestmark]  # type: ignore[attr-defined]
    assert {row[0] for mark in marks for row in mark.args[1]} == {*ANSWERS, *CALLBACKS}
