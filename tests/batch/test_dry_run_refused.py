"""dry_run: what the submission would be refused for is refused in the same words."""

import asyncio
import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UnavailableError
from pipeline.units import KIB, MIB
from tests.rigs.function.pipeline_bench import CSV
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline
from tests.rigs.function.tries import ROWS, TRIED, no_trace, refused

Fields = dict[str, str]

REFUSED: dict[str, tuple[bytes, Fields, Fields]] = {
    "no such object": (b"nowhere/x.csv", {}, {}),
    "the pipeline's own object": (b"open/x", {}, {}),
    "no UTF-8": (b"url\ncaf\xe9\n", CSV, {}),
    "no UTF-8, late": (b"url\n" + b"fine\n" * 50_000 + b"caf\xe9\n", CSV, {}),
    "no such column": (ROWS, CSV, {"column": "uri"}),
    "a function that is not allowed": (ROWS, CSV, {"function": "other"}),
    "several problems": (b"k", {}, {"chunk": "0", "window": "x", "colum": "y"}),
    "too many rows": (b"url\n" + b"x\n" * 100_001, CSV, {}),
    "a cell too large": (b"url\na\n" + b"x" * (16 * MIB + 1), CSV, {}),
    "a specification too large": (b"k" * (256 * KIB + 1), {}, {}),
    "broken gzip": (b"\x1f\x8b\x08\x00broken", CSV, {}),
}


@pytest.mark.parametrize(("body", "headers", "query"), REFUSED.values(), ids=REFUSED)
async def test_it_is_refused_in_the_words_of_the_submission(
    pipeline: Pipeline, body: bytes, headers: Fields, query: Fields
) -> None:
    update = {"max_rows": 100_000, "allowed_functions": f"{pipeline.name}-model"}
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update=update))
    async with no_trace(pipeline):
        said = await refused(pipeline, body, headers, {**query, **TRIED})
    assert said == await refused(pipeline, body, headers, query)


async def test_an_evicting_redis_is_refused_too(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    async def evicting(_section: str) -> dict[str, str]:
        return {"maxmemory_policy": "allkeys-lru", "redis_version": "7.2.4"}

    monkeypatch.setattr(pipeline.redis, "info", evicting)
    kind, words, _ = await refused(pipeline, ROWS, CSV, TRIED)
    assert (kind, "set it to noeviction" in words) == (UnavailableError, True)


async def test_a_full_disk_is_said(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _body: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    kind, words, _ = await refused(pipeline, ROWS, CSV, TRIED)
    assert kind is UnavailableError
    assert re.fullmatch(r"the input cannot be kept under /\S+: No space left on device", words)


async def test_an_input_that_takes_longer_than_a_task_may_is_given_up(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, ROWS)
    monkeypatch.setattr(pipeline.context.store, "download", never)
    settings_ = pipeline.context.settings.model_copy(update={"task_timeout": 0.1})
    pipeline.context = replace(pipeline.context, settings=settings_)
    async with no_trace(pipeline):
        kind, words, _ = await refused(pipeline, key.encode(), {}, {"timeout": "0.1", **TRIED})
    assert kind is UnavailableError
    assert words == (
        "the input could not be read within 0.1 s (setting task_timeout): try a part of it, or submit it without "
        "dry_run; it is read in the background then"
    )
