"""notify: hostile targets."""

import pytest
from aiohttp import web

from pipeline.units import MIB
from pipeline.webhooks.client import ANSWER_LIMIT
from tests.rigs.function.notified_batches import notify_hooks, run
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.log_lines import LogLines
from tests.rigs.openfaas.receivers import Answer, Receiver, due_again, notified, status_answer

pytestmark = pytest.mark.usefixtures("watchdog")


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks, task_timeout=0.3)


async def run_notified(pipeline: PipelineBench, **options: str) -> list[tuple[str, int, int | None]]:
    return notified(await run(pipeline, **options))


async def test_redirect_is_not_followed(pipeline: PipelineBench, hooks: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        hooks.answers.append(status_answer(status, Location=f"{hooks.origin}/hooks/elsewhere"))
    await run_notified(pipeline, notify=hooks.url)
    for _ in range(4):
        await due_again(pipeline)
        await pipeline.sweep()
    assert {call.path for call in hooks.calls} == {"/hooks/a-secret"}
    assert notified(await pipeline.status()) == [("due", 5, 308)]


async def test_cookies_are_not_returned_and_no_other_header_is_sent(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500, Set_Cookie="stolen=1; Path=/"))
    await run_notified(pipeline, notify=hooks.url)
    await due_again(pipeline)
    await pipeline.sweep()
    assert {name.lower() for call in hooks.calls for name in call.headers} == {
        *("host", "accept", "accept-encoding", "content-type", "content-length", "user-agent", "connection"),
        *("x-call-id", "webhook-id", "webhook-timestamp", "webhook-signature"),
    }


async def test_proxy_of_the_environment_is_not_used(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert await run_notified(pipeline, notify=hooks.url) == [("delivered", 1, 204)]


def endless(size: int, **headers: str) -> tuple[Answer, list[int]]:
    """An answer of `size` bytes, and the number of bytes sent so far."""
    sent = [0]

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
        await response.prepare(request)
        while sent[0] < size:
            await response.write(b"x" * 65_536)
            sent[0] += 65_536
        return response

    return answer, sent


async def test_endless_answer_is_not_read_to_its_end(pipeline: PipelineBench, hooks: Receiver) -> None:
    answer, sent = endless(1024 * MIB)
    hooks.answers.append(answer)
    assert await run_notified(pipeline, notify=hooks.url) == [("delivered", 1, 200)]
    # The buffers of two sockets hold bytes that were sent and not read.
    assert ANSWER_LIMIT < sent[0] < 64 * MIB


async def test_encoded_answer_is_not_decoded(pipeline: PipelineBench, hooks: Receiver) -> None:
    answer, _ = endless(65_536, Content_Encoding="gzip")
    hooks.answers.append(answer)
    assert await run_notified(pipeline, notify=hooks.url) == [("delivered", 1, 200)]


async def test_no_part_of_an_answer_is_stored_or_logged(pipeline: PipelineBench, hooks: Receiver) -> None:
    async def hostile(_request: web.Request) -> web.Response:
        return web.Response(
            status=500, reason="a-hostile-reason", text="a-hostile-text", headers={"X-A": "a-hostile-header"}
        )

    hooks.answers.append(hostile)
    with LogLines.captured() as lines:
        await run_notified(pipeline, notify=hooks.url)
    assert "hostile" not in lines.text
    assert "hostile" not in str(await pipeline.status())
