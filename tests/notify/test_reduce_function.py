"""reduce: a function is called first, its answer is stored, and then the other targets are notified."""

from typing import Any, cast

import orjson
import pytest
from aiohttp import web

from pipeline.errors import UnavailableError
from pipeline.notify.deliver import deliver_due
from pipeline.openfaas import gateway as gateway_module
from pipeline.outputs.end_batch import TABLE_ATTEMPTS
from pipeline.spec.field_rules import FORMATS
from pipeline.store.keys import KEYS, deleted_mark, key_of, output_names, trial
from tests.rigs.function.notified_batches import notify_hooks
from tests.rigs.function.pipeline_bench import PipelineBench, document
from tests.rigs.openfaas.receivers import Answer, Receiver, due_again, notified, status_answer


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks)


@pytest.fixture
def fold(pipeline: PipelineBench) -> Receiver:
    """The reduce function."""
    made = Receiver(0)
    pipeline.gateway.models["fold"] = made.model
    return made


def answer(body: bytes, status: int = 200) -> Answer:
    async def say(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    return say


async def run(pipeline: PipelineBench, *items: str, **options: str) -> list[tuple[str, int, int | None]]:
    await pipeline.submit_rows(*(items or ("a", "b")), reduce="fold", **options)
    await pipeline.deliver_all()
    return notified(await pipeline.status())


async def reduced(pipeline: PipelineBench, generation: str = "") -> dict[str, Any]:
    key = f"{pipeline.batch}/{generation}reduced.json"
    return cast("dict[str, Any]", orjson.loads(await pipeline.context.store.get(key)))


async def test_answer_of_the_reduce_function_is_stored_before_others_are_notified(
    pipeline: PipelineBench, hooks: Receiver, fold: Receiver
) -> None:
    fold.answers.append(answer(b'{"sum": 12345678901234567890}'))
    assert await run(pipeline, notify=hooks.url) == [("delivered", 1, 200), ("delivered", 1, 204)]
    (first,), (second,) = fold.calls, hooks.calls
    first.verify()
    assert (first.document["type"], second.document["type"]) == ("batch.reduce", "batch.ended")
    address = f"s3://{pipeline.context.store.bucket}/{pipeline.batch}"
    outputs = {"summary": f"{address}.json"} | {name: f"{address}/{name}" for name in output_names(FORMATS)}
    assert first.document["data"]["outputs"] == outputs
    assert second.document["data"]["outputs"] == outputs | {"reduced.json": f"{address}/reduced.json"}
    linked = document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"]
    assert {link["name"] for link in linked} == second.document["data"]["outputs"].keys() - {"summary"}
    notifications = second.document["data"]["status"]["notifications"]
    assert [(target["kind"], target["target"], target["state"]) for target in notifications] == [
        ("reduce", "fold", "delivered"),
        ("notify", hooks.origin, "due"),
    ]
    for generation in ("", "0/"):
        assert await reduced(pipeline, generation) == {
            "function": "fold",
            "status_code": 200,
            "result": {"sum": 12345678901234567890},
        }


ANSWERS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "nothing": (b"", {"result": ""}),
    "text": (b"twelve", {"result": "twelve"}),
    "an array": (b"[1,\n 2]", {"result": [1, 2]}),
    "bytes": (b"\xff\x00", {"result": "/wA=", "encoding": "base64"}),
    "nested without end": (b"[" * 100_000 + b"]" * 100_000, {"result": "[" * 100_000 + "]" * 100_000}),
}


