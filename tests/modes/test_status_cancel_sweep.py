"""status, cancel and sweep."""

from typing import Any

import pytest

from pipeline.batch import sweep as sweeping
from pipeline.errors import BadRequestError, ConflictError, NotFoundError
from pipeline.store.batch_records import OpenMark
from pipeline.tasks.settle import write_due_segment
from tests.rigs.function.pipeline_bench import PipelineBench, answering, document
from tests.rigs.s3.outcomes import answers


@pytest.fixture(autouse=True)
def echo(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))


async def test_unknown_batch_is_a_404_that_names_it(pipeline: PipelineBench) -> None:
    with pytest.raises(NotFoundError, match="there is no batch 'nowhere'"):
        await pipeline.status("nowhere")
    with pytest.raises(NotFoundError, match="there is no batch 'nowhere'"):
        await pipeline.handle("cancel", {"batch": "nowhere"})
    with pytest.raises(BadRequestError, match="name the batch: "):
        await pipeline.handle("cancel")


async def test_status_counts_tasks_and_items(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcdef", chunk="2", window="2")
    for query in ({}, {"batch": pipeline.batch}):
        assert (await pipeline.handle("status", query)).status == 200
    await pipeline.deliver(pipeline.queue.pop(0))
    status = await pipeline.status()
    expected: dict[str, Any] = {
        "batch_id": pipeline.batch,
        "state": "running",
        "reason": None,
        "function": f"{pipeline.name}-model",
    }
    expected |= {"generation": 0, "items": 6, "tasks": 3, "succeeded": 2, "failed": 0, "retried": 0}
    expected |= {"released": 3, "in_flight": 2, "settled": 1, "completed": None, "ended": None}
    assert {name: status[name] for name in expected} == expected
    assert status["rate"] > 0
    assert status["eta"] >= 0
    assert status["links"]["summary"] is None
    await pipeline.deliver_all()
    ended = await pipeline.status()
    assert (ended["state"], ended["settled"], ended["in_flight"], ended["eta"]) == ("done", 3, 0, None)
    assert status["started"] <= ended["completed"] <= ended["ended"]


async def test_ended_batch_with_an_expired_ledger_answers_from_s3(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await pipeline.deliver_all()
    before = await pipeline.status()
    await pipeline.redis.delete(pipeline.bench().key())
    assert await pipeline.status() == before
    assert (await pipeline.handle("status", {"batch": pipeline.batch})).status == 200
    with pytest.raises(ConflictError, match="it is done"):
        await pipeline.handle("cancel", {"batch": pipeline.batch})
    again = await pipeline.submit("url\na\nb\n", {"Content-Type": "text/csv"})
    assert (again.status, document(again)["state"]) == (200, "done")
    with pytest.raises(ConflictError, match="had another specification or another input: choose another id"):
        await pipeline.submit("url\nb\n", {"Content-Type": "text/csv"})
    assert await pipeline.bench().fields() == {}
    assert await pipeline.sweep() == {"open": 0}
    assert await pipeline.status() == before


async def test_cancelled_batch_settles_tasks_in_flight_and_writes_its_results(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcdef", window="2")
    await pipeline.deliver(pipeline.queue.pop(0))
    in_flight = [await pipeline.run_task(message) for message in pipeline.queue]
    response = await pipeline.handle("cancel", {"batch": pipeline.batch})
    assert (response.status, document(response)["batch_id"]) == (202, pipeline.batch)
    for message, answer in zip(list(pipeline.queue), in_flight, strict=True):
        assert await pipeline.call_back(message, answer) == {"verdict": "settled"}
    assert [message.mode for message in pipeline.queue] == ["task", "task", "reduce"]
    del pipeline.queue[:2]
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("cancelled", "cancelled on request")
    summary = await pipeline.summary()
    assert [entry["url"] for entry in summary["results"]["results"]] == ["a", "b", "c"]
    assert [(entry["url"], entry["result"]) for entry in summary["failures"]["results"]] == [
        (item, "not run: cancelled on request") for item in "def"
    ]


@pytest.mark.parametrize("in_flight", [True, False])
async def test_cancel_can_be_repeated_at_any_time(pipeline: PipelineBench, *, in_flight: bool) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    if not in_flight:
        await pipeline.call_back(pipeline.queue.pop(0), None, 500)
    for state in ("closing", "closing") if in_flight else ("reducing", "reducing"):
        assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
        assert (await pipeline.status())["state"] == state
    pipeline.forget()
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "cancelled"
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
    await pipeline.redis.delete(pipeline.bench().key())
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202


async def test_cancelled_batch_queues_its_reduce_once(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    await pipeline.call_back(pipeline.queue.pop(0), None, 500)
    for _ in range(3):
        await pipeline.handle("cancel", {"batch": pipeline.batch})
    assert [message.mode for message in pipeline.queue] == ["reduce"]


async def test_ended_or_reducing_batch_cannot_be_cancelled(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.bench().write(outcome="failed")
    with pytest.raises(ConflictError, match=f"batch '{pipeline.batch}' cannot be cancelled: it is reducing"):
        await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.bench().write(outcome="done")
    await pipeline.deliver_all()
    with pytest.raises(ConflictError, match=f"batch '{pipeline.batch}' cannot be cancelled: it is done"):
        await pipeline.handle("cancel", {"batch": pipeline.batch})


async def test_sweep_takes_over_an_overdue_segment_and_reduce(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a", "b")
    bench = pipeline.bench()
    await bench.settle(0, answer=answers(0)[0])
    await bench.settle(1, answer=answers(1)[0])
    pipeline.queue.clear()
    assert await pipeline.sweep() == {"open": 1}
    assert pipeline.queue == []
    for duty in ("s:0", "r"):
        await bench.age_duty(duty)
    await pipeline.sweep()
    assert [message.mode for message in pipeline.queue] == ["reduce"]
    assert sorted(await bench.due()) == ["r"]
    await pipeline.deliver_all()
    assert (await pipeline.summary())["results"]["count"] == 2
    monkeypatch.setattr(sweeping, "ORPHAN_AGE", 0)
    await pipeline.redis.delete(bench.key())
    await bench.ledger.index.add_open(pipeline.batch)
    await pipeline.sweep()
    assert await bench.ledger.index.open_batches() == []


async def test_sweep_settles_a_task_that_was_lost_too_often(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b", window="1", attempts="1")
    bench = pipeline.bench()
    await bench.age_releases(t0=-500)
    await pipeline.redis.hset(bench.key("attempts"), "l:0", "5")
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    pipeline.queue.clear()
    await pipeline.sweep()
    assert [message.task for message in pipeline.queue] == [1]
    await pipeline.deliver_all()
    (failure,) = (await pipeline.summary())["failures"]["results"]
    assert (failure["url"], failure["statusCode"], failure["result"]) == ("a", 504, "the task was lost too often")


async def test_sweep_goes_on_after_a_batch_it_cannot_repair(pipeline: PipelineBench) -> None:
    for batch in ("one", "two"):
        await pipeline.submit("url\na\n", {"Content-Type": "text/csv"}, batch=f"{pipeline.name}.{batch}")
    pipeline.queue.clear()
    due = pipeline.bench(f"{pipeline.name}.one").key("due")
    await pipeline.redis.delete(due)
    await pipeline.redis.set(due, "no sorted set", ex=60)
    two = pipeline.bench(f"{pipeline.name}.two")
    await two.defer([0], 0, generation=0)
    assert await pipeline.sweep() == {"open": 2}
    assert [message.query["batch"] for message in pipeline.queue] == [two.name]
    await pipeline.redis.delete(due)


async def test_sweep_closes_a_batch_that_ended_without_being_closed(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    before = await pipeline.status()
    await pipeline.context.store.delete(f"{pipeline.batch}/status.json")
    await pipeline.context.records.mark_open(pipeline.batch, OpenMark())
    await pipeline.context.ledger.index.add_open(pipeline.batch)
    assert await pipeline.sweep() == {"open": 1}
    assert await pipeline.sweep() == {"open": 0}
    assert pipeline.mark not in await pipeline.objects()
    await pipeline.redis.delete(pipeline.bench().key())
    assert await pipeline.status() == before


async def test_segment_of_a_past_generation_is_not_written(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    bench = pipeline.bench()
    for task in range(2):
        await bench.settle(task, answer=answers(task)[0])
    await bench.write(generation="1")
    await write_due_segment(pipeline.context, pipeline.batch, 0, 0)
    assert await pipeline.context.store.list(f"{pipeline.batch}/segments/") == []
    assert await bench.read_segment(0, generation=1) == [*answers(0), *answers(1)]
    pipeline.queue.clear()
