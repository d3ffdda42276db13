"""notify: each target gets one signed notification of the end of a batch, with its status."""

from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from pipeline.units import iso
from tests.rigs.function.notified_batches import notify_hooks, run
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document
from tests.rigs.log_lines import LogLines
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, status_answer


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks)


async def test_url_and_function_are_each_notified_once(pipeline: PipelineBench, hooks: Receiver) -> None:
    function = Receiver(0)
    pipeline.gateway.models[f"{pipeline.name}-next"] = function.model
    status = await run(pipeline, "a", "bad", notify=f"{hooks.url}?x=1,{pipeline.name}-next")
    assert [call.path for call in hooks.calls + function.calls] == [
        "/hooks/a-secret?x=1",
        f"/function/{pipeline.name}-next",
    ]
    for call in hooks.calls + function.calls:
        call.verify()
        assert (call.headers["X-Call-Id"], call.headers["Content-Type"]) == (call.id, "application/json")
        assert call.document["type"] == "batch.ended"
        assert call.document["data"]["status"] | {"notifications": []} == status | {"notifications": []}
        assert (
            call.document["data"]["outputs"]["summary"] == f"s3://{pipeline.context.store.bucket}/{pipeline.batch}.json"
        )
    assert len({call.id for call in hooks.calls + function.calls}) == 2
    assert notified(status) == [("delivered", 1, 204), ("delivered", 1, 204)]
    assert [target["target"] for target in status["notifications"]] == [hooks.origin, f"{pipeline.name}-next"]
    assert await pipeline.bench().due() == {}
    for _ in range(2):
        await pipeline.sweep()
    assert len(hooks.calls + function.calls) == 2
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.context.ledger.index.notifying() == []


async def test_timestamp_is_the_end_of_the_batch(pipeline: PipelineBench, hooks: Receiver) -> None:
    status = await run(pipeline, notify=hooks.url)
    (call,) = hooks.calls
    assert call.document["timestamp"] == iso(status["ended"])
    assert call.document["timestamp"].endswith("Z")


async def test_batch_without_targets_notifies_nobody(pipeline: PipelineBench) -> None:
    status = await run(pipeline)
    assert status["notifications"] == []
    assert await pipeline.redis.exists(pipeline.bench().key("notices")) == 0


async def test_cancelled_batch_is_notified(pipeline: PipelineBench, hooks: Receiver) -> None:
    await pipeline.submit_rows("a", "b", notify=hooks.url)
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    (call,) = hooks.calls
    assert call.document["data"]["status"]["state"] == "cancelled"
    assert call.document["data"]["status"]["reason"] == "cancelled on request"


async def test_failed_queued_opening_is_notified(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    function = Receiver(0)
    pipeline.gateway.models["fold"] = function.model
    await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url, "reduce": "fold"})
    await pipeline.deliver_all()
    (call,) = hooks.calls
    data = call.document["data"]
    assert (data["status"]["state"], data["status"]["started"]) == ("failed", None)
    assert data["status"]["reason"].startswith("name the column")
    assert [call.document["type"] for call in function.calls] == ["batch.reduce"]
    assert notified(await pipeline.status()) == [("delivered", 1, 204), ("delivered", 1, 204)]
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == []


async def test_opening_refused_to_its_submitter_notifies_nobody(pipeline: PipelineBench, hooks: Receiver) -> None:
    with pytest.raises(Exception, match="name the column"):
        await pipeline.submit("id,link\n1,a\n", CSV, {"notify": hooks.url})
    assert await pipeline.objects() == []
    assert hooks.calls == []


async def test_redrive_drops_pending_notices_and_notifies_its_own_end(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(503))
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


async def test_redrive_during_a_try_is_not_notified_by_that_try(pipeline: PipelineBench, hooks: Receiver) -> None:
    async def redrive_first(_request: object) -> Any:
        await pipeline.context.ledger.control.redrive(pipeline.batch)
        return await status_answer(200)(_request)  # type: ignore[arg-type]

    hooks.answers.append(redrive_first)
    await run(pipeline, "bad", notify=hooks.url)
    assert notified(await pipeline.status()) == [("due", 0, None)]
    await pipeline.bench().age_duty("r")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert len(hooks.calls) == 2


