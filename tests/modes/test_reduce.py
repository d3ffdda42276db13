"""reduce: retryable failures run again, and then the summary is written once, by any replica."""

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest

from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.identity import Identity
from pipeline.spec.field_rules import FORMATS
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import output_names
from pipeline.store.multipart import Upload
from pipeline.store.segments import MissingSegmentError
from pipeline.tasks import model_call as calls
from tests.rigs.function.pipeline_bench import PipelineBench, answering


@pytest.fixture(autouse=True)
def one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 1)


def flaky(**failures: int) -> Any:
    """A model function that answers 500 for an item so many times."""
    seen: Counter[str] = Counter()

    def reply(text: str) -> tuple[int, Any]:
        seen[text] += 1
        return (500, b"broken") if seen[text] <= failures.get(text, 0) else (200, f"{text}{seen[text]}")

    return answering(reply)


async def run_until_the_reduce(pipeline: PipelineBench) -> Any:
    """Deliver the tasks; returns the message of the reduce."""
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    (message,) = pipeline.queue
    pipeline.queue.clear()
    return message


async def next_generation(pipeline: PipelineBench) -> None:
    """Let the delay of the next generation pass."""
    await pipeline.bench().age(not_before=-1)
    await pipeline.sweep()


async def test_summary_has_every_row_once_in_order(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text) if int(text) % 7 else (400, b"seven")))
    await pipeline.submit_rows(*map(str, range(100)), chunk="3", window="4")
    await pipeline.deliver_all()
    summary = await pipeline.summary()
    assert [entry["url"] for entry in summary["failures"]["results"]] == [str(n) for n in range(100) if n % 7 == 0]
    assert [entry["url"] for entry in summary["results"]["results"]] == [str(n) for n in range(100) if n % 7]
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"], status["settled"], status["tasks"]) == (
        *("done", 85, 15, 34, 34),
    )
    assert status["links"]["summary"] == f"s3://{pipeline.context.store.bucket}/{pipeline.batch}.json"
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.sweep() == {"open": 0}


async def test_retryable_failures_run_again_one_by_one(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky(b=1, d=2))
    await pipeline.submit_rows("a", "b", "c", "d", "e", chunk="2", attempts="3")
    assert (await pipeline.deliver_all())[-1]["verdict"] == "generation 1"
    status = await pipeline.status()
    assert (status["generation"], status["succeeded"], status["failed"], status["retried"], status["tasks"]) == (
        *(1, 3, 0, 2, 2),
    )
    await next_generation(pipeline)
    assert (await pipeline.deliver_all())[-1]["verdict"] == "generation 2"
    await next_generation(pipeline)
    assert (await pipeline.deliver_all())[-1]["verdict"] == "done"
    summary = await pipeline.summary()
    assert summary["failures"]["count"] == 0
    assert [entry["result"] for entry in summary["results"]["results"]] == ["a1", "b2", "c1", "d3", "e1"]
    assert f"{pipeline.batch}/2/summary.json" in await pipeline.objects()
    status = await pipeline.status()
    assert (status["items"], status["succeeded"], status["retried"]) == (5, 5, 3)


async def test_next_generation_waits_for_its_delay(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky(a=1))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    bench = pipeline.bench()
    fields = await bench.fields()
    assert int(fields["not_before"]) - int(fields["first_at"]) == 1_000_000
    await bench.age(not_before=50)
    await pipeline.sweep()
    assert pipeline.queue == []


@pytest.mark.parametrize("attempts", [1, 2])
async def test_failure_is_final_after_the_last_attempt(pipeline: PipelineBench, attempts: int) -> None:
    pipeline.serve(flaky(b=9))
    await pipeline.submit_rows("a", "b", attempts=str(attempts))
    for _ in range(attempts - 1):
        assert (await pipeline.deliver_all())[-1]["verdict"].startswith("generation")
        await next_generation(pipeline)
    assert (await pipeline.deliver_all())[-1]["verdict"] == "done"
    summary = await pipeline.summary()
    assert [(entry["url"], entry["statusCode"]) for entry in summary["failures"]["results"]] == [("b", 500)]
    assert (await pipeline.status())["failed"] == 1


async def test_cancelled_batch_retries_nothing(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky(a=9))
    await pipeline.submit_rows("a", "b", "c", window="1")
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    pipeline.forget()
    assert [answer["verdict"] for answer in await pipeline.deliver_all()] == ["settled", "cancelled"]
    summary = await pipeline.summary()
    assert [(entry["url"], entry["statusCode"]) for entry in summary["failures"]["results"]] == [
        *[("a", 500), ("b", None), ("c", None)],
    ]


async def test_only_one_of_two_concurrent_reduces_works(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky())
    await pipeline.submit_rows("a", "b")
    message = await run_until_the_reduce(pipeline)
    answers = await asyncio.gather(pipeline.deliver(message), pipeline.deliver(message))
    assert sorted(answer["verdict"] for answer in answers) == ["done", "held"]
    assert (await pipeline.deliver(message))["verdict"] == "closed"


