"""The stage of a way: a local stack with the model function behind its gateway, and the processes of the way, warm."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from bench.compare.peers import PYTHON
from bench.compare.ways import Form, Layout, Way
from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.kit.processes import Pids
from bench.kit.stack import Site, model_spec, open_site, pids
from pipeline.client import SpecFields
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.child_processes import Children, child_processes
from pipeline.local.services.redis_and_s3 import RedisServer, S3Server
from pipeline.local.stack import LocalStack

MODEL, DRIVER = "model", "driver"
# The functions of the ways that run as functions; any other way has a client, the driver.
FUNCTIONS = {"pipeline": ("pipeline",), "original": ("fan-out", "worker", "collector")}
# The processes that work on tasks: a word of their command line, and their depth below a root.
_WORKING = {"celery": ("worker", 2), "dask": ("spawn_main", 1), "lithops": ("run_job", 2)}


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


@dataclass(frozen=True)
class Ground:
    """The parts that all ways share: the services, the milliseconds of a model call, and what fails (`kit.model`)."""

    redis: RedisServer
    s3: S3Server
    model_ms: int = 0
    fails: str = ""


@dataclass(frozen=True)
class Stage:
    """A way that is ready for batches."""

    way: Way
    site: Site
    children: Children
    http: ClientSession

    @property
    def stack(self) -> LocalStack:
        """The local stack."""
        return self.site.stack

    @property
    def roots(self) -> Pids:
        """Return the process ids of which all of the way's own processes descend."""
        return tuple(pid for name in FUNCTIONS.get(self.way, (DRIVER,)) for pid in self.stack.pids(name))

    def groups(self) -> dict[str, Pids]:
        """Return the processes by group: `way` are those of the way, the others serve every way alike."""
        return {"way": self.roots, **pids(self.stack, (MODEL,))}

    def working(self) -> list[psutil.Process]:
        """Return the processes of a peer that work on tasks."""
        mark, depth = _WORKING[self.way]
        level = [psutil.Process(root) for root in self.roots]
        for _ in range(depth):
            level = [child for process in level for child in process.children() if mark in _command(child)]
        return level

    async def submit(self, batch: str, key: str, form: Form) -> None:
        """Submit a batch, whose input has this key; raises BenchError."""
        if self.way == "pipeline":
            spec = SpecFields(function=MODEL, column="item", chunk=form.chunk)
            spec.update(form.spec)
            await self.site.pipeline.submit(key, batch_id=batch, **spec)
        elif self.way == "original":
            url = f"{self.stack.gateway_url}/function/fan-out"
            await self._post(url, headers={"X-Batch-Id": batch}, data=key)
        else:
            # Not through the gateway: a client that answers at the end may take longer than its timeout.
            url = self.stack.gateway.functions[DRIVER].replicas[0].url
            await self._post(url, json={"batch": batch, "input": key, "chunk": form.chunk})

    async def _post(self, url: str, **request: object) -> None:
        try:
            async with self.http.post(url, **request) as answer:  # type: ignore[arg-type]
                text = await answer.text()
        except ClientError as error:
            raise BenchError(f"the batch was not accepted: {error}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise BenchError(f"the batch was not accepted ({answer.status}): {text.strip()[-500:]}")


@contextlib.asynccontextmanager
async def stage(way: Way, ground: Ground, layout: Layout) -> AsyncIterator[Stage]:
    """Start a way; raises LocalError."""
    model = model_spec(MODEL, ground.model_ms, fails=ground.fails)
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        options = {"workers": layout.parallelism, "ack_wait": layout.ack_wait, "pipeline_replicas": 0}
        site = await enter(open_site(model, redis=ground.redis, s3=ground.s3, **options))
        children = cleanup.enter_context(child_processes())
        http, stack = await enter(ClientSession(timeout=ClientTimeout())), site.stack
        if way == "pipeline":
            await stack.add_pipeline(layout.replicas, layout.settings)
        elif way == "original":
            await _add_original(stack, layout)
        else:
            command = (str(PYTHON), "-m", "bench.compare.baselines.drivers", way)
            await stack.add_function(FunctionSpec(DRIVER, command, environment(stack, layout)))
            cleanup.callback(_end_strays, stack.pids(DRIVER))
        yield Stage(way, site, children, http)


async def _add_original(stack: LocalStack, layout: Layout) -> None:
    command, settings = (str(PYTHON), "-m", "bench.compare.baselines.original"), environment(stack, layout)
    replicas = {"fan-out": 1, "worker": layout.replicas, "collector": 1}
    specs = [FunctionSpec(name, (*command, name), settings, count) for name, count in replicas.items()]
    await asyncio.gather(*map(stack.add_function, specs))


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
