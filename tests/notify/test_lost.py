"""notify: Redis is emptied, or comes back with an older memory, while somebody is still to be told of an end."""

import pytest

from pipeline.errors import NotFoundError
from pipeline.ledger.notices import Tried
from pipeline.notify.tell import tell
from tests.rigs.function.overtaking import before_it_is_closed
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.function.told_batches import hear, kept, run, until_told
from tests.rigs.log_lines import Lines
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, saying
from tests.rigs.redis.lost_redis import go_on, lose_redis

OPTIONS = {"reduce": "fold", "notify": "next"}


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    hear(pipeline, hooks)


@pytest.fixture
def behind(pipeline: PipelineBench) -> Receiver:
    """A function that is told."""
    made = Receiver(0)
    pipeline.gateway.models["next"] = made.model
    return made


async def test_who_is_still_to_be_told_is_told_and_nobody_else(
    pipeline: PipelineBench, hooks: Receiver, behind: Receiver
) -> None:
    hooks.answers += [saying(500), saying(500)]
    before = await run(pipeline, notify=f"next,{hooks.url}")
    assert notified(before) == [("delivered", 1, 204), ("due", 1, 500)]
    await lose_redis(pipeline)
    await pipeline.sweep()
    await pipeline.sweep()
    assert await kept(pipeline) == [("delivered", 1, 204), ("due", 2, 500)]
    assert await pipeline.context.ledger.phase(pipeline.batch) is None
    assert [batch for batch, _ in await pipeline.context.ledger.index.batches()] == []
    assert pipeline.mark in await pipeline.objects()
    await until_told(pipeline)
    assert await kept(pipeline) == [("delivered", 1, 204), ("delivered", 3, 204)]
    assert (len(behind.calls), len(hooks.calls)) == (1, 3)
    assert len({call.id for call in hooks.calls}) == 1
    assert pipeline.mark not in await pipeline.objects()
    after = await pipeline.status()
    assert {**after, "notifications": []} == {**before, "notifications": []}
    told = hooks.calls[2].document["data"]["status"]
    assert {**told, "notifications": []} == {**after, "notifications": []}
    assert notified(told) == [("delivered", 1, 204), ("due", 2, 500)]
    assert await pipeline.context.ledger.index.telling() == []


