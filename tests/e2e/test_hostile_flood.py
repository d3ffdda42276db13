"""A flood of anonymous requests: a replica with a token reads none of their bodies, and goes on serving its callers."""

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from backports import zstd

from bench.kit.callbacks import LOG, long_callbacks
from pipeline.bodies import BODY_LIMIT
from pipeline.units import MIB
from tests.rigs.openfaas.cluster import FAST, TOKEN, cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOOD = 200
AT_ONCE = 48
CALLS = 50
DRIPPING = 100
MOST_MEMORY = 400 * MIB
BOMB = zstd.compress(b"\0" * BODY_LIMIT)
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Mode: batch\r\nContent-Length: 60000000\r\n\r\n"
log = logging.getLogger(__name__)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def drip(port: int, answers: list[bytes], over: asyncio.Event) -> None:
    """Send a body byte by byte, and connect again after each answer, until the flood is over."""
    while not over.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        answers.append((await reader.readuntil(b"\r\n"))[9:12])
        with suppress(ConnectionError):
            while not over.is_set() and not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()


def peak_memory(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_anonymous_flood_leaves_memory_and_callers_alone(tmp_path: Path) -> None:
    async with cluster(tmp_path, replicas=0) as running:
        (running.stack.secrets_dir / "pipeline-token").write_text(TOKEN)
        callbacks = tmp_path / "callbacks"
        pipeline = await running.stack.add_pipeline(1, {**FAST, LOG: str(callbacks)}, module="bench.kit.callbacks")
        replica = pipeline.replicas[0]
        over, drips, bombs, latencies = asyncio.Event(), list[bytes](), list[int](), list[float]()

        async def throw_bombs() -> None:
            headers = {"X-Mode": "batch", "Content-Type": "text/csv", "Content-Encoding": "zstd"}
            while not over.is_set():
                async with running.http.post(replica.url, data=BOMB, headers=headers) as response:
                    bombs.append(response.status)

        async with aiohttp.ClientSession(headers=BEARER) as http, asyncio.TaskGroup() as group:
            for _ in range(DRIPPING):
                group.create_task(drip(urlsplit(replica.url).port or 0, drips, over))
            for _ in range(AT_ONCE):
                group.create_task(throw_bombs())
            while len(bombs) < FLOOD or len(latencies) < CALLS:
                started = time.monotonic()
                async with http.get(replica.url) as response:
                    assert response.status == 200
                latencies.append(time.monotonic() - started)
            over.set()
        assert set(bombs) == {401}
        assert set(drips) == {b"401"}
        assert len(drips) >= DRIPPING
        (pid,) = running.stack.pids("pipeline")
        memory = peak_memory(pid)
        measured = (len(bombs), len(drips), len(latencies), max(latencies), memory // MIB)
        log.info("%d bombs, %d drips, %d calls, the slowest %.3f s, %d MiB", *measured)
        assert memory < MOST_MEMORY
        assert long_callbacks(callbacks) == []
