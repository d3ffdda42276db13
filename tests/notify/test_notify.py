"""notify: who asked for it is told that a batch has ended, with all that the status says, and once."""

from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from pipeline.units import iso
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document
from tests.rigs.function.told_batches import hear, run
from tests.rigs.log_lines import Lines
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, saying


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    hear(pipeline, hooks)


async def test_a_url_and_a_function_are_told_once(pipeline: PipelineBench, hooks: Receiver) -> None:
    behind = Receiver(0)
    pipeline.gateway.models[f"{pipeline.name}-next"] = behind.model
    status = await run(pipeline, "a", "bad", notify=f"{hooks.url}?x=1,{pipeline.name}-next")
    assert [call.path for call in hooks.calls + behind.calls] == [
        "/hooks/a-secret?x=1",
        f"/function/{pipeline.name}-next",
    ]
    for call in hooks.calls + behind.calls:
        call.verify()
        assert (call.headers["X-Call-Id"], call.headers["Content-Type"]) == (call.id, "application/json")
        assert call.document["type"] == "batch.ended"
        assert call.document["data"]["status"] | {"notifications": []} == status | {"notifications": []}
        assert (
            call.document["data"]["outputs"]["summary"] == f"s3://{pipeline.context.store.bucket}/{pipeline.batch}.json"
        )
    assert len({call.id for call in hooks.calls + behind.calls}) == 2
    assert notified(status) == [("delivered", 1, 204), ("delivered", 1, 204)]
    assert [each["target"] for each in status["notifications"]] == [hooks.origin, f"{pipeline.name}-next"]
    assert await pipeline.bench().due() == {}
    for _ in range(2):
        await pipeline.sweep()
    assert len(hooks.calls + behind.calls) == 2
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.context.ledger.index.telling() == []


async def test_the_time_told_is_that_of_the_end(pipeline: PipelineBench, hooks: Receiver) -> None:
    status = await run(pipeline, notify=hooks.url)
    (call,) = hooks.calls
    assert call.document["timestamp"] == iso(status["ended"])
    assert call.document["timestamp"].endswith("Z")


async def test_a_batch_without_targets_tells_nobody(pipeline: PipelineBench) -> None:
    status = await run(pipeline)
    assert status["notifications"] == []
    assert await pipeline.redis.exists(pipeline.bench().key("notices")) == 0


async def test_a_cancelled_batch_tells_of_it(pipeline: PipelineBench, hooks: Receiver) -> None:
    await pipeline.submit_rows("a", "b", notify=hooks.url)
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    (call,) = hooks.calls
    assert call.document["data"]["status"]["state"] == "cancelled"
    assert call.document["data"]["status"]["reason"] == "cancelled on request"


async def test_an_opening_that_failed_tells_of_it(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    behind = Receiver(0)
    pipeline.gateway.models["fold"] = behind.model
    await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url, "reduce": "fold"})
    await pipeline.deliver_all()
    (call,) = hooks.calls
    told = call.document["data"]
    assert (told["status"]["state"], told["status"]["started"]) == ("failed", None)
    assert told["status"]["reason"].startswith("name the column")
    assert [each.document["type"] for each in behind.calls] == ["batch.reduce"]
    assert notified(await pipeline.status()) == [("delivered", 1, 204), ("delivered", 1, 204)]
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == []


async def test_an_opening_that_its_submitter_is_told_about_tells_nobody_else(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    with pytest.raises(Exception, match="name the column"):
        await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url})
    assert await pipeline.objects() == []
    assert hooks.calls == []


