"""The synchronous client: the same calls in scripts, also inside a running event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline.client import Batch, Pipeline, RefusedError, SyncBatch, SyncPipeline
from pipeline.client.sync import _Loop
from tests.rigs.client.batch_parts import SUMMARY, with_parts
from tests.rigs.client.contract import Answer, Contract, contract, progress

if TYPE_CHECKING:
    from pathlib import Path


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_sync_client_has_every_method() -> None:
    assert public(Pipeline) == public(SyncPipeline)
    assert public(Batch) == public(SyncBatch) - {"id"}


def work(server: Contract, path: Path) -> list[object]:
    """Call every method once."""
    with SyncPipeline(server.url, patience=0) as pipeline:
        batch = pipeline.submit(b"url\nx\n", batch_id="b-1")
        batch.pause()
        batch.resume()
        batch.tune(window=3)
        batch.cancel()
        return [
            batch.id,
            batch.page,
            [status.state for status in batch],
            [status.state for status in batch.follow(interval=0)],
            batch.wait().state,
            batch.status().succeeded,
            pipeline.dry_run("a.csv").items,
            pipeline.list().open[0].batch_id,
            pipeline.doctor().now,
            batch.redrive(),
            batch.summary(),
            batch.save_summary(path),
            batch.save_output("none.csv", path),
            batch.outputs(parts=True).column,
            batch.frame().height,
            batch.delete(),
        ]


@pytest.fixture
def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


async def test_every_call_returns_its_result(tmp_path: Path, threads: set[threading.Thread]) -> None:
    path = tmp_path / "summary.json"
    async with contract() as server:
        with_parts(server)
        done = progress("done", 10)
        server.answer("batch", {"batch_id": "b-1"}, {"dry_run": True, "items": 3})
        server.answer("status", done, progress("running"), done, done, done, {"open": [{"batch_id": "a"}]})
        server.answer("doctor", {"checks": [], "now": 7.5})
        for mode in ("pause", "resume", "tune", "cancel", "redrive"):
            server.answer(mode, Answer({"batch_id": "b-1"}, 202))
        server.answer("delete", {"deleted": True})
        found = await asyncio.to_thread(work, server, path)
    page = f"{server.url}/function/pipeline/?batch=b-1"
    expected = ["b-1", page, ["done"], ["running", "done"], "done", 10, 3, "a", 7.5, True]
    assert found[:10] == expected
    assert found[11:] == [True, False, "url", 3, True]
    assert path.read_bytes() == SUMMARY
    assert [
        thread for thread in threading.enumerate() if thread not in threads and thread.name == "pipeline-client"
    ] == []


async def test_sync_client_works_inside_a_running_loop() -> None:
    """As in a notebook; the server runs in a thread of its own."""
    started, stop = threading.Event(), threading.Event()
    servers: list[Contract] = []

    async def serve() -> None:
        async with contract() as server:
            server.answer("status", progress("done", 10))
            servers.append(server)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        with SyncPipeline(servers[0].url) as pipeline:
            assert asyncio.get_running_loop().is_running()
            assert pipeline.batch("b-1").wait().state == "done"
    finally:
        stop.set()
        thread.join()


def test_interrupt_cancels_the_running_call() -> None:
    main = threading.get_ident()
    started, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupt() -> None:
        started.wait()
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    loop = _Loop()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run(work())
        assert cancelled.wait(30)
    finally:
        thread.join()
        loop.close()
        signal.signal(signal.SIGINT, before)


async def test_errors_are_those_of_the_client() -> None:
    async with contract() as server:
        server.answer("status", Answer({"error": "there is no batch 'b-1'"}, 404))

        def look() -> None:
            with SyncPipeline(server.url) as pipeline:
                pipeline.batch("b-1").status()

        with pytest.raises(RefusedError, match="there is no batch"):
            await asyncio.to_thread(look)


async def test_iteration_can_stop_early() -> None:
    async with contract() as server:
        server.answer("status", progress("running"))

        def look() -> str:
            with SyncPipeline(server.url) as pipeline:
                return next(iter(pipeline.batch("b-1"))).state

        assert await asyncio.to_thread(look) == "running"
