"""dry_run is refused with the error that the submission would get."""

import asyncio
import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UnavailableError
from pipeline.units import KIB, MIB
from tests.rigs.function.dry_runs import DRY_RUN, ROWS, no_trace, refusal
from tests.rigs.function.pipeline_bench import CSV
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline

pytestmark = pytest.mark.usefixtures("watchdog")

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
async def test_dry_run_is_refused_with_the_error_of_the_submission(
    pipeline: Pipeline, body: bytes, headers: Fields, query: Fields
) -> None:
    update = {"max_rows": 100_000, "allowed_functions": f"{pipeline.name}-model"}
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update=update))
    async with no_trace(pipeline):
        error_of_dry_run = await refusal(pipeline, body, headers, {**query, **DRY_RUN})
    assert error_of_dry_run == await refusal(pipeline, body, headers, query)


async def test_evicting_redis_refuses_a_dry_run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    async def evicting(_section: str) -> dict[str, str]:
        return {"maxmemory_policy": "allkeys-lru", "redis_version": "7.2.4"}

    monkeypatch.setattr(pipeline.redis, "info", evicting)
    kind, words, _ = await refusal(pipeline, ROWS, CSV, DRY_RUN)
    assert (kind, "set it to noeviction" in words) == (UnavailableError, True)


async def test_full_disk_refuses_a_dry_run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _body: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    kind, words, _ = await refusal(pipeline, ROWS, CSV, DRY_RUN)
    assert kind is UnavailableError
    assert re.fullmatch(r"the input cannot be stored under /\S+: No space left on device", words)


async def test_slow_input_fails_after_the_task_timeout(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, ROWS)
    monkeypatch.setattr(pipeline.context.store, "download", never)
    settings_ = pipeline.context.settings.model_copy(update={"task_timeout": 0.1})
    pipeline.context = replace(pipeline.context, settings=settings_)
    async with no_trace(pipeline):
        kind, words, _ = await refusal(pipeline, key.encode(), {}, {"timeout": "0.1", **DRY_RUN})
    assert kind is UnavailableError
    assert words == (
        "the input could not be read within 0.1 s (setting task_timeout): try a part of it, or submit it without "
        "dry_run; it is read in the background then"
    )
