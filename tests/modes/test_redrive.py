"""redrive: failed items run again on request as the next generation; all other outcomes stay."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.errors import ConflictError, NotFoundError
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


@dataclass
class Model:
    """A model function: its answers by item (by default the item itself), and the items that it was called with."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def reply(self, text: str) -> tuple[int, Any]:
        self.calls.append(text)
        return self.answers.get(text, (200, text))

    def heal(self) -> None:
        """Answer every item in upper case from now on."""
        self.answers = {letter: (200, letter.upper()) for letter in "abcde"}
        self.calls.clear()


@pytest.fixture
def model(pipeline: PipelineBench) -> Model:
    made = Model()
    pipeline.serve(answering(made.reply))
    return made


async def run_with_failures(pipeline: PipelineBench, model: Model, **options: str) -> None:
    """Run five rows; the second and the fourth fail for good."""
    model.answers = {"b": (422, "no b"), "d": (422, "no d")}
    await pipeline.submit_rows(*"abcde", **options)
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"]) == ("done", 3, 2)


async def redrive(pipeline: PipelineBench, *, status: int = 202) -> dict[str, Any]:
    response = await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert response.status == status, response.body
    return document(response)


def entries(summary: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    return tuple([(e["url"], e["result"]) for e in summary[name]["results"]] for name in ("results", "failures"))  # type: ignore[return-value]


async def test_only_failed_items_run_again_and_replace_their_failures(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model, chunk="2")
    before = await pipeline.summary()
    model.heal()
    await redrive(pipeline)
    await pipeline.deliver_all()
    assert sorted(model.calls) == ["b", "d"]
    summary = await pipeline.summary()
    assert entries(summary) == ([("a", "a"), ("b", "B"), ("c", "c"), ("d", "D"), ("e", "e")], [])
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"], status["generation"]) == ("done", 5, 0, 1)
    assert (summary["batchStarted"], summary["results"]["count"]) == (before["batchStarted"], 5)


async def test_older_summaries_stay_under_their_generation(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model)
    first = await pipeline.context.store.get(f"{pipeline.batch}.json")
    model.heal()
    await redrive(pipeline)
    await pipeline.deliver_all()
    store = pipeline.context.store
    assert await store.get(f"{pipeline.batch}/0/summary.json") == first
    assert await store.get(f"{pipeline.batch}/1/summary.json") == await store.get(f"{pipeline.batch}.json") != first


async def test_concurrent_redrives_run_once(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model)
    model.heal()
    assert await redrive(pipeline) == await redrive(pipeline)
    await pipeline.deliver(pipeline.queue.pop(0))
    assert await redrive(pipeline) == await redrive(pipeline)
    await pipeline.deliver_all()
    assert sorted(model.calls) == ["b", "d"]
    assert (await pipeline.status())["generation"] == 1


async def test_new_failures_are_retried_as_often_as_before(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model, attempts="2")
    model.answers["b"] = (503, "not now")
    for _ in range(2):
        generation = (await pipeline.status())["generation"]
        await redrive(pipeline)
        await pipeline.deliver_all()
        while (await pipeline.status())["state"] != "done":
            await pipeline.bench().age(not_before=-1)
            await pipeline.sweep()
            await pipeline.deliver_all()
        status = await pipeline.status()
        assert (status["generation"], status["failed"], status["succeeded"]) == (generation + 2, 2, 3)
    assert entries(await pipeline.summary())[1] == [("b", "not now"), ("d", "no d")]


async def test_cancelled_batch_runs_its_remaining_items_in_their_chunks(pipeline: PipelineBench, model: Model) -> None:
    del model
    await pipeline.submit_rows(*"abcdefgh", window="1", chunk="2")
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["succeeded"] + status["failed"]) == ("cancelled", 0)
    await redrive(pipeline)
    (message,) = pipeline.queue
    assert message.mode == "reduce"
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["reason"], status["tasks"], status["succeeded"]) == ("done", None, 4, 8)
    assert [url for url, _ in entries(await pipeline.summary())[0]] == list("abcdefgh")


async def test_batch_past_its_deadline_gets_a_new_deadline(pipeline: PipelineBench, model: Model) -> None:
    del model
    await pipeline.submit_rows(*"abc", window="1")
    await pipeline.bench().age(deadline_at=-1)
    await pipeline.sweep()
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("failed", "the deadline passed before every item had run")
    await redrive(pipeline)
    await pipeline.deliver_all()
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_cancelled_redrive_keeps_earlier_results(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model)
    await redrive(pipeline)
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"]) == ("cancelled", 3, 2)
    assert entries(await pipeline.summary())[1] == [("b", "no b"), ("d", "no d")]


async def test_redrive_works_from_s3_after_the_ledger_expired(pipeline: PipelineBench, model: Model) -> None:
    await run_with_failures(pipeline, model, chunk="2")
    await pipeline.redis.flushall()
    pipeline.forget()
    model.heal()
    assert await redrive(pipeline) == await redrive(pipeline)
    await pipeline.deliver_all()
    while (await pipeline.status())["state"] != "done":
        await pipeline.bench().age_duty("r")
        await pipeline.sweep()
        await pipeline.deliver_all()
    assert sorted(model.calls) == ["b", "d"]
    status = await pipeline.status()
    assert (status["generation"], status["succeeded"], status["failed"]) == (1, 5, 0)
    assert pipeline.mark not in await pipeline.objects()


async def test_redrive_without_failures_does_nothing(pipeline: PipelineBench, model: Model) -> None:
    del model
    await pipeline.submit_rows(*"ab")
    await pipeline.deliver_all()
    before = await pipeline.status()
    answer = await redrive(pipeline, status=200)
    assert (answer["redriven"], answer["state"]) == (0, "done")
    assert pipeline.queue == []
    assert await pipeline.status() == before


async def test_redrive_of_an_open_or_unknown_batch_is_refused(pipeline: PipelineBench, model: Model) -> None:
    del model
    with pytest.raises(NotFoundError, match="there is no batch"):
        await redrive(pipeline)
    await pipeline.submit_rows(*"ab")
    with pytest.raises(ConflictError, match="cannot be redriven: it is running"):
        await redrive(pipeline)
    pipeline.queue.clear()


async def test_redrive_of_a_batch_that_never_opened_is_refused_with_the_reason(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    assert (await pipeline.submit(b"url\n\xff\n", CSV)).status == 202
    await pipeline.deliver_all()
    with pytest.raises(ConflictError, match="was never opened: line 2 of the input is not UTF-8"):
        await redrive(pipeline)
    await pipeline.redis.flushall()
    with pytest.raises(ConflictError, match="was never opened: line 2 of the input is not UTF-8"):
        await redrive(pipeline)


async def test_redrive_that_dies_after_its_script_is_continued_by_the_sweep(
    pipeline: PipelineBench, model: Model
) -> None:
    await run_with_failures(pipeline, model)
    model.heal()
    await pipeline.context.ledger.index.add_open(pipeline.batch)
    assert (await pipeline.context.ledger.control.redrive(pipeline.batch)).verdict == "redriven"
    await pipeline.bench().age_duty("r")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 5


async def test_csv_body_is_redriven_from_the_snapshot(pipeline: PipelineBench, model: Model) -> None:
    model.answers["b"] = (422, "no b")
    await pipeline.submit('url,other\n"b",1\n"two\nlines",2\n', CSV)
    await pipeline.deliver_all()
    model.heal()
    await redrive(pipeline)
    await pipeline.deliver_all()
    assert entries(await pipeline.summary()) == ([("b", "B"), ("two\nlines", "two\nlines")], [])
