"""notify: Redis is emptied while notifications of an end are pending."""

import pytest

from pipeline.errors import NotFoundError
from pipeline.ledger.notices import DeliveryResult
from pipeline.notify.deliver import deliver_due
from tests.rigs.function.interrupted_close import before_close
from tests.rigs.function.notified_batches import notify_hooks, run, stored_notices, sweep_until_notified
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.log_lines import LogLines
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, status_answer
from tests.rigs.redis.lost_redis import go_on, lose_redis

OPTIONS = {"reduce": "fold", "notify": "next"}


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks)


@pytest.fixture
def function(pipeline: PipelineBench) -> Receiver:
    """A function that is a target."""
    made = Receiver(0)
    pipeline.gateway.models["next"] = made.model
    return made


async def test_only_targets_without_a_delivery_are_notified_again(
    pipeline: PipelineBench, hooks: Receiver, function: Receiver
) -> None:
    hooks.answers += [status_answer(500), status_answer(500)]
    before = await run(pipeline, notify=f"next,{hooks.url}")
    assert notified(before) == [("delivered", 1, 204), ("due", 1, 500)]
    await lose_redis(pipeline)
    await pipeline.sweep()
    await pipeline.sweep()
    assert await stored_notices(pipeline) == [("delivered", 1, 204), ("due", 2, 500)]
    assert await pipeline.context.ledger.phase(pipeline.batch) is None
    assert [batch for batch, _ in await pipeline.context.ledger.index.open_batches()] == []
    assert pipeline.mark in await pipeline.objects()
    await sweep_until_notified(pipeline)
    assert await stored_notices(pipeline) == [("delivered", 1, 204), ("delivered", 3, 204)]
    assert (len(function.calls), len(hooks.calls)) == (1, 3)
    assert len({call.id for call in hooks.calls}) == 1
    assert pipeline.mark not in await pipeline.objects()
    after = await pipeline.status()
    assert {**after, "notifications": []} == {**before, "notifications": []}
    last = hooks.calls[2].document["data"]["status"]
    assert {**last, "notifications": []} == {**after, "notifications": []}
    assert notified(last) == [("delivered", 1, 204), ("due", 2, 500)]
    assert await pipeline.context.ledger.index.notifying() == []