@pytest.mark.parametrize("large", [False, True], ids=["one object", "by parts"])
async def test_reduce_after_a_crash_writes_the_same_bytes(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    pipeline.serve(answering(lambda text: (200, text * (1_000_000 if large else 1))))
    await pipeline.submit_rows(*"abcdefghi", inline_limit=str(4 * 1024 * 1024))
    message = await run_until_the_reduce(pipeline)
    with monkeypatch.context() as crash:

        async def no_finish(*_: object) -> str:
            raise UnavailableError("the replica dies here")

        crash.setattr(pipeline.context.ledger, "finish", no_finish)
        with pytest.raises(UnavailableError, match="dies here"):
            await pipeline.deliver(message)
    first = await pipeline.context.store.get(f"{pipeline.batch}.json")
    tables = {name: await pipeline.context.store.get(f"{pipeline.batch}/{name}") for name in output_names(FORMATS)}
    assert (await pipeline.status())["state"] == "reducing"
    assert (await pipeline.deliver(message))["verdict"] == "held"
    bench = pipeline.bench()
    await bench.age(lease_until=-1)
    await bench.age_duty("r")
    await pipeline.sweep()
    pipeline.forget()
    assert [answer["verdict"] for answer in await pipeline.deliver_all()] == ["done"]
    assert await pipeline.context.store.get(f"{pipeline.batch}.json") == first
    assert await pipeline.context.store.get(f"{pipeline.batch}/0/summary.json") == first
    for name, body in tables.items():
        assert await pipeline.context.store.get(f"{pipeline.batch}/{name}") == body
        assert await pipeline.context.store.get(f"{pipeline.batch}/0/{name}") == body


async def test_reduce_without_its_lease_leaves_no_upload(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text * 1_000_000)))
    await pipeline.submit_rows(*"abcdefghi", inline_limit=str(4 * 1024 * 1024))
    message = await run_until_the_reduce(pipeline)
    store, bench = pipeline.context.store, pipeline.bench()
    start_upload = store.start_upload
    started: list[Upload] = []

    async def start_and_lose_the_lease(key: str, kind: str) -> Upload:
        started.append(await start_upload(key, kind))
        await bench.age(lease_until=-1)
        assert (await bench.ledger.lease_reduce(pipeline.batch, "heir", 0)).verdict == "leased"
        return started[-1]

    monkeypatch.setattr(store, "start_upload", start_and_lose_the_lease)
    with pytest.raises(UnavailableError, match="the lease of its reduce was lost"):
        await pipeline.deliver(message)
    assert started
    for upload in started:
        with pytest.raises(MissingObjectError):
            await upload.send(b"more")


async def test_upload_of_a_dead_reduce_is_aborted(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky())
    await pipeline.submit_rows("a")
    message = await run_until_the_reduce(pipeline)
    upload = await pipeline.context.store.start_upload(f"{pipeline.batch}/0/summary.json")
    await upload.send(b"half")
    bench = pipeline.bench()
    assert (await bench.ledger.lease_reduce(pipeline.batch, "dead", 0)).verdict == "leased"
    await bench.age(lease_until=-1)
    assert (await pipeline.deliver(message))["verdict"] == "done"
    with pytest.raises(MissingObjectError):
        await upload.complete()
    assert orjson.loads(await pipeline.context.store.get(upload.key))["results"]["count"] == 1


async def test_unwritten_segment_is_written_by_the_reduce(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(flaky())
    await pipeline.submit_rows("a")
    with monkeypatch.context() as crash:

        async def no_put(*_: object) -> None:
            raise UnavailableError("S3 is away")

        crash.setattr(pipeline.context.store, "put", no_put)
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.deliver(pipeline.queue.pop(0))
    assert pipeline.queue == []
    assert sorted(await pipeline.bench().due()) == ["r", "s:0"]
    await pipeline.bench().age_duty("r")
    await pipeline.sweep()
    assert (await pipeline.deliver_all())[-1]["verdict"] == "done"
    assert (await pipeline.summary())["results"]["count"] == 1


async def test_missing_segment_stops_the_reduce_and_is_named(pipeline: PipelineBench) -> None:
    pipeline.serve(flaky())
    await pipeline.submit_rows("a")
    message = await run_until_the_reduce(pipeline)
    (key,) = await pipeline.context.store.list(f"{pipeline.batch}/segments/")
    await pipeline.context.store.delete(key)
    with pytest.raises(MissingSegmentError, match=r"segments \[0\] of generation 0 are not in S3"):
        await pipeline.deliver(message)
    assert (await pipeline.status())["state"] == "reducing"
    assert f"{pipeline.batch}.json" not in await pipeline.objects()


async def test_reduce_is_signed_for_its_batch_and_generation(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows()
    (message,) = pipeline.queue
    for query in (
        {**message.query, "batch": "other"},
        {**message.query, "generation": "1"},
        pipeline.signed("open", Identity(pipeline.batch, 0)),
    ):
        with pytest.raises(ForbiddenError, match="the signature is not that of this reduce"):
            await pipeline.handle("reduce", query)
    pipeline.queue.clear()
