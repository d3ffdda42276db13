"""Temporary files of inputs: bounded for a request and for a replica, and no thread writes for one that is over."""

import asyncio
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.temporary import Folder, TemporarySpace
from pipeline.units import MIB
from tests.rigs.function.dry_runs import DRY_RUN, no_trace, refusal
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.sql_processes import command_of

ROWS = 3 * 1024 * 1024
READER = "pipeline.inputs.reader:rewrite"


def csv_bomb() -> bytes:
    return zstd.compress(b"url\n" + b"abcdefg\n" * ROWS)


def json_bomb() -> bytes:
    return zstd.compress(b'{"url": 1}\n' * ROWS)


BOMBS = {"csv": ("text/csv", csv_bomb), "ndjson": ("application/x-ndjson", json_bomb)}


@pytest.fixture
def space(pipeline: PipelineBench) -> TemporarySpace:
    made = TemporarySpace(20 * MIB)
    pipeline.context = replace(pipeline.context, temporary=made)
    return made


@pytest.mark.parametrize("form", BOMBS)
async def test_dry_run_may_take_half_of_the_space(pipeline: PipelineBench, space: TemporarySpace, form: str) -> None:
    content_type, bomb = BOMBS[form]
    async with no_trace(pipeline):
        kind, words, _ = await refusal(pipeline, bomb(), {"Content-Type": content_type}, DRY_RUN)
    assert (kind, words) == (BadRequestError, "the input needs more than 10 MiB of temporary files")
    assert space._used == 0


@pytest.mark.parametrize("form", BOMBS)
async def test_submission_may_take_all_of_the_space(pipeline: PipelineBench, space: TemporarySpace, form: str) -> None:
    content_type, bomb = BOMBS[form]
    kind, words, _ = await refusal(pipeline, bomb(), {"Content-Type": content_type}, {})
    assert (kind, words) == (BadRequestError, "the input needs more than 20 MiB of temporary files")
    assert space._used == 0


async def test_space_that_others_use_makes_a_request_wait(pipeline: PipelineBench, space: TemporarySpace) -> None:
    async with space.folder() as other:
        other.charge(15 * MIB)
        body = zstd.compress(b"url\n" + b"abcdefg\n" * MIB)
        kind, words, _ = await refusal(pipeline, body, {"Content-Type": "text/csv"}, DRY_RUN)
        assert (kind, "other requests need the room" in words) == (UnavailableError, True)
        assert space._used == 15 * MIB
    assert space._used == 0


async def test_reader_of_a_request_that_is_over_is_killed(pipeline: PipelineBench, space: TemporarySpace) -> None:
    space.total = 1024 * MIB
    settings = pipeline.context.settings.model_copy(update={"task_timeout": 0.1})
    pipeline.context = replace(pipeline.context, settings=settings)
    body = await asyncio.to_thread(lambda: zstd.compress(b"url\n" + b"abcdefg\n" * (16 * ROWS)))
    kind, _, _ = await refusal(pipeline, body, {"Content-Type": "text/csv"}, {"timeout": "0.1", **DRY_RUN})
    assert kind is UnavailableError
    assert [child for child in psutil.Process().children() if READER in command_of(child)] == []
    assert space._used == 0


async def test_folder_is_gone_with_its_files(space: TemporarySpace) -> None:
    async with space.folder() as folder:
        (folder.path / "input").write_bytes(b"x")
    assert not folder.path.exists()
    with pytest.raises(UnavailableError, match="the request is over"):
        folder.charge(1)


async def test_files_of_others_are_counted(space: TemporarySpace) -> None:
    async with space.folder() as folder:
        async with folder.watched():
            (folder.path / "deep").mkdir()
            (folder.path / "deep" / "file").write_bytes(b"x" * MIB)
        assert (folder.size, space._used) == (MIB, MIB)
        with pytest.raises(BadRequestError):
            async with folder.watched():
                (folder.path / "file").write_bytes(b"x" * 20 * MIB)


async def test_watch_stops_work_that_writes_too_much(space: TemporarySpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.temporary.SECONDS_BETWEEN_LOOKS", 0.001)

    async def write_for_ever(folder: Folder) -> None:
        async with folder.watched():
            await asyncio.to_thread(Path.write_bytes, folder.path / "file", b"x" * 21 * MIB)
            await asyncio.Event().wait()

    async with space.folder() as folder:
        with pytest.raises(BadRequestError):
            await write_for_ever(folder)


def test_default_is_most_of_the_free_disk() -> None:
    assert TemporarySpace.of_disk().total > 0
