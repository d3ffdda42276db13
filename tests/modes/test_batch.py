"""batch: a submission opens one batch, or is refused with its problems and leaves nothing behind."""

import asyncio
from typing import Any

import orjson
import pytest

from pipeline.errors import BadRequestError, ConflictError, TooLargeError, UnavailableError
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document

URLS = b"id,url\n1,a\n2,b\n3,c\n"
Pipeline = PipelineBench


async def put_input(pipeline: Pipeline, body: bytes = URLS) -> str:
    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, body)
    return key


def as_key(key: str, _name: str) -> tuple[str, dict[str, str], dict[str, str]]:
    return key, {}, {"window": "2", "chunk": "1"}


def as_spec(key: str, name: str) -> tuple[str, dict[str, str], dict[str, str]]:
    return orjson.dumps({"input": key, "function": f"{name}-model", "window": 2}).decode(), {}, {}


def as_csv(_key: str, _name: str) -> tuple[str, dict[str, str], dict[str, str]]:
    return URLS.decode(), {"Content-Type": "text/csv; charset=utf-8"}, {"window": "2", "column": "url"}


@pytest.mark.parametrize("submission", [as_key, as_spec, as_csv])
async def test_submission_opens_a_batch_and_releases_its_first_window(pipeline: Pipeline, submission: Any) -> None:
    body, headers, query = submission(await put_input(pipeline), pipeline.name)
    response = await pipeline.submit(body, headers, query)
    assert (response.status, document(response)) == (
        *(201,),
        {
            "batch_id": pipeline.batch,
            "batch_size": 3,
            "tasks": 3,
            "status_url": f"{pipeline.gateway.url}/function/{pipeline.name}/status?batch={pipeline.batch}",
        },
    )
    assert [(message.mode, message.task, message.body) for message in pipeline.queue] == [
        *[("task", 0, b""), ("task", 1, b"")],
    ]
    assert await pipeline.bench().due() == {}
    assert pipeline.mark in await pipeline.objects()
    assert [entry["batch_id"] for entry in document(await pipeline.handle("status"))["open"]] == [pipeline.batch]


async def test_numbers_in_the_query_are_parsed(pipeline: Pipeline) -> None:
    query = {"chunk": "2", "timeout": "1.5", "attempts": "2", "chunk_call": "true", "deadline": "60"}
    response = await pipeline.submit(await put_input(pipeline), query=query)
    assert document(response)["tasks"] == 2
    spec = (await pipeline.context.records.read(pipeline.batch)).spec
    assert (spec.chunk, spec.timeout, spec.attempts, spec.chunk_call, spec.deadline) == (2, 1.5, 2, True, 60)


async def test_second_submission_describes_the_batch_and_releases_nothing(pipeline: Pipeline) -> None:
    key = await put_input(pipeline)
    first = document(await pipeline.submit(key))
    pipeline.queue.clear()
    again = await pipeline.submit(key)
    assert (again.status, document(again)) == (200, {**first, "state": "running"})
    assert pipeline.queue == []


async def test_same_csv_submitted_twice_is_one_batch(pipeline: Pipeline) -> None:
    assert (await pipeline.submit(URLS, CSV)).status == 201
    assert (await pipeline.submit(URLS, CSV)).status == 200
    with pytest.raises(ConflictError, match="choose another id"):
        await pipeline.submit(URLS + b"4,d\n", CSV)
    assert await pipeline.context.store.get(f"{pipeline.batch}/input.csv") == URLS


@pytest.mark.parametrize("change", ["another spec", "another input"])
async def test_other_submission_under_the_same_id_is_a_409(pipeline: Pipeline, change: str) -> None:
    key = await put_input(pipeline)
    await pipeline.submit(key)
    if change == "another input":
        await put_input(pipeline, URLS + b"4,d\n")
    with pytest.raises(ConflictError, match=f"batch '{pipeline.batch}' exists with another specification or another"):
        await pipeline.submit(key, query={"chunk": "2"} if change == "another spec" else {})
    assert (await pipeline.status())["items"] == 3