@pytest.mark.parametrize(("body", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_any_answer_becomes_one_json_document(
    pipeline: PipelineBench, fold: Receiver, body: bytes, expected: dict[str, Any]
) -> None:
    fold.answers.append(answer(body))
    await run(pipeline)
    assert await reduced(pipeline) == {"function": "fold", "status_code": 200, **expected}


async def test_notify_targets_wait_for_the_answer_of_the_reduce_function(
    pipeline: PipelineBench, hooks: Receiver, fold: Receiver
) -> None:
    fold.answers += [status_answer(500), status_answer(404)]
    assert await run(pipeline, notify=hooks.url) == [("due", 1, 500), ("due", 0, None)]
    await due_again(pipeline)
    await pipeline.sweep()
    assert hooks.calls == []
    await due_again(pipeline)
    await pipeline.sweep()
    assert notified(await pipeline.status()) == [("delivered", 3, 204), ("delivered", 1, 204)]


async def test_notify_targets_learn_that_the_reduce_function_was_given_up(
    pipeline: PipelineBench, hooks: Receiver, fold: Receiver
) -> None:
    fold.answers.append(status_answer(410))
    assert await run(pipeline, notify=hooks.url) == [("given up", 1, 410), ("delivered", 1, 204)]
    (call,) = hooks.calls
    assert notified(call.document["data"]["status"])[0] == ("given up", 1, 410)
    assert "reduced.json" not in call.document["data"]["outputs"]


async def test_answer_over_the_size_limit_is_given_up(
    pipeline: PipelineBench, fold: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "RESULT_LIMIT", 1000)
    fold.answers.append(answer(b"x" * 1001))
    assert await run(pipeline) == [("given up", 1, 413)]


async def test_reduce_function_is_called_again_if_its_answer_cannot_be_stored(
    pipeline: PipelineBench, fold: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = pipeline.context.store.put

    async def away(key: str, *arguments: Any, **options: Any) -> Any:
        if key.endswith("reduced.json"):
            raise UnavailableError("S3 is away")
        return await put(key, *arguments, **options)

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.store, "put", away)
        assert await run(pipeline) == [("due", 1, None)]
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(fold.calls) == 2
    assert (await reduced(pipeline))["status_code"] == 204


async def test_redrive_reduces_again_and_lists_no_older_output(pipeline: PipelineBench, fold: Receiver) -> None:
    fold.answers += [answer(b"1"), answer(b"2")]
    await run(pipeline, "bad", sql="SELECT count(*) AS n FROM results", inline_limit="0")
    kinds = {*map(key_of, await pipeline.objects())}
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    kinds |= {*map(key_of, await pipeline.objects())}
    await pipeline.deliver_all()
    for prefix in (f"ended/{pipeline.name}/", f"owners/{pipeline.batch}", pipeline.batch):
        kinds |= {*map(key_of, await pipeline.context.store.list(prefix))}
    # The mode doctor writes and deletes an object of the one kind, a deletion writes the other.
    assert {*KEYS} - kinds == {trial, deleted_mark}
    assert kinds <= {*KEYS}
    assert [(await reduced(pipeline, generation))["result"] for generation in ("", "0/", "1/")] == [2, 1, 2]
    assert "reduced.json" not in fold.calls[1].document["data"]["outputs"]


async def test_output_of_an_earlier_end_is_removed_by_a_later_one(pipeline: PipelineBench, fold: Receiver) -> None:
    fold.answers += [answer(b"1"), status_answer(500)]
    await run(pipeline, "bad")
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert f"{pipeline.batch}/reduced.json" not in await pipeline.objects()
    assert (await reduced(pipeline, "0/"))["result"] == 1


async def test_reduce_overtaken_by_a_redrive_replaces_nothing_newer(pipeline: PipelineBench, fold: Receiver) -> None:
    async def overtaken(_request: web.Request) -> web.Response:
        await pipeline.context.ledger.control.redrive(pipeline.batch)
        await pipeline.bench().age_duty("r")
        await pipeline.context.store.put(f"{pipeline.batch}/1/reduced.json", b"{}")
        message = pipeline.signed("reduce", await pipeline.bench().current(0))
        await pipeline.handle_without_background("reduce", message)
        return web.Response(body=b"1")

    fold.answers += [overtaken, answer(b"2")]
    await run(pipeline, "bad")
    await pipeline.deliver_all()
    await deliver_due(pipeline.context, pipeline.batch)
    assert (await reduced(pipeline))["result"] == 2


async def test_reduce_overtaken_by_a_deletion_leaves_nothing(pipeline: PipelineBench, fold: Receiver) -> None:
    async def overtaken(_request: web.Request) -> web.Response:
        await pipeline.handle_without_background("delete", {"batch": pipeline.batch})
        return web.Response(body=b"1")

    fold.answers.append(overtaken)
    await pipeline.submit_rows("a", reduce="fold")
    await pipeline.deliver_all()
    assert await pipeline.objects() == []


async def test_deletion_removes_the_stored_answer(pipeline: PipelineBench, fold: Receiver) -> None:
    await run(pipeline)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert len(fold.calls) == 1
    assert await pipeline.objects() == []


async def test_redrive_cancelled_at_once_lists_no_older_output(pipeline: PipelineBench, fold: Receiver) -> None:
    """The redrive ends under the same generation."""
    fold.answers += [answer(b"1"), status_answer(500)]
    await run(pipeline, "bad")
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert "reduced.json" not in fold.calls[1].document["data"]["outputs"]
    assert f"{pipeline.batch}/reduced.json" not in await pipeline.objects()


async def test_outputs_of_an_interrupted_reduce_are_not_listed(
    pipeline: PipelineBench, fold: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a", "b", reduce="fold")
    while pipeline.queue[0].mode != "reduce":
        await pipeline.deliver(pipeline.queue.pop(0))
    reduce = dict(pipeline.queue[0].query)

    async def cut_off(*_: object) -> None:
        raise UnavailableError("S3 is away")

    monkeypatch.setattr(pipeline.context.store, "copy", cut_off)
    with pytest.raises(UnavailableError):
        await pipeline.handle("reduce", reduce)
    monkeypatch.undo()
    for number in range(TABLE_ATTEMPTS + 1):
        await pipeline.bench().age(lease_until=-1)
        await pipeline.context.ledger.lease_reduce(pipeline.batch, f"dead {number}", 0)
    await pipeline.bench().age(lease_until=-1)
    await pipeline.deliver_all()
    assert (await pipeline.status())["links"]["outputs"] is None
    assert fold.calls[0].document["data"]["outputs"].keys() == {"summary"}
