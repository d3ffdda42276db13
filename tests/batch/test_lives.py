"""An id may live again after Redis has forgotten it; what is remembered, kept or refused is then that life's."""

import pytest

from pipeline.errors import BadRequestError, ConflictError, UnavailableError
from pipeline.ledger.replies import Phase, Repairs
from pipeline.store.batch_records import Marker
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


async def test_an_id_that_lives_again_runs_its_new_rows(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text.upper())))
    for rows in (("old a", "old b"), ("new a", "new b")):
        await pipeline.submit_rows(*rows)
        await pipeline.deliver_all()
        entries = (await pipeline.summary())["results"]["results"]
        assert [(entry["url"], entry["result"]) for entry in entries] == [(row, row.upper()) for row in rows]
        await pipeline.redis.delete(pipeline.bench().key())
        for key in [*await pipeline.objects(), f"{pipeline.batch}.json"]:
            await pipeline.context.store.delete(key)


async def test_a_batch_that_redis_forgot_is_not_replaced_by_another_specification(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await pipeline.redis.delete(pipeline.bench().key())
    with pytest.raises(ConflictError, match="had another specification or another input: choose another id"):
        await pipeline.submit("url\na\nb\n", CSV, {"chunk": "2"})
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202


@pytest.mark.parametrize(
    "key", ["{batch}/spec.json", "{batch}/status.json", "{batch}/input/0.json", "open/x/{batch}", "ended/x/{batch}"]
)
async def test_what_the_pipeline_keeps_is_no_input(pipeline: PipelineBench, key: str) -> None:
    await pipeline.submit_rows("a")
    with pytest.raises(BadRequestError, match="is the pipeline's own: expected the key of an input of yours"):
        await pipeline.handle("batch", body=key.format(batch=pipeline.batch).encode())


@pytest.mark.parametrize("function", ["{name}", "{name}.openfaas-fn"])
async def test_the_pipeline_cannot_call_itself(pipeline: PipelineBench, function: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit("url\na\n", CSV, {"function": function.format(name=pipeline.name)})
    assert caught.value.problems == ("function: the pipeline cannot call itself",)


async def test_a_batch_that_is_open_is_said_to_be_even_if_its_first_releases_are_put_off(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError("Redis is away")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.ledger, "confirm", away)
        response = await pipeline.submit("url\na\nb\n", CSV)
    assert (response.status, document(response)["tasks"]) == (201, 2)


async def test_a_batch_that_cannot_be_swept_does_not_keep_others_from_it(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.context.ledger.index.note("broken")
    swept: list[str] = []

    async def repair(batch: str, *_: object) -> Repairs:
        swept.append(batch)
        if batch == "broken":
            raise ZeroDivisionError
        return Repairs("running")

    monkeypatch.setattr(pipeline.context.ledger, "repair", repair)
    assert await pipeline.sweep() == {"open": 2}
    assert sorted(swept) == sorted(["broken", pipeline.batch])
    await pipeline.context.ledger.index.forget("broken")


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_submission_is_not_told_of_a_batch_that_its_dead_predecessor_may_never_have_written(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, *, forgotten: bool
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr("pipeline.batch.submit.JOIN_PATIENCE", 0)

        async def dies(*_: object) -> None:
            raise KeyboardInterrupt

        async def cannot(*_: object, **__: object) -> None:
            """What is dead gives nothing up."""

        fault.setattr(pipeline.context.specs, "write", dies)
        fault.setattr("pipeline.batch.submit.discard", cannot)
        with pytest.raises(KeyboardInterrupt):
            await pipeline.submit("url\na\nb\n", CSV)
        with pytest.raises(UnavailableError, match="is being opened by another request: try again in a moment"):
            await pipeline.submit("url\na\nb\n", CSV)
    assert f"{pipeline.batch}/input.csv" in await pipeline.objects()
    if forgotten:
        await pipeline.redis.flushall()
        await pipeline.context.ledger.index.note(pipeline.batch)
    else:
        await pipeline.bench().age(lease_until=-1)
        await pipeline.bench().age_duty("o")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert await pipeline.objects() == []
    assert (await pipeline.submit("url\na\n", CSV)).status == 201
    pipeline.queue.clear()


async def test_a_sweep_that_is_late_does_not_erase_what_a_new_submission_writes(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pipeline.context.specs.read_marker
    with monkeypatch.context() as fault:

        async def overtaken(batch: str) -> Marker | None:
            """The submission claims and marks the id after the sweep has found no ledger of it."""
            fault.undo()
            bench = pipeline.bench()
            assert await bench.claim() == "claimed"
            await pipeline.context.store.put(f"{batch}/input.csv", b"url\na\n")
            await pipeline.context.specs.mark_open(batch, Marker())
            return await read(batch)

        fault.setattr(pipeline.context.specs, "read_marker", overtaken)
        await pipeline.context.ledger.index.note(pipeline.batch)
        await pipeline.sweep()
    assert set(await pipeline.objects()) == {f"{pipeline.batch}/input.csv", pipeline.mark}


async def test_a_forgotten_batch_without_its_mark_is_marked_again(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", "b")
    pipeline.queue.clear()
    await pipeline.redis.flushall()
    await pipeline.context.store.delete(pipeline.mark)
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 2


async def test_an_ended_batch_that_redis_loses_while_it_is_closed_keeps_its_objects(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    forget = pipeline.context.ledger.index.forget

    async def lost(batch: str) -> None:
        await forget(batch)
        await pipeline.redis.flushall()

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.ledger.index, "forget", lost)
        await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"
    assert (await pipeline.summary())["results"]["count"] == 1


async def test_a_submission_that_meets_a_deletion_while_it_waits_is_to_try_again(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.batch.submit.JOIN_PATIENCE", 0)
    await pipeline.submit_rows("a")
    pipeline.queue.clear()
    phase = pipeline.context.ledger.phase
    for state in ("deleting", ""):

        async def then(batch: str, state: str = state) -> Phase | None:
            await pipeline.bench().write(state=state)
            return await phase(batch)

        await pipeline.bench().write(state="running")
        monkeypatch.setattr(pipeline.context.ledger, "phase", then)
        with pytest.raises(UnavailableError, match="try again in a moment"):
            await pipeline.submit("url\na\n", CSV)


async def test_an_opening_that_is_given_up_takes_its_specification_back_first(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_batch: str) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.specs, "erase", away)
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.submit("url\na\nb,c\n", CSV)
    objects = await pipeline.objects()
    assert f"{pipeline.batch}/input.csv" in objects
    assert f"{pipeline.batch}/spec.json" not in objects
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("o")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert await pipeline.objects() == []
