"""The local platform compared with requests that were recorded from OpenFaaS CE itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.rigs.openfaas.local_platform import Platform, Recorded, platform
from tests.rigs.waiting import wait_until

RECORDINGS = json.loads((Path(__file__).parent / "data" / "openfaas_ce.json").read_text())
FUNCTION_HEADERS = {"X-Mode": "collect", "X-My": "v", "Server": "BaseHTTP/0.6 Python/3.11.7"}
CURL_HEADERS = {
    "User-Agent": "curl/8.5.0",
    "Accept": "*/*",
    "Content-Type": "application/x-www-form-urlencoded",
    "X-Mode": "task",
}
# The recordings lack them.
HOP_HEADERS = {"Host", "Connection", "X-Forwarded-For", "X-Forwarded-Host"}


async def answer(_: web.Request) -> web.Response:
    return chunked(web.Response(text="fine", headers=FUNCTION_HEADERS))


async def fail(_: web.Request) -> web.Response:
    return chunked(web.Response(status=500, text="failed", headers=FUNCTION_HEADERS))


def chunked(response: web.Response) -> web.Response:
    """The recorded function did not say the length of its answers."""
    response.enable_chunked_encoding()
    return response


async def crash(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def play(stand_in: Platform, target: str, callback: str, call_id: str | None) -> None:
    """Enqueue as the recorded curl did, without the headers that aiohttp would add."""
    headers = {**CURL_HEADERS, "X-Callback-Url": stand_in.url("/function/pipeline" + callback)}
    if call_id is not None:
        headers["X-Call-Id"] = call_id
    async with stand_in.client.post(
        stand_in.url(f"/async-function/{target}"), data=b"x", headers=headers, skip_auto_headers=["Accept-Encoding"]
    ) as response:
        assert response.status == 202


def differences(recorded: dict[str, Any], seen: Recorded, gateway: str) -> list[str]:
    """Compare all names, and the values that do not depend on time or chance."""
    expected = {name.title(): value for name, value in recorded["headers"].items()}
    actual = {name.title(): seen.headers[name] for name in seen.headers if name not in HOP_HEADERS}
    found = [f"missing {name}" for name in expected.keys() - actual.keys()]
    found += [f"extra {name}: {actual[name]}" for name in actual.keys() - expected.keys()]
    for name in expected.keys() & actual.keys():
        value = expected[name]
        if value is not None and actual[name] != value.replace("{gateway}", gateway):
            found.append(f"{name}: {actual[name]} instead of {value}")
    if (seen.method, seen.path) != (recorded["method"], recorded["path"]):
        found.append(f"{seen.method} {seen.path} instead of {recorded['method']} {recorded['path']}")
    return found


@pytest.mark.parametrize(
    ("case", "target", "callback", "call_id"),
    [
        ("answered", "pipeline/sub/p?x=1&y=2", "/collect?batch=b1&task=7&sig=abc", "b1-7"),
        ("failed", "pipeline/fail", "/collect?batch=b1&task=8", None),
        ("broken", "pipeline/crash", "/collect?batch=b1&task=9", "c9"),
        ("unknown", "nosuch", "/collect?batch=b1&task=10", None),
    ],
)
async def test_requests_equal_the_recorded_ones(case: str, target: str, callback: str, call_id: str | None) -> None:
    async with platform(scale_from_zero=False) as stand_in:
        stand_in.recorder.answers = {"/sub/p": answer, "/fail": fail, "/crash": crash}
        await play(stand_in, target, callback, call_id)
        await wait_until(lambda: stand_in.recorder.at("/collect"))

        recorded = [recording for recording in RECORDINGS if recording["case"] == case]
        assert len(stand_in.recorder.requests) == len(recorded)
        for recording, seen in zip(recorded, stand_in.recorder.requests, strict=True):
            assert differences(recording, seen, stand_in.gateway.url) == []


async def test_comparison_finds_a_difference() -> None:
    async with platform() as stand_in:
        await play(stand_in, "pipeline/sub/p?x=1", "/collect?batch=b1", "b1-8")
        await wait_until(lambda: stand_in.recorder.at("/collect"))
        invocation, callback = stand_in.recorder.requests
        found = differences(RECORDINGS[0], invocation, stand_in.gateway.url)
        assert {line.partition(" ")[0] for line in found} == {"X-Call-Id:", "X-Callback-Url:", "POST"}
        assert "missing X-My" in differences(RECORDINGS[1], callback, stand_in.gateway.url)