async def test_deletion_drops_pending_notices(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(503))
    await run(pipeline, notify=hooks.url)
    assert document(await pipeline.handle("delete", {"batch": pipeline.batch}))["deleted"] is True
    for _ in range(2):
        await pipeline.sweep()
    assert len(hooks.calls) == 1
    assert await pipeline.objects() == []
    assert await pipeline.context.ledger.index.notifying() == []


async def test_batch_with_pending_notices_is_ended_and_not_open(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(503))
    await run(pipeline, notify=hooks.url)
    listed = document(await pipeline.handle("status"))
    assert ([batch["batch_id"] for batch in listed["open"]], [batch["state"] for batch in listed["ended"]]) == (
        [],
        ["done"],
    )
    assert await pipeline.sweep() == {"open": 0}
    assert b"pipeline_open_batches 0.0" in pipeline.context.metrics.exposition()
    assert pipeline.mark in await pipeline.objects()
    stored = await pipeline.context.records.read_status(pipeline.batch)
    assert stored is not None
    assert notified(stored) == [("due", 1, 503)]
    again = await pipeline.submit("url\na\nb\n", CSV, {"notify": hooks.url})
    assert (again.status, document(again)["state"]) == (200, "done")


async def test_tries_are_counted_and_logged_with_the_origin_only(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers += [status_answer(500), status_answer(200)]
    with LogLines.captured() as lines:
        await run(pipeline, notify=hooks.url)
        await due_again(pipeline)
        await pipeline.sweep()
    entries = [line for line in lines.all() if line["event"].startswith("notification")]
    assert [(line["level"], line["event"], line["status"]) for line in entries] == [
        ("warning", "notification refused", 500),
        ("info", "notification delivered", 200),
    ]
    assert {(line["batch"], line["target"]) for line in entries} == {(pipeline.batch, hooks.origin)}
    assert "a-secret" not in lines.text
    assert "a-secret" not in str(await pipeline.status())
    counts = pipeline.context.metrics.exposition()
    for result in (b"delivered", b"refused"):
        assert b'pipeline_notifications_total{result="%s"} 1.0' % result in counts


async def test_targets_without_a_webhook_key_are_refused_and_leave_nothing(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    pipeline.context.webhook_signer.keys = ()
    for options, field in (({"notify": hooks.url}, "notify"), ({"reduce": "fold"}, "reduce")):
        for dry_run in ("false", "true"):
            with pytest.raises(Exception, match=f"^{field} needs the secret webhook-key, which is not mounted"):
                await pipeline.submit("url\na\n", CSV, {**options, "dry_run": dry_run})
    assert await pipeline.objects() == []


async def test_replaced_key_signs_the_next_try(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    pipeline.context.webhook_signer.reload = lambda: (b"another webhook key",)
    await due_again(pipeline)
    await pipeline.sweep()
    hooks.calls[0].verify()
    hooks.calls[1].verify(b"another webhook key")
    with pytest.raises(WebhookVerificationError):
        hooks.calls[1].verify()
    assert hooks.calls[0].id == hooks.calls[1].id


async def test_try_waits_for_a_missing_key(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers += [status_answer(500)] * 2
    await run(pipeline, notify=f"{hooks.url},{hooks.url}2")
    webhooks = pipeline.context.webhook_signer
    keys, webhooks.keys, webhooks.reload = webhooks.keys, (), tuple
    await due_again(pipeline)
    with LogLines.captured() as lines:
        for _ in range(3):
            await pipeline.sweep()
    assert len(hooks.calls) == 2
    assert [line["event"] for line in lines.all()].count("notifications wait for the secret webhook-key") == 1
    webhooks.reload = lambda: keys
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(hooks.calls) == 4
    hooks.calls[3].verify()


async def test_each_end_has_an_id_of_its_own(pipeline: PipelineBench, hooks: Receiver) -> None:
    await run(pipeline, "a", "bad", notify=hooks.url)
    for _ in range(2):
        for mode in ("redrive", "cancel"):
            assert (await pipeline.handle(mode, {"batch": pipeline.batch})).status == 202
        await pipeline.deliver_all()
    states = [call.document["data"]["status"]["state"] for call in hooks.calls]
    assert states == ["done", "cancelled", "cancelled"]
    assert len({call.id for call in hooks.calls}) == 3