async def test_a_redrive_drops_what_is_pending_and_tells_of_its_own_end(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers.append(saying(503))
    await run(pipeline, "bad", notify=hooks.url)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert [duty for duty in await pipeline.bench().due() if duty[0] == "n"] == []
    assert notified(await pipeline.status()) == [("due", 0, None)]
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    await pipeline.deliver_all()
    first, second = hooks.calls
    assert first.id != second.id
    assert [call.document["data"]["status"]["generation"] for call in hooks.calls] == [0, 1]
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert pipeline.mark not in await pipeline.objects()


async def test_a_redrive_while_a_try_is_under_way_is_not_taken_for_its_own_end(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    async def redriven(_request: object) -> Any:
        await pipeline.context.ledger.control.redrive(pipeline.batch)
        return await saying(200)(_request)  # type: ignore[arg-type]

    hooks.answers.append(redriven)
    await run(pipeline, "bad", notify=hooks.url)
    assert notified(await pipeline.status()) == [("due", 0, None)]
    await pipeline.bench().age_duty("r")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert len(hooks.calls) == 2


async def test_a_deletion_drops_what_is_pending(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(503))
    await run(pipeline, notify=hooks.url)
    assert document(await pipeline.handle("delete", {"batch": pipeline.batch}))["deleted"] is True
    for _ in range(2):
        await pipeline.sweep()
    assert len(hooks.calls) == 1
    assert await pipeline.objects() == []
    assert await pipeline.context.ledger.index.telling() == []


async def test_it_is_ended_and_not_open_while_somebody_is_still_to_be_told(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers.append(saying(503))
    await run(pipeline, notify=hooks.url)
    listed = document(await pipeline.handle("status"))
    assert ([each["batch_id"] for each in listed["open"]], [each["state"] for each in listed["ended"]]) == (
        [],
        ["done"],
    )
    assert await pipeline.sweep() == {"open": 0}
    assert b"pipeline_open_batches 0.0" in pipeline.context.metrics.exposition()
    assert pipeline.mark in await pipeline.objects()
    kept = await pipeline.context.specs.read_status(pipeline.batch)
    assert kept is not None
    assert notified(kept) == [("due", 1, 503)]
    again = await pipeline.submit("url\na\nb\n", CSV, {"notify": hooks.url})
    assert (again.status, document(again)["state"]) == (200, "done")


async def test_tries_are_counted_and_logged_by_the_origin_alone(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers += [saying(500), saying(200)]
    with Lines.taken() as lines:
        await run(pipeline, notify=hooks.url)
        await due_again(pipeline)
        await pipeline.sweep()
    said = [line for line in lines.all() if line["event"].startswith("notification")]
    assert [(line["level"], line["event"], line["status"]) for line in said] == [
        ("warning", "notification refused", 500),
        ("info", "notification delivered", 200),
    ]
    assert {(line["batch"], line["target"]) for line in said} == {(pipeline.batch, hooks.origin)}
    assert "a-secret" not in lines.text
    assert "a-secret" not in str(await pipeline.status())
    counts = pipeline.context.metrics.exposition()
    for result in (b"delivered", b"refused"):
        assert b'pipeline_notifications_total{result="%s"} 1.0' % result in counts


async def test_nobody_can_be_told_without_a_key_and_nothing_is_left(pipeline: PipelineBench, hooks: Receiver) -> None:
    pipeline.context.webhooks.keys = ()
    for options, field in (({"notify": hooks.url}, "notify"), ({"reduce": "fold"}, "reduce")):
        for dry_run in ("false", "true"):
            with pytest.raises(Exception, match=f"^{field} needs the secret webhook-key, which is not mounted"):
                await pipeline.submit("url\na\n", CSV, {**options, "dry_run": dry_run})
    assert await pipeline.objects() == []


async def test_a_key_that_is_replaced_signs_the_next_try(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    pipeline.context.webhooks.reload = lambda: (b"another webhook key",)
    await due_again(pipeline)
    await pipeline.sweep()
    hooks.calls[0].verify()
    hooks.calls[1].verify(b"another webhook key")
    with pytest.raises(WebhookVerificationError):
        hooks.calls[1].verify()
    assert hooks.calls[0].id == hooks.calls[1].id


async def test_a_try_waits_for_a_key_that_is_taken_away(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    webhooks = pipeline.context.webhooks
    keys, webhooks.keys, webhooks.reload = webhooks.keys, (), tuple
    await due_again(pipeline)
    with Lines.taken() as lines:
        await pipeline.sweep()
    assert len(hooks.calls) == 1
    assert "a notification waits for the secret webhook-key" in [line["event"] for line in lines.all()]
    webhooks.reload = lambda: keys
    await due_again(pipeline)
    await pipeline.sweep()
    hooks.calls[1].verify()