async def test_forgotten_batch_with_pending_notices_is_listed_as_ended(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers += [status_answer(500)] * 9
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    await pipeline.sweep()
    listed = document(await pipeline.handle("status"))
    assert ([batch["batch_id"] for batch in listed["open"]], [batch["state"] for batch in listed["ended"]]) == (
        [],
        ["done"],
    )
    again = await pipeline.submit("url\na\nb\n", CSV, {"notify": hooks.url})
    assert (again.status, document(again)["state"]) == (200, "done")
    # The claim of the id did not remove the note of its pending notices.
    assert await pipeline.context.ledger.index.notifying() == [pipeline.batch]
    hooks.answers.clear()
    await sweep_until_notified(pipeline)
    assert (await stored_notices(pipeline))[0][0] == "delivered"


async def test_status_request_recalls_lost_notices(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    await pipeline.context.ledger.index.end_survey()
    await pipeline.status()
    assert len(hooks.calls) == 2
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


async def test_notify_targets_still_wait_for_the_reduce_function(pipeline: PipelineBench, function: Receiver) -> None:
    assert notified(await run(pipeline, **OPTIONS)) == [("due", 1, 404), ("due", 0, None)]
    await lose_redis(pipeline)
    await sweep_until_notified(pipeline)
    assert function.calls == []
    fold = Receiver(0)
    pipeline.gateway.models["fold"] = fold.model
    await sweep_until_notified(pipeline)
    assert (len(fold.calls), len(function.calls)) == (1, 1)
    assert "reduced.json" in function.calls[0].document["data"]["outputs"]
    assert [state for state, _, _ in await stored_notices(pipeline)] == ["delivered", "delivered"]


async def test_failed_opening_is_notified_after_the_loss(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    hooks.answers.append(status_answer(500))
    await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url})
    await pipeline.deliver_all()
    await lose_redis(pipeline)
    await sweep_until_notified(pipeline)
    assert await stored_notices(pipeline) == [("delivered", 2, 204)]
    assert pipeline.mark not in await pipeline.objects()


async def test_redrive_of_a_forgotten_batch_drops_its_notices(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    await lose_redis(pipeline)
    pipeline.serve(answering(lambda text: (200, text)))
    hooks.answers.append(status_answer(500))
    await pipeline.sweep()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await go_on(pipeline)
    await sweep_until_notified(pipeline)
    states = [call.document["data"]["status"] for call in hooks.calls]
    assert [(status["generation"], status["succeeded"]) for status in states] == [(0, 1), (0, 1), (1, 2)]
    assert hooks.calls[0].id == hooks.calls[1].id != hooks.calls[2].id
    assert pipeline.mark not in await pipeline.objects()


@pytest.mark.parametrize("recalled", [False, True])
async def test_forgotten_batch_can_be_deleted(pipeline: PipelineBench, hooks: Receiver, *, recalled: bool) -> None:
    hooks.answers += [status_answer(500)] * 9
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)
    if recalled:
        await pipeline.sweep()
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == []
    calls = len(hooks.calls)
    await sweep_until_notified(pipeline)
    assert len(hooks.calls) == calls
    with pytest.raises(NotFoundError):
        await pipeline.status()
    assert await pipeline.context.ledger.index.notifying() == []


@pytest.mark.parametrize("forgotten", [False, True])
async def test_delivery_by_another_replica_meanwhile_is_stored_in_s3(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, *, forgotten: bool
) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=f"{hooks.url},next")
    if forgotten:
        hooks.answers.append(status_answer(500))
        await lose_redis(pipeline)
        await pipeline.sweep()
    notices, end = pipeline.context.ledger.notices, (await pipeline.context.ledger.notices.read(pipeline.batch)).end
    assert end is not None

    async def deliver_elsewhere() -> None:
        await due_again(pipeline, 1)
        number = await notices.start_delivery(pipeline.batch, end, 1, 60)
        await notices.record_delivery(pipeline.batch, end, 1, DeliveryResult(number, "delivered", 200, 0, 60))

    before_close(pipeline, monkeypatch, deliver_elsewhere)
    await due_again(pipeline, 0)
    await deliver_due(pipeline.context, pipeline.batch)
    assert [state for state, _, _ in await stored_notices(pipeline)] == ["delivered", "delivered"]
    assert pipeline.mark not in await pipeline.objects()


async def test_sweep_reads_nothing_from_s3_before_a_try_is_due(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(status_answer(500, Retry_After="600"))
    await run(pipeline, notify=hooks.url)

    async def fail(*_arguments: object) -> None:
        raise AssertionError

    await pipeline.sweep()
    for name in ("get", "head", "list", "put"):
        monkeypatch.setattr(pipeline.context.store, name, fail)
    with LogLines.captured() as lines:
        for _ in range(2):
            await pipeline.sweep()
    assert lines.all() == []


async def test_deletion_during_a_notification_leaves_nothing(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)

    async def delete() -> None:
        await pipeline.handle_without_background("delete", {"batch": pipeline.batch})

    before_close(pipeline, monkeypatch, delete)
    await pipeline.sweep()
    assert len(hooks.calls) == 2
    assert await pipeline.objects() == []
    assert f"ended/{pipeline.name}/{pipeline.batch}" not in await pipeline.context.store.list("ended/")


async def test_redrive_during_a_notification_keeps_the_mark(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    await lose_redis(pipeline)

    async def redrive() -> None:
        await pipeline.handle_without_background("redrive", {"batch": pipeline.batch})

    before_close(pipeline, monkeypatch, redrive)
    await pipeline.sweep()
    assert pipeline.mark in await pipeline.objects()
    await go_on(pipeline)
    assert (await pipeline.status())["generation"] == 1
