"""A lost batch is found by its mark in S3, by a status request or by a second submission."""

from collections import Counter

import pytest

from pipeline.errors import UnavailableError
from pipeline.ledger import ledger as ledger_module
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.redis.lost_redis import go_on, lose_redis, urls


@pytest.fixture
def calls(pipeline: PipelineBench) -> Counter[str]:
    """The number of model calls by item."""
    counted: Counter[str] = Counter()

    def reply(text: str) -> tuple[int, str]:
        counted[text] += 1
        return 200, text

    pipeline.serve(answering(reply))
    return counted


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three outcomes make a segment."""
    monkeypatch.setattr(ledger_module, "SEGMENT_OUTCOMES", 3)


@pytest.mark.parametrize("mode", ["cancel", "pause"])
async def test_cancel_pause_and_tuning_survive_the_loss(
    pipeline: PipelineBench, calls: Counter[str], mode: str
) -> None:
    await pipeline.submit_rows("a", "b", "c", "d", window="1")
    await pipeline.handle("tune", {"batch": pipeline.batch, "window": "2", "rate": "7.5"})
    await pipeline.handle(mode, {"batch": pipeline.batch})
    pipeline.queue.clear()
    await lose_redis(pipeline)
    await pipeline.sweep()
    await pipeline.deliver(pipeline.queue.pop(0))
    fields = await pipeline.bench().fields()
    assert (fields["window"], fields["rate"]) == ("2", "7.5")
    if mode == "cancel":
        await go_on(pipeline)
        assert (await pipeline.status())["state"] == "cancelled"
        assert calls == {}
    else:
        await pipeline.sweep()
        assert (await pipeline.status())["state"] == "paused"
        assert pipeline.queue == []


async def test_status_before_the_sweep_says_that_the_batch_is_being_rebuilt(
    pipeline: PipelineBench, calls: Counter[str]
) -> None:
    await pipeline.submit_rows("a", "b")
    pipeline.queue.clear()
    await lose_redis(pipeline)
    with pytest.raises(UnavailableError, match=r"Redis has lost batch .* and it is being rebuilt"):
        await pipeline.status()
    assert [message.mode for message in pipeline.queue] == ["open"]
    assert (await pipeline.status())["state"] == "opening"
    await go_on(pipeline)
    assert set(calls.values()) == {1}


async def test_second_submission_continues_the_lost_batch(pipeline: PipelineBench, calls: Counter[str]) -> None:
    rows = [f"row {n}" for n in range(6)]
    body = "\n".join(["url", *rows, ""])
    assert (await pipeline.submit(body, CSV)).status == 201
    for _ in range(3):
        await pipeline.deliver(pipeline.queue.pop(0))
    pipeline.queue.clear()
    await lose_redis(pipeline)
    response = await pipeline.submit(body, CSV)
    assert (response.status, document(response)["state"]) == (202, "opening")
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == rows
    assert set(calls.values()) == {1}


async def test_mark_without_a_batch_is_removed(pipeline: PipelineBench) -> None:
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == []


async def test_ended_batch_with_a_leftover_mark_does_not_run_again(
    pipeline: PipelineBench, calls: Counter[str]
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await lose_redis(pipeline)
    await pipeline.sweep()
    assert pipeline.queue == []
    assert pipeline.mark not in await pipeline.objects()
    assert (await pipeline.status())["state"] == "done"
    assert calls == {"a": 1}


async def test_redis_with_its_data_is_compared_with_s3_only_now_and_then(pipeline: PipelineBench) -> None:
    await pipeline.sweep()
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == [pipeline.mark]
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == []


async def test_sweep_without_s3_does_everything_else(
    pipeline: PipelineBench, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    pipeline.queue.clear()
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.bench().defer([0], 0, generation=0)
    with monkeypatch.context() as fault:

        async def away(*_: object) -> None:
            raise UnavailableError("S3 is away")

        fault.setattr(pipeline.context.store, "list_aged", away)
        assert await pipeline.sweep() == {"open": 1}
    await pipeline.deliver_all()
    assert calls == {"a": 1}