async def test_id_with_foreign_objects_is_a_409_and_they_stay(pipeline: Pipeline) -> None:
    foreign = {f"{pipeline.batch}/{name}": name.encode() for name in ("notes.txt", "input.csv", "input/0.json")}
    for key, body in foreign.items():
        await pipeline.context.store.put(key, body)
    with pytest.raises(ConflictError, match=rf"holds objects under '{pipeline.batch}' that are no batch's: choose"):
        await pipeline.submit(URLS, CSV)
    assert {key: await pipeline.context.store.get(key) for key in await pipeline.objects()} == foreign
    await nothing_in_redis(pipeline)


async def test_id_whose_summary_is_a_foreign_object_is_a_409(pipeline: Pipeline) -> None:
    await pipeline.context.store.put(f"{pipeline.batch}.json", b"precious")
    with pytest.raises(ConflictError, match=rf"holds objects under '{pipeline.batch}' that are no batch's: choose"):
        await pipeline.submit(URLS, CSV)
    assert await pipeline.context.store.get(f"{pipeline.batch}.json") == b"precious"
    await nothing_in_redis(pipeline)


async def nothing_in_redis(pipeline: Pipeline) -> None:
    assert [key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:*")] == []
    assert pipeline.queue == []


@pytest.mark.parametrize(
    ("body", "query", "says"),
    [
        (b"id,link\n1,a\n", {}, "name the column, there is none called 'url'; the columns are: id, link"),
        (b"id,url\n1,a\n", {"column": "uri"}, "there is no column 'uri'; the columns are: id, url"),
        (b"url\ncaf\xe9\n", {}, "line 2 of the input is not UTF-8: set encoding"),
        (b"url\n" + b"fine\n" * 50_000 + b"caf\xe9\n", {}, "line 50002 of the input is not UTF-8: set encoding"),
        (b"url\ncaf\xe9\n", {"chunk": "auto"}, "line 2 of the input is not UTF-8: set encoding"),
        ("url\na\n".encode("utf-16")[:-1], {}, "the input is not utf-16, from line"),
        (
            b"pipeline.task,url\n1,a\n",
            {},
            "pipeline.index and pipeline.item are the pipeline's own",
        ),
    ],
    ids=["no url", "missing column", "latin-1", "latin-1 late", "latin-1 auto", "utf-16", "own column"],
)
@pytest.mark.parametrize("by_key", [False, True])
async def test_unusable_input_is_a_400_and_leaves_nothing(
    pipeline: Pipeline, body: bytes, query: dict[str, str], says: str, *, by_key: bool
) -> None:
    sent, headers = ((await put_input(pipeline, body)).encode(), {}) if by_key else (body, CSV)
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(sent, headers, query)
    assert says in str(caught.value)
    assert await pipeline.objects() == []
    await nothing_in_redis(pipeline)
    assert (await pipeline.submit(URLS, CSV)).status == 201


async def test_missing_key_lists_similar_keys(pipeline: Pipeline) -> None:
    key = await put_input(pipeline)
    bucket = pipeline.context.store.bucket
    wrong = key.replace("data", "date")
    with pytest.raises(BadRequestError, match=f"^no object '{wrong}' in bucket '{bucket}'; there are: {key}$"):
        await pipeline.submit(wrong)
    with pytest.raises(BadRequestError, match=r"no object 'nowhere/x\.csv' .*there is nothing under that prefix$"):
        await pipeline.submit("nowhere/x.csv")
    await nothing_in_redis(pipeline)


@pytest.mark.parametrize(
    ("body", "query", "says"),
    [
        ("", {}, ["the body is empty: expected the key of a CSV, a JSON specification, or text/csv"]),
        (b"\xff", {}, ["the body is not UTF-8: expected a key, a JSON object, or text/csv"]),
        ("{no", {}, ["the body starts like JSON but is none"]),
        ("[1]", {}, ["row 1 is no object: expected an array of objects"]),
        ("url\na", {}, ["a CSV is sent with Content-Type: text/csv"]),
        ("key", {"chnk": "7"}, ["its fields are: input, function, column", "chnk: "]),
        ("key", {"chunk": "0", "window": "x"}, ["chunk: ", "window: "]),
        ("key", {"timeout": "51"}, ["timeout: 51 s is over the task's own 50 s (setting task_timeout)"]),
        ('{"function": "UP"}', {}, ["input: ", "function: "]),
    ],
)
async def test_malformed_submission_names_every_problem(
    pipeline: Pipeline, body: str | bytes, query: dict[str, str], says: list[str]
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(body, query=query)
    message = " ".join([str(caught.value), *caught.value.problems])
    assert [words for words in says if words not in message] == []
    await nothing_in_redis(pipeline)


async def test_pipeline_cannot_call_itself(pipeline: Pipeline) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit("key", query={"function": pipeline.name})
    assert caught.value.problems == ("function: the pipeline cannot call itself",)


@pytest.mark.parametrize("batch", ["open", "a/b", ".hidden", "x" * 65, "{a}"])
async def test_invalid_batch_id_is_a_400(pipeline: Pipeline, batch: str) -> None:
    with pytest.raises(BadRequestError, match="is not a batch id: 1 to 64 letters"):
        await pipeline.submit("key", batch=batch)


async def test_large_specification_is_a_413_that_explains_text_csv(pipeline: Pipeline) -> None:
    with pytest.raises(TooLargeError, match="a CSV is sent with Content-Type: text/csv"):
        await pipeline.submit("x" * (256 * 1024 + 1))


@pytest.mark.parametrize("body", [b"url\n", b"id,url\n", b"url\n\n\n"])
async def test_empty_input_ends_at_once_with_an_empty_summary(pipeline: Pipeline, body: bytes) -> None:
    response = await pipeline.submit(body, CSV)
    assert (response.status, document(response)["batch_size"], document(response)["tasks"]) == (201, 0, 0)
    assert [message.mode for message in pipeline.queue] == ["reduce"]
    assert (await pipeline.deliver_all())[0]["verdict"] == "done"
    summary = await pipeline.summary()
    assert (summary["failures"], summary["results"]) == ({"count": 0, "results": []}, {"count": 0, "results": []})
    assert (await pipeline.status())["state"] == "done"
    assert pipeline.mark not in await pipeline.objects()


async def test_concurrent_submissions_of_an_id_open_one_batch(pipeline: Pipeline) -> None:
    key = await put_input(pipeline)
    responses = await asyncio.gather(*(pipeline.submit(key) for _ in range(4)))
    statuses = sorted(response.status for response in responses)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 202}
    assert sorted(message.task for message in pipeline.queue) == [0, 1, 2]
    assert (await pipeline.status())["items"] == 3


async def test_releases_refused_by_the_gateway_are_left_to_the_sweep(pipeline: Pipeline) -> None:
    pipeline.gateway.refusals[pipeline.name] += [500, 502, 429]
    assert (await pipeline.submit(URLS, CSV)).status == 201
    assert pipeline.queue == []
    bench = pipeline.bench()
    assert sorted(await bench.due()) == ["t:0", "t:1", "t:2"]
    assert await bench.in_flight() == []
    for task in range(3):
        await bench.age_duty(f"t:{task}")
    assert await pipeline.sweep() == {"open": 1}
    assert sorted(message.task for message in pipeline.queue) == [0, 1, 2]


async def test_evicting_redis_is_refused_before_anything_is_written(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def evicting(_section: str) -> dict[str, str]:
        return {"maxmemory_policy": "allkeys-lru", "redis_version": "7.2.4"}

    monkeypatch.setattr(pipeline.redis, "info", evicting)
    with pytest.raises(UnavailableError, match="set it to noeviction"):
        await pipeline.submit(URLS, CSV)
    assert await pipeline.objects() == []
    await nothing_in_redis(pipeline)