async def test_the_batch_is_listed_as_ended_and_found_while_redis_has_forgotten_it(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers += [saying(500)] * 9
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    await pipeline.sweep()
    listed = document(await pipeline.handle("status"))
    assert ([each["batch_id"] for each in listed["open"]], [each["state"] for each in listed["ended"]]) == (
        [],
        ["done"],
    )
    again = await pipeline.submit("url\na\nb\n", CSV, {"notify": hooks.url})
    assert (again.status, document(again)["state"]) == (200, "done")
    # What was noted of it did not go with the claim of the id.
    assert await pipeline.context.ledger.index.telling() == [pipeline.batch]
    hooks.answers.clear()
    await until_told(pipeline)
    assert (await kept(pipeline))[0][0] == "delivered"


async def test_a_status_that_somebody_asks_for_is_enough_to_go_on(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    await pipeline.context.ledger.index.surveyed()
    await pipeline.status()
    assert len(hooks.calls) == 2
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


async def test_who_follows_the_function_that_reduces_still_does(pipeline: PipelineBench, behind: Receiver) -> None:
    assert notified(await run(pipeline, **OPTIONS)) == [("due", 1, 404), ("due", 0, None)]
    await lose_redis(pipeline)
    await until_told(pipeline)
    assert behind.calls == []
    fold = Receiver(0)
    pipeline.gateway.models["fold"] = fold.model
    await until_told(pipeline)
    assert (len(fold.calls), len(behind.calls)) == (1, 1)
    assert "reduced.json" in behind.calls[0].document["data"]["outputs"]
    assert [state for state, _, _ in await kept(pipeline)] == ["delivered", "delivered"]


async def test_an_opening_that_failed_is_told_of(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    hooks.answers.append(saying(500))
    await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url})
    await pipeline.deliver_all()
    await lose_redis(pipeline)
    await until_told(pipeline)
    assert await kept(pipeline) == [("delivered", 2, 204)]
    assert pipeline.mark not in await pipeline.objects()


async def test_a_redrive_of_what_is_forgotten_drops_it(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    await lose_redis(pipeline)
    pipeline.serve(answering(lambda text: (200, text)))
    hooks.answers.append(saying(500))
    await pipeline.sweep()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await go_on(pipeline)
    await until_told(pipeline)
    states = [call.document["data"]["status"] for call in hooks.calls]
    assert [(status["generation"], status["succeeded"]) for status in states] == [(0, 1), (0, 1), (1, 2)]
    assert hooks.calls[0].id == hooks.calls[1].id != hooks.calls[2].id
    assert pipeline.mark not in await pipeline.objects()


@pytest.mark.parametrize("recalled", [False, True])
async def test_what_is_forgotten_can_be_deleted(pipeline: PipelineBench, hooks: Receiver, *, recalled: bool) -> None:
    hooks.answers += [saying(500)] * 9
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    if recalled:
        await pipeline.sweep()
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == []
    told = len(hooks.calls)
    await until_told(pipeline)
    assert len(hooks.calls) == told
    with pytest.raises(NotFoundError):
        await pipeline.status()
    assert await pipeline.context.ledger.index.telling() == []


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_another_replica_tells_meanwhile_is_kept_in_s3_too(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, *, forgotten: bool
) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=f"{hooks.url},next")
    if forgotten:
        hooks.answers.append(saying(500))
        await lose_redis(pipeline)
        await pipeline.sweep()
    notices, end = pipeline.context.ledger.notices, (await pipeline.context.ledger.notices.read(pipeline.batch)).end
    assert end is not None

    async def told() -> None:
        await due_again(pipeline, 1)
        number = await notices.attempt(pipeline.batch, end, 1, 60)
        await notices.attempted(pipeline.batch, end, 1, Tried(number, "delivered", 200, 0, 60))

    before_it_is_closed(pipeline, monkeypatch, told)
    await due_again(pipeline, 0)
    await tell(pipeline.context, pipeline.batch)
    assert [state for state, _, _ in await kept(pipeline)] == ["delivered", "delivered"]
    assert pipeline.mark not in await pipeline.objects()


async def test_while_it_is_nobodys_turn_a_sweep_asks_s3_nothing(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(saying(500, Retry_After="600"))
    await run(pipeline, notify=hooks.url)

    async def asked(*_arguments: object) -> None:
        raise AssertionError

    await pipeline.sweep()
    for name in ("get", "head", "list", "put"):
        monkeypatch.setattr(pipeline.context.store, name, asked)
    with Lines.taken() as lines:
        for _ in range(2):
            await pipeline.sweep()
    assert lines.all() == []


async def test_what_is_forgotten_and_deleted_meanwhile_leaves_nothing(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)

    async def deleted() -> None:
        await pipeline.handle_apart("delete", {"batch": pipeline.batch})

    before_it_is_closed(pipeline, monkeypatch, deleted)
    await pipeline.sweep()
    assert len(hooks.calls) == 2
    assert await pipeline.objects() == []
    assert f"ended/{pipeline.name}/{pipeline.batch}" not in await pipeline.context.store.list("ended/")


async def test_what_is_forgotten_and_redriven_meanwhile_keeps_its_mark(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    await lose_redis(pipeline)

    async def redriven() -> None:
        await pipeline.handle_apart("redrive", {"batch": pipeline.batch})

    before_it_is_closed(pipeline, monkeypatch, redriven)
    await pipeline.sweep()
    assert pipeline.mark in await pipeline.objects()
    await go_on(pipeline)
    assert (await pipeline.status())["generation"] == 1
