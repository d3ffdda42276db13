"""open: an input too large to snapshot during its submission is opened by a queued invocation."""

import asyncio
from typing import Any

import pytest

from pipeline.batch.open_queued import OPENINGS_ALLOWED
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.identity import Identity
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


@pytest.fixture(autouse=True)
def treat_every_input_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)


async def test_large_input_is_a_202_and_opened_by_the_queue(pipeline: PipelineBench) -> None:
    response = await pipeline.submit("url\na\nb\n", CSV)
    assert (response.status, document(response)["state"]) == (202, "opening")
    assert [message.mode for message in pipeline.queue] == ["open"]
    again = await pipeline.submit("url\na\nb\n", CSV)
    assert (again.status, document(again)["state"]) == (202, "opening")
    pipeline.serve(answering(lambda text: (200, text)))
    answers = await pipeline.deliver_all()
    assert answers[0] == {"batch_id": pipeline.batch, "verdict": "opened"}
    assert (await pipeline.status())["state"] == "done"
    assert (await pipeline.summary())["results"]["count"] == 2


async def test_late_opening_of_a_deleted_batch_leaves_the_next_submission_alone(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit("url\na\n", CSV)
    (message,) = pipeline.queue
    await pipeline.deliver_all()
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
    write = pipeline.context.records.write

    async def write_late(*arguments: Any) -> None:
        assert (await pipeline.deliver(message))["verdict"] == "unknown"
        await write(*arguments)

    monkeypatch.setattr(pipeline.context.records, "write", write_late)
    pipeline.serve(answering(lambda text: (200, text)))
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_opening_delivered_twice_opens_once(pipeline: PipelineBench) -> None:
    await pipeline.submit("url\na\nb\n", CSV)
    (message,) = pipeline.queue
    pipeline.queue.clear()
    answers = await asyncio.gather(pipeline.deliver(message), pipeline.deliver(message))
    assert sorted(answer["verdict"] for answer in answers) == ["exists", "opened"]
    assert (await pipeline.deliver(message))["verdict"] == "exists"
    assert sorted(queued.task for queued in pipeline.queue) == [0, 1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"url\ncaf\xe9\n", "line 2 of the input is not UTF-8: set encoding"),
        (b"id,link\n1,a\n", "name the column, there is none called 'url'; the columns are: id, link"),
    ],
)
async def test_unusable_input_fails_the_batch(pipeline: PipelineBench, body: bytes, reason: str) -> None:
    assert (await pipeline.submit(body, CSV)).status == 202
    (answer,) = await pipeline.deliver_all()
    assert answer["verdict"] == "given up"
    status = await pipeline.status()
    assert status["state"] == "failed"
    assert status["reason"].startswith(reason)
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.sweep() == {"open": 0}


@pytest.mark.parametrize("change", ["changed", "gone"])
async def test_input_changed_before_its_opening_fails_the_batch(pipeline: PipelineBench, change: str) -> None:
    store, key = pipeline.context.store, f"{pipeline.name}.csv"
    await store.put(key, b"url\na\n")
    await pipeline.submit(key)
    if change == "changed":
        await store.put(key, b"url\nb\n")
    else:
        await store.delete(key)
    (answer,) = await pipeline.deliver_all()
    assert answer["reason"] == (
        f"{key!r} changed while it was being read" if change == "changed" else f"the input {key!r} is gone"
    )
    assert (await pipeline.status())["reason"] == answer["reason"]


async def test_opening_refused_by_the_gateway_is_queued_by_the_sweep(pipeline: PipelineBench) -> None:
    pipeline.gateway.refusals[pipeline.name] += [500]
    assert (await pipeline.submit("url\na\n", CSV)).status == 202
    assert pipeline.queue == []
    await pipeline.bench().age_duty("o")
    await pipeline.sweep()
    assert [message.mode for message in pipeline.queue] == ["open"]


async def test_dead_submitter_is_replaced_by_the_queue(pipeline: PipelineBench) -> None:
    await pipeline.submit("url\na\n", CSV)
    (message,) = pipeline.queue
    pipeline.queue.clear()
    submission = await pipeline.context.records.read(pipeline.batch)
    bench = pipeline.bench()
    assert (await bench.ledger.claim(pipeline.batch, "dead", submission, kind="queued")).verdict == "claimed"
    assert (await pipeline.deliver(message))["verdict"] == "exists"
    await bench.age(lease_until=-1)
    assert (await pipeline.deliver(message))["verdict"] == "opened"


@pytest.mark.parametrize("owner", ["", "dead"])
async def test_submitter_that_died_before_writing_the_specification_frees_the_id(
    pipeline: PipelineBench, owner: str
) -> None:
    await pipeline.submit("url\na\n", CSV)
    (message,) = pipeline.queue
    pipeline.queue.clear()
    submission = await pipeline.context.records.read(pipeline.batch)
    bench = pipeline.bench()
    await bench.ledger.abandon(pipeline.batch, "")
    await pipeline.context.records.erase(pipeline.batch)
    await bench.ledger.claim(pipeline.batch, owner, submission)
    await bench.age(lease_until=-1)
    assert (await pipeline.deliver(message))["verdict"] == "unknown"
    assert await bench.fields() == {}
    assert (await pipeline.submit("url\na\n", CSV)).status == 202


async def test_opening_of_an_unknown_batch_creates_nothing(pipeline: PipelineBench) -> None:
    query = pipeline.signed("open", Identity("nowhere", 0))
    assert document(await pipeline.handle("open", query))["verdict"] == "unknown"
    assert [key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:*")] == []
    with pytest.raises(ForbiddenError, match="the signature is not that of this open"):
        await pipeline.handle("open", pipeline.signed("reduce", Identity("nowhere", 0)))


async def test_failed_second_submission_leaves_the_first_unchanged(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202

    async def away(*_: object) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.records, "read_status", away)
        assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202
    assert (await pipeline.deliver_all())[0]["verdict"] == "opened"


async def test_failing_opening_shows_its_trouble_and_can_be_cancelled(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit("url\na\nb\n", CSV)
    (message,) = pipeline.queue
    pipeline.queue.clear()

    async def away(*_: object) -> None:
        raise UnavailableError("S3 denies access")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.store, "download", away)
        with pytest.raises(UnavailableError):
            await pipeline.deliver(message)
    status = await pipeline.status()
    assert (status["state"], status["trouble"]) == ("opening", "S3 denies access")
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
    await pipeline.bench().age(lease_until=-1)
    assert (await pipeline.deliver(message))["verdict"] == "given up"
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("cancelled", "cancelled before it was opened")
    assert status["trouble"] is None


async def test_opening_that_kills_its_replicas_is_given_up(pipeline: PipelineBench) -> None:
    await pipeline.submit("url\na\nb\n", CSV)
    (message,) = pipeline.queue
    pipeline.queue.clear()
    submission = await pipeline.context.records.read(pipeline.batch)
    bench = pipeline.bench()
    for _ in range(OPENINGS_ALLOWED):
        assert (await bench.ledger.claim(pipeline.batch, "dies", submission, kind="queued")).verdict == "claimed"
        await bench.age(lease_until=-1)
    assert (await pipeline.deliver(message))["verdict"] == "given up"
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("failed", "its opening failed 5 times: each time its replica died")
