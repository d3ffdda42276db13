"""The peers: their environment, made from pinned requirements, and their processes, a warm client and its workers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from redis.asyncio import Redis
from yarl import URL

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.child_processes import child_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench.compare.forms import Way
    from pipeline.local.services.child_processes import Child, Children
    from pipeline.local.stack import LocalStack

DRIVER = "driver"
MODEL = "model"
# The processes that work on tasks: a word of their command line, and their depth below a root.
_WORKING = {"celery": ("worker", 1), "dask": ("spawn_main", 1), "lithops": ("run_job", 2)}
REQUIREMENTS = ROOT / "bench" / "compare" / "baselines" / "requirements.txt"
FOLDER = ROOT / "build" / "baselines"
PYTHON = FOLDER / "bin" / "python"
PEERS = ("boto3", "celery", "dask", "distributed", "flask", "lithops", "pandas", "redis", "requests", "waitress")
_MARK = "installed"


def install() -> None:
    """Make the environment unless it exists with these requirements; raises BenchError when that fails."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = FOLDER / _MARK
    if mark.is_file() and mark.read_text() == wanted:
        return
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER))
    _uv(*("pip", "install", "--quiet", "--require-hashes", "--python", str(PYTHON), "-r", str(REQUIREMENTS)))
    mark.write_text(wanted)


def versions() -> dict[str, str]:
    """Return the installed versions of the packages of the original and the peers."""
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEERS!r}}}))"
    answer = subprocess.run([PYTHON, "-c", code], capture_output=True, check=True, text=True).stdout
    installed: dict[str, str] = json.loads(answer)
    return installed


def _uv(*arguments: str) -> None:
    command = (sys.executable, "-m", "uv", *arguments)
    try:
        subprocess.run(command, capture_output=True, check=True, text=True)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the peers' environment cannot be made: {error.stderr.strip()}") from error


@dataclass(frozen=True)
class Layout:
    """The size of a peer: `nodes` workers with `parallelism` processes in all.

    `lost_after` is the seconds after which a message of a dead worker is delivered again, in ways with such a setting;
    `ack_wait` is that of the queue-workers.
    """

    parallelism: int
    nodes: int = 1
    lost_after: int = 3600
    ack_wait: int = 60


@dataclass(frozen=True)
class Peer:
    """A peer that runs; `nodes` are its workers outside of the stack, each with processes of its own."""

    way: Way
    stack: LocalStack
    nodes: Sequence[Child]
    children: Children

    @property
    def roots(self) -> tuple[int, ...]:
        """Return the process ids of which all of the peer's processes descend."""
        return (*self.stack.pids(DRIVER), *(node.pid for node in self.nodes))

    def working(self) -> list[psutil.Process]:
        """Return the processes that work on tasks."""
        mark, depth = _WORKING[self.way]
        level = [psutil.Process(root) for root in self.roots]
        for _ in range(depth):
            level = [child for process in level for child in process.children() if mark in _command(child)]
        return level


def redis_url(stack: LocalStack) -> str:
    """Return the URL, with the password, of a database of Redis that the pipeline does not use."""
    return str(URL(stack.redis_url).with_password(stack.redis_password).with_path("/1"))


def environment(stack: LocalStack, layout: Layout) -> dict[str, str]:
    """Return the environment of a module of `bench.compare.baselines`."""
    return {
        "PYTHONPATH": str(ROOT),
        "GATEWAY_URL": stack.gateway_url,
        "MODEL_URL": f"{stack.gateway_url}/function/{MODEL}",
        "REDIS_URL": redis_url(stack),
        "S3_BUCKET": stack.s3.bucket,
        "AWS_ENDPOINT_URL_S3": stack.s3.endpoint,
        "AWS_ACCESS_KEY_ID": stack.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": stack.s3.secret_key,
        "AWS_DEFAULT_REGION": stack.s3.region,
        "WORKERS": str(layout.parallelism),
        "NODES": str(layout.nodes),
        "VISIBILITY_TIMEOUT": str(layout.lost_after),
        # Lithops leaves files in both.
        "HOME": str(stack.directory),
        "TMPDIR": str(stack.directory),
    }


@contextlib.asynccontextmanager
async def peer(way: Way, stack: LocalStack, layout: Layout) -> AsyncIterator[Peer]:
    """Start the workers of a peer, and its client, which serves once they are ready. Raises LocalError."""
    settings = environment(stack, layout)
    with child_processes() as children:
        nodes: list[Child] = []
        if way == "celery":
            await _forget(settings["REDIS_URL"])
            share = str(layout.parallelism // layout.nodes)
            for number in range(layout.nodes):
                worker = (str(PYTHON), "-m", "celery", "-A", "bench.compare.baselines.celery_app", "worker")
                options = ("--concurrency", share, "--loglevel", "WARNING", "--hostname", f"node{number}@%h")
                nodes.append(children.start((*worker, *options), log=f"node-{number}.log", environment=settings))
        command = (str(PYTHON), "-m", f"bench.compare.baselines.{way}_driver")
        await stack.add_function(FunctionSpec(DRIVER, command, settings))
        try:
            yield Peer(way, stack, nodes, children)
        finally:
            _end_strays(stack.pids(DRIVER))


async def _forget(url: str) -> None:
    """Empty the database of the peers: messages of an earlier run would be delivered to this one."""
    async with Redis.from_url(url) as client:
        await client.flushdb()


def _end_strays(roots: Sequence[int]) -> None:
    """Kill the processes that would outlive their client: Lithops starts some in sessions of their own."""
    for child in [child for root in roots for child in psutil.Process(root).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(child.pid) not in roots:
                child.kill()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
