"""A batch id may be used again after Redis has forgotten it, but not while its objects are in S3."""

import pytest

from pipeline.errors import BadRequestError, ConflictError, UnavailableError
from pipeline.ledger.replies import Phase, Repairs
from pipeline.store.batch_records import OpenMark
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


async def test_reused_id_runs_its_new_rows(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text.upper())))
    for rows in (("old a", "old b"), ("new a", "new b")):
        await pipeline.submit_rows(*rows)
        await pipeline.deliver_all()
        entries = (await pipeline.summary())["results"]["results"]
        assert [(entry["url"], entry["result"]) for entry in entries] == [(row, row.upper()) for row in rows]
        await pipeline.redis.delete(pipeline.bench().key())
        for key in [*await pipeline.objects(), f"{pipeline.batch}.json"]:
            await pipeline.context.store.delete(key)


async def test_forgotten_batch_is_not_replaced_by_another_specification(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await pipeline.redis.delete(pipeline.bench().key())
    with pytest.raises(ConflictError, match="had another specification or another input: choose another id"):
        await pipeline.submit("url\na\nb\n", CSV, {"chunk": "2"})
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202


@pytest.mark.parametrize(
    "key", ["{batch}/spec.json", "{batch}/status.json", "{batch}/input/0.json", "open/x/{batch}", "ended/x/{batch}"]
)
async def test_own_objects_of_the_pipeline_are_no_input(pipeline: PipelineBench, key: str) -> None:
    await pipeline.submit_rows("a")
    with pytest.raises(BadRequestError, match="is the pipeline's own: expected the key of an input of yours"):
        await pipeline.handle("batch", body=key.format(batch=pipeline.batch).encode())


@pytest.mark.parametrize("function", ["{name}", "{name}.openfaas-fn"])
async def test_pipeline_cannot_call_itself(pipeline: PipelineBench, function: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit("url\na\n", CSV, {"function": function.format(name=pipeline.name)})
    assert caught.value.problems == ("function: the pipeline cannot call itself",)


async def test_batch_whose_first_window_is_not_confirmed_is_open(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError("Redis is away")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.ledger, "confirm_window", away)
        response = await pipeline.submit("url\na\nb\n", CSV)
    assert (response.status, document(response)["tasks"]) == (201, 2)


async def test_sweep_goes_on_after_a_batch_it_cannot_repair(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.context.ledger.index.add_open("broken")
    swept: list[str] = []

    async def repair(batch: str, *_: object) -> Repairs:
        swept.append(batch)
        if batch == "broken":
            raise ZeroDivisionError
        return Repairs("running")

    monkeypatch.setattr(pipeline.context.ledger, "repair", repair)
    assert await pipeline.sweep() == {"open": 2}
    assert sorted(swept) == sorted(["broken", pipeline.batch])
    await pipeline.context.ledger.index.remove("broken")


@pytest.mark.parametrize("forgotten", [False, True])
async def test_submission_does_not_join_a_dead_opening(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, *, forgotten: bool
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr("pipeline.batch.submit.JOIN_PATIENCE", 0)

        async def dies(*_: object) -> None:
            raise KeyboardInterrupt

        async def discard_nothing(*_: object, **__: object) -> None:
            """A dead opening discards nothing."""

        fault.setattr(pipeline.context.records, "write", dies)
        fault.setattr("pipeline.batch.submit.discard", discard_nothing)
        with pytest.raises(KeyboardInterrupt):
            await pipeline.submit("url\na\nb\n", CSV)
        with pytest.raises(UnavailableError, match="is being opened by another request: try again in a moment"):
            await pipeline.submit("url\na\nb\n", CSV)
    assert f"{pipeline.batch}/input.csv" in await pipeline.objects()
    if forgotten:
        await pipeline.redis.flushall()
        await pipeline.context.ledger.index.add_open(pipeline.batch)
    else:
        await pipeline.bench().age(lease_until=-1)
        await pipeline.bench().age_duty("o")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert await pipeline.objects() == []
    assert (await pipeline.submit("url\na\n", CSV)).status == 201
    pipeline.queue.clear()


async def test_late_sweep_does_not_erase_a_new_submission(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pipeline.context.records.read_marker
    with monkeypatch.context() as fault:

        async def overtaken(batch: str) -> OpenMark | None:
            """The submission claims and marks the id after the sweep has found no ledger of it."""
            fault.undo()
            bench = pipeline.bench()
            assert await bench.claim() == "claimed"
            await pipeline.context.store.put(f"{batch}/input.csv", b"url\na\n")
            await pipeline.context.records.mark_open(batch, OpenMark())
            return await read(batch)

        fault.setattr(pipeline.context.records, "read_marker", overtaken)
        await pipeline.context.ledger.index.add_open(pipeline.batch)
        await pipeline.sweep()
    assert set(await pipeline.objects()) == {f"{pipeline.batch}/input.csv", pipeline.mark}


async def test_forgotten_batch_without_its_mark_is_marked_again(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", "b")
    pipeline.queue.clear()
    await pipeline.redis.flushall()
    await pipeline.context.store.delete(pipeline.mark)
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 2


async def test_ended_batch_lost_while_closing_keeps_its_objects(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    forget = pipeline.context.ledger.index.remove

    async def lost(batch: str) -> None:
        await forget(batch)
        await pipeline.redis.flushall()

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.ledger.index, "remove", lost)
        await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"
    assert (await pipeline.summary())["results"]["count"] == 1


async def test_submission_that_meets_a_deletion_asks_to_try_again(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.batch.submit.JOIN_PATIENCE", 0)
    await pipeline.submit_rows("a")
    pipeline.queue.clear()
    phase = pipeline.context.ledger.phase
    for state in ("deleting", ""):

        async def changed_state(batch: str, state: str = state) -> Phase | None:
            await pipeline.bench().write(state=state)
            return await phase(batch)

        await pipeline.bench().write(state="running")
        monkeypatch.setattr(pipeline.context.ledger, "phase", changed_state)
        with pytest.raises(UnavailableError, match="try again in a moment"):
            await pipeline.submit("url\na\n", CSV)


async def test_abandoned_opening_takes_its_specification_back_first(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.records, "erase", away)
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
