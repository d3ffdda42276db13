"""Every recipe runs as printed on a whole platform, with stand-ins for the servers that its function calls."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import polars as pl
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import local_stack
from tests.rigs.docs.answers import shape
from tests.rigs.docs.outside import KEY, Outside, outside
from tests.rigs.docs.recipes import LIMIT, Recipe, recipes
from tests.rigs.docs.shells import Shell, make_shell
from tests.rigs.openfaas.cluster import FAST, Cluster, to_csv

pytestmark = pytest.mark.asyncio(loop_scope="module")
RECIPES = {recipe.function: recipe for recipe in recipes()}
LONG = "word " * 20_000


@dataclass(frozen=True)
class Kitchen:
    """A platform with the model functions of all recipes, a shell with their files, and the servers they call."""

    cluster: Cluster
    shell: Shell
    outside: Outside

    async def give(self, file: str, rows: Sequence[str], column: str) -> None:
        """Put rows into the bucket, and into the folder of the commands."""
        (self.shell.folder / file).write_bytes(to_csv(rows, column))
        await self.cluster.put(f"data/{file}", to_csv(rows, column))

    async def cook(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Run a recipe's commands in order; returns the results of its batch, which are all good."""
        (self.shell.folder / recipe.spec_file).write_text(json.dumps(recipe.spec))
        for command in recipe.commands:
            ran = await self.shell.run(command.text)
            assert ran.code == 0, f"{command.text}: {ran.out}{ran.err}"
        summary = await self.cluster.summary(recipe.spec_file.removesuffix(".json"))
        assert summary["failures"] == {"count": 0, "results": []}
        results: list[dict[str, Any]] = summary["results"]["results"]
        printed = [result for entry in results if (result := entry.get("result")) is not None]
        assert {json.dumps(shape(result)) for result in printed} == {json.dumps(shape(recipe.result))}
        return results

    async def run(self, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Run a recipe's specification with something else in it; returns the summary."""
        status, opened = await self.cluster.call("batch", body=orjson.dumps({**spec, **more}))
        assert status == 201, opened
        await self.cluster.ended(opened["batch_id"])
        return await self.cluster.summary(opened["batch_id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kitchen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kitchen]:
    folder = tmp_path_factory.mktemp("recipes")
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        there = await enter(outside(LIMIT))
        stack = await enter(local_stack(workers=16, pipeline_environment=FAST))
        (folder / "llm-key").write_text(f"{KEY}\n")
        credentials = (stack.s3.access_key, stack.s3.secret_key)
        (folder / "aws").write_text(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*credentials)
        )
        environment = {
            "AWS_ENDPOINT_URL_S3": stack.s3.endpoint,
            "AWS_DEFAULT_REGION": stack.s3.region,
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws"),
            "geocoder_url": f"{there.url}/geocode",
            "llm_url": f"{there.url}/chat",
            "llm_key_file": str(folder / "llm-key"),
        }
        for recipe in RECIPES.values():
            handler = folder / recipe.handler_file
            handler.parent.mkdir()
            handler.write_text(recipe.handler.text)
            command = (sys.executable, "-m", "pipeline.local.serve_handler", str(handler))
            await stack.add_function(FunctionSpec(recipe.function, command, environment))
        http = await enter(aiohttp.ClientSession())
        s3 = await enter(s3_client(stack.s3))
        redis = await enter(Redis.from_url(stack.redis_url, password=stack.redis_password))
        shell = make_shell(folder / "shell", {"GATEWAY": stack.gateway_url, "OPENFAAS_URL": stack.gateway_url})
        yield Kitchen(Cluster(stack, http, s3, redis, folder / "calls"), shell, there)


async def test_pictures_are_labelled_and_an_overloaded_host_is_called_again(kitchen: Kitchen) -> None:
    pictures = [f"{kitchen.outside.url}/{('dark', 'light')[number % 2]}/{number}.png" for number in range(40)]
    await kitchen.cluster.put(
        "data/pictures.csv", "\n".join(["url,taken", *(f"{url},2026" for url in pictures)]).encode()
    )
    results = await kitchen.cook(RECIPES["pictures"])
    table = pl.read_parquet(await kitchen.cluster.get("pictures/results.parquet"))
    assert (table["url"].to_list(), set(table["taken"])) == (pictures, {"2026"})
    assert [entry["url"] for entry in results] == pictures
    assert [entry["result"]["label"] for entry in results] == ["dark", "light"] * 20
    assert sum(kitchen.outside.pictures.calls.values()) == 40 + 14, "each third one was refused once"


async def test_a_missing_or_broken_picture_fails_after_one_call(kitchen: Kitchen) -> None:
    rows = [f"{kitchen.outside.url}/{kind}/1.png" for kind in ("missing", "broken", "light")]
    await kitchen.cluster.put("data/few.csv", to_csv(rows))
    summary = await kitchen.run(RECIPES["pictures"].spec, input="data/few.csv")
    assert [(entry["url"], entry["statusCode"]) for entry in summary["failures"]["results"]] == [
        (rows[0], 422),
        (rows[1], 422),
    ]
    again = await kitchen.cluster.get(f"{summary['batchId']}/failures.csv")
    assert again.decode().splitlines() == ["url", *rows[:2]]
    assert [kitchen.outside.pictures.calls[f"/{kind}/1.png"] for kind in ("missing", "broken")] == [1, 1]


async def test_documents_are_read_and_a_long_one_comes_by_reference(kitchen: Kitchen) -> None:
    bucket = kitchen.cluster.stack.s3.bucket
    texts = {f"papers/{number:02d}.txt": f"Paper {number}\nof some words\n" for number in range(20)}
    texts["papers/long.txt"] = f"Long\n{LONG}"
    for key, text in texts.items():
        await kitchen.cluster.put(key, text.encode())
    results = await kitchen.cook(RECIPES["documents"])
    assert [entry["url"] for entry in results] == [f"s3://{bucket}/{key}" for key in texts]
    expected = [{"title": text.split("\n")[0], "words": len(text.split()), "text": text} for text in texts.values()]
    assert [entry.get("result") for entry in results] == [*expected[:-1], None]
    assert orjson.loads(await kitchen.cluster.get(results[-1]["resultRef"])) == expected[-1]
    table = pl.read_parquet(await kitchen.cluster.get("documents/results.parquet"))
    assert table.select("key", "size").rows() == [(key, len(text.encode())) for key, text in texts.items()]
    assert table.schema["modified"] == pl.Datetime("us", "UTC")


async def test_a_missing_document_fails_at_once(kitchen: Kitchen) -> None:
    await kitchen.cluster.put("data/none.csv", to_csv([f"s3://{kitchen.cluster.stack.s3.bucket}/papers/none.txt"]))
    summary = await kitchen.run(RECIPES["documents"].spec, input="data/none.csv")
    (failure,) = summary["failures"]["results"]
    assert (failure["statusCode"], failure["result"]) == (422, "there is no such object")


def _addresses(rows: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"{number},{street},{city}" for number, (street, city) in enumerate(rows)]
    return "\n".join(["id,street,city", *lines]).encode()


async def test_an_api_is_never_called_faster_than_it_allows(kitchen: Kitchen) -> None:
    rows = [("" if number == 7 else f"{number} Main Street", "Springfield") for number in range(30)]
    await kitchen.cluster.put("data/addresses.csv", _addresses(rows))
    results = await kitchen.cook(RECIPES["geocode"])
    places = [len(", ".join(filter(None, row))) / 2 for row in rows]
    assert [entry["result"]["lat"] for entry in results] == places
    assert [entry["item"] for entry in results] == [{"street": street or None, "city": city} for street, city in rows]
    table = pl.read_parquet(await kitchen.cluster.get("addresses/results.parquet"))
    assert table["id"].to_list() == [str(number) for number in range(30)]
    geocoder, spec = kitchen.outside.geocoder, RECIPES["geocode"].spec
    assert (geocoder.taken, geocoder.refused) == (30, 0)
    assert geocoder.most_under_way <= spec["window"] * spec["concurrency"]


async def test_without_a_rate_refused_calls_run_again(kitchen: Kitchen) -> None:
    before = kitchen.outside.geocoder.refused
    rows = [(f"{number} Side Street", "Springfield") for number in range(3 * LIMIT)]
    await kitchen.cluster.put("data/fast.csv", _addresses(rows))
    summary = await kitchen.run(RECIPES["geocode"].spec, input="data/fast.csv", rate=None, chunk=1, window=16)
    assert summary["results"]["count"] == len(rows)
    assert kitchen.outside.geocoder.refused > before


async def test_an_unreliable_language_model_answers_for_every_review(kitchen: Kitchen) -> None:
    rows = [f"It is number {number:03d}." for number in range(60)]
    await kitchen.give("reviews.csv", rows, "review")
    results = await kitchen.cook(RECIPES["sentiment"])
    assert [(entry["review"], entry["result"]["reason"]) for entry in results] == [(row, row[-10:]) for row in rows]
    model = kitchen.outside.language_model
    assert set(model.answered) == {"limit", "long limit", "overload", "ramble", "nothing", "good"}
    assert model.answered["good"] == 20 + 60, "the first rows, then all of them; what was good is not asked for again"
    assert await kitchen.cluster.get("reviews/sql.csv") == b"sentiment,reviews\ngood,60\n"
    assert (await kitchen.cluster.status("reviews"))["sql"]["first"] == [["good", 60]]
    first = await kitchen.cluster.status("first")
    assert (first["items"], first["succeeded"]) == (20, 20)
    assert model.models["small"] >= 20
    assert model.models["medium"] >= 60


async def test_the_key_of_the_language_model_is_nowhere_in_the_batch(kitchen: Kitchen) -> None:
    kept = {key: await kitchen.cluster.get(key) for key in await kitchen.cluster.keys("reviews")}
    assert any(b"X-Model" in body for body in kept.values())
    assert [key for key, body in kept.items() if KEY.encode() in body] == []
