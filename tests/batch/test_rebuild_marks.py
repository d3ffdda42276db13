"""What a lost batch is found by, and what was asked of it: its mark in S3, a question, a second submission."""

from collections import Counter

import pytest

from pipeline.errors import UnavailableError
from pipeline.ledger import ledger as ledger_module
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.redis.lost_redis import go_on, lose_redis, urls


@pytest.fixture
def calls(pipeline: PipelineBench) -> Counter[str]:
    """How often the model function was called, by the item."""
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
async def test_what_was_asked_of_it_is_not_forgotten(pipeline: PipelineBench, calls: Counter[str], mode: str) -> None:
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


async def test_asked_for_before_the_sweep_finds_it_a_batch_says_that_it_is_being_rebuilt(
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


async def test_submitted_again_it_goes_on_instead_of_beginning_anew(
    pipeline: PipelineBench, calls: Counter[str]
) -> None:
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


async def test_a_mark_without_anything_else_is_taken_away(pipeline: PipelineBench) -> None:
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == []


async def test_an_ended_batch_that_kept_its_mark_is_not_run_again(pipeline: PipelineBench, calls: Counter[str]) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await lose_redis(pipeline)
    await pipeline.sweep()
    assert pipeline.queue == []
    assert pipeline.mark not in await pipeline.objects()
    assert (await pipeline.status())["state"] == "done"
    assert calls == {"a": 1}


async def test_with_its_memory_redis_is_compared_with_s3_now_and_then_only(pipeline: PipelineBench) -> None:
    await pipeline.sweep()
    await pipeline.context.store.put(pipeline.mark, b"{}")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == [pipeline.mark]
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()
    assert await pipeline.context.store.list(pipeline.mark) == []


async def test_while_s3_is_away_the_sweep_does_the_rest(
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
