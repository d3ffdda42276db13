"""A reduce that stalls, while another one ends the batch, or people cancel or redrive it."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from pipeline.errors import ConflictError
from tests.rigs.function.pipeline_bench import PipelineBench, answering


@pytest.fixture
def calls(pipeline: PipelineBench) -> list[str]:
    """The items that the model function was called with; `no` fails."""
    called: list[str] = []

    def reply(text: str) -> tuple[int, Any]:
        called.append(text)
        return 422 if text == "no" else 200, text

    pipeline.serve(answering(reply))
    return called


async def submit_and_run(pipeline: PipelineBench, **options: str) -> Any:
    """Run two rows, of which one fails; returns the message of the reduce."""
    await pipeline.submit_rows("a", "no", **options)
    for _ in range(2):
        await pipeline.deliver(pipeline.queue.pop(0))
    return pipeline.queue.pop(0)


def stall(pipeline: PipelineBench, patch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Let `meanwhile` happen when the next reduce writes its report."""
    store, stalled = pipeline.context.store, False
    put = store.put

    async def put_late(key: str, *arguments: Any) -> Any:
        nonlocal stalled
        if key.endswith("/0/report.json") and not stalled:
            stalled = True
            await meanwhile()
        return await put(key, *arguments)

    patch.setattr(store, "put", put_late)


async def test_redrive_outlives_a_reduce_that_stalled(
    pipeline: PipelineBench, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await submit_and_run(pipeline)

    async def another_ends_the_batch_and_a_person_redrives_it() -> None:
        await pipeline.bench().age(lease_until=-1)
        assert (await pipeline.deliver(message))["verdict"] == "done"
        assert (await pipeline.handle("redrive", {"batch": pipeline.batch})).status == 202

    stall(pipeline, monkeypatch, another_ends_the_batch_and_a_person_redrives_it)
    assert (await pipeline.deliver(message))["verdict"] == "lost"
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["generation"]) == ("done", 1)
    assert calls == ["a", "no", "no"]


async def test_cancel_during_the_reduce_shows_in_every_output(
    pipeline: PipelineBench, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await submit_and_run(pipeline)

    async def cancel() -> None:
        assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202

    stall(pipeline, monkeypatch, cancel)
    assert (await pipeline.deliver(message))["verdict"] == "reducing"
    assert [answer["verdict"] for answer in await pipeline.deliver_all()] == ["cancelled"]
    assert (await pipeline.status())["state"] == "cancelled"
    for key in ("report.json", "0/report.json"):
        report = orjson.loads(await pipeline.context.store.get(f"{pipeline.batch}/{key}"))
        assert (report["state"], report["reason"]) == ("cancelled", "cancelled on request")
    assert calls == ["a", "no"]


async def test_reduce_aborts_no_upload_of_the_redrive_that_follows(
    pipeline: PipelineBench, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await submit_and_run(pipeline)
    finish = pipeline.context.ledger.finish
    uploads: list[Any] = []

    async def finish_and_begin_an_upload(*arguments: Any) -> str:
        state = await finish(*arguments)
        uploads.append(await pipeline.context.store.start_upload(f"{pipeline.batch}/1/summary.json"))
        return state

    monkeypatch.setattr(pipeline.context.ledger, "finish", finish_and_begin_an_upload)
    assert (await pipeline.deliver(message))["verdict"] == "done"
    await uploads[0].send(b"part")
    await uploads[0].complete()
    assert calls == ["a", "no"]


@pytest.mark.usefixtures("calls")
async def test_redrive_of_a_redrive_that_is_being_stopped_is_a_409(pipeline: PipelineBench) -> None:
    await pipeline.deliver(await submit_and_run(pipeline))
    assert (await pipeline.handle("redrive", {"batch": pipeline.batch})).status == 202
    await pipeline.deliver(pipeline.queue.pop(0))
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
    assert (await pipeline.status())["state"] == "closing"
    with pytest.raises(ConflictError, match="cannot be redriven: it is closing"):
        await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert (await pipeline.handle("redrive", {"batch": pipeline.batch})).status == 202
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
    with pytest.raises(ConflictError, match="cannot be redriven: it is reducing"):
        await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "cancelled"
