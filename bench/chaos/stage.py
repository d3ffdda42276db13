"""The stack of chaos runs: services that can be killed, links that can be parted, and a receiver of notifications."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed
from yarl import URL

from bench.chaos.evidence import Notice
from bench.chaos.plan import RECEIVER
from bench.chaos.relay import Relay
from bench.kit.callbacks import LOG
from bench.kit.machine import ROOT
from bench.kit.stack import open_redis
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import Bucket
from pipeline.local.errors import ServiceStartError
from pipeline.local.openfaas.functions import FunctionSpec, Replica
from pipeline.local.services.ports import HOST
from pipeline.local.services.redis_and_s3 import Service, redis_server, s3_server
from pipeline.local.services.s3_client import s3_client
from pipeline.local.stack import PIPELINE, LocalStack, local_stack

MODEL = "model"
REPLICAS = 2
TASK_TIMEOUT = 2.0
SILENCE = 2.5
# The time for which one message of another function holds a worker.
FOREIGN_SECONDS = 10.0
PATIENCE = 60.0
CLOCK = "chaos:clock"
# The files of the folder that outlive a run.
LASTING = ("point", "place-")
# A short run meets several leases in its time.
SHORT = {"CHAOS_LEASE": "1"}
SETTINGS = {
    "sweep_interval": "0.2",
    "task_timeout": f"{TASK_TIMEOUT:g}",
    "ack_wait": f"{SILENCE - TASK_TIMEOUT:g}",
    "CHAOS_LEASE": "2",
    "CHAOS_SEGMENT": "50",
    # S3 takes no smaller one.
    "CHAOS_PART": "5242880",
}


@dataclass(frozen=True)
class Stage:
    """A stack with two replicas of each function, and the clients of the user and of the checker.

    `folder` holds the log of the model function, `calls.ndjson`, a line with call id and item for each call. `relays`
    are those of each replica, by service; `notices` are the notifications of this run, `outdated` the replicas whose
    version is older, `read_logs` the lengths of the logs before it.
    """

    stack: LocalStack
    pipeline: Pipeline
    http: aiohttp.ClientSession
    folder: Path
    relays: list[dict[str, Relay]]
    notices: list[Notice] = field(default_factory=list)
    outdated: list[Replica] = field(default_factory=list)
    read_logs: dict[Path, int] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        """Open a plain client, patient with a server that has just been killed."""
        async with s3_client(self.stack.s3, retries={"mode": "standard", "max_attempts": 8}) as client:
            yield Bucket(client, self.stack.s3.bucket)

    async def reset(self) -> None:
        """Forget the run before, and wait until every replica answers; raises TimeoutError when one does not."""
        while self.outdated:
            self.outdated.pop().kill()
        functions = self.stack.gateway.functions.values()
        async with asyncio.timeout(60), open_redis(self.stack) as redis:
            await redis.delete(CLOCK)
            while not all(replica.ready for function in functions for replica in function.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        self.notices.clear()
        self.read_logs.update({path: path.stat().st_size for path in self._logs()})
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith(LASTING):
                path.unlink()

    def sweeps(self) -> int:
        """Return the number of sweeps that the replicas have made in this run."""
        path = self.folder / "sweeps"
        return path.stat().st_size if path.exists() else 0

    def unexpected_errors(self) -> list[str]:
        """Return the lines in which replicas have logged an exception since the run began."""
        texts = [path.read_bytes()[self.read_logs.get(path, 0) :].decode(errors="replace") for path in self._logs()]
        return [line for text in texts for line in text.splitlines() if "unexpected error" in line]

    def _logs(self) -> list[Path]:
        return list(self.stack.directory.glob(f"{PIPELINE}-*.log"))

    def replicas(self, function: str, place: int) -> list[Replica]:
        """Return one replica, or all for a place past the last."""
        replicas = self.stack.gateway.functions[function].replicas
        return replicas[place : place + 1] or replicas

    async def kill(self, function: str, place: int) -> None:
        """Kill one replica, or all for a place past the last."""
        for replica in self.replicas(function, place):
            replica.kill()

    async def leave_out(self, pid: int, seconds: float) -> None:
        """Send no request to a frozen replica, as a failing readiness probe has it."""
        frozen = [one for one in self.replicas(PIPELINE, REPLICAS) if one.child is not None and one.child.pid == pid]
        for replica in frozen:
            replica.ready = False
        await asyncio.sleep(seconds)
        for replica in frozen:
            # It may have been killed meanwhile, and another process start in its place.
            replica.ready |= replica.child is not None and replica.child.pid == pid and replica.child.exit_code is None

    def replace_by_older(self, place: int) -> None:
        """Stop a replica as a deployment does; the next one to start is of the older version."""
        replica = self.replicas(PIPELINE, place)[0]
        if replica.child is not None:
            (self.folder / "older").touch()
            os.kill(replica.child.pid, signal.SIGTERM)
            self.outdated.append(replica)

    async def step_clock(self, seconds: float) -> None:
        """Step the time that the scripts of the ledger read; Redis' own clock, that of its TTLs, stays."""
        async with open_redis(self.stack) as client:
            await client.set(CLOCK, int(await client.get(CLOCK) or 0) + round(seconds * 1_000_000), ex=86_400)

    async def copy_redis(self) -> Path:
        """Copy the data of Redis; the end of the copy may be cut, as after a crash."""
        copy = self.folder.with_name("redis-copy")
        shutil.rmtree(copy, ignore_errors=True)
        await asyncio.to_thread(shutil.copytree, await self._redis_data(), copy)
        return copy

    async def replace_redis(self, data: Path | None, pause: float) -> None:
        """Restart Redis with other data, or with none."""
        folder = await self._redis_data()
        self.stack.redis_service.kill()
        shutil.rmtree(folder)
        if data is not None:
            shutil.move(data, folder)
        await restart(self.stack.redis_service, pause)

    async def _redis_data(self) -> Path:
        async with open_redis(self.stack) as client:
            return Path(str((await client.config_get("dir"))["dir"])) / "appendonlydir"

    async def hold_queue(self, messages: int) -> None:
        """Put messages of another function at the end of the queue."""

        async def post(number: int) -> None:
            url = f"{self.stack.gateway_url}/async-function/{MODEL}"
            async with self.http.post(url, data=f"slow {FOREIGN_SECONDS:g} foreign-{number}".encode()) as answer:
                await answer.read()

        # All at once: a message of the batch between any two of them would be answered meanwhile.
        await asyncio.gather(*map(post, range(messages)))

    async def receive(self, request: web.Request) -> web.Response:
        """Note a notification, and answer with the number of results."""
        if request.method != "POST":
            return web.Response()
        document = await request.json()
        status = document["data"]["status"]
        end = status["state"], status["generation"], status["ended"]
        kind = document["type"].removeprefix("batch.").replace("ended", "notify")
        self.notices.append(Notice(request.headers["webhook-id"], kind, end))
        return web.json_response({"sum": status["succeeded"]})


async def restart(service: Service, pause: float) -> None:
    """Kill a service and start it again, on ports one of which a foreign connection may hold for a moment."""
    service.kill()
    await asyncio.sleep(pause)
    once_more = retry_if_exception_type(ServiceStartError)
    await retry(retry=once_more, stop=stop_after_delay(60), wait=wait_fixed(1), reraise=True)(service.restart)()


@contextlib.asynccontextmanager
async def stage(
    settings: Mapping[str, str] | None = None, *, workers: int = 12, redelivery: float = 1.5, older: Path | None = None
) -> AsyncIterator[Stage]:
    """Start services, gateway and functions; Redis writes every change to disk before it answers. Raises LocalError.

    `settings` go over SETTINGS. `redelivery` is the seconds after which the queue delivers again what was not
    acknowledged. `older` is the tree of an older version, for the steps that deploy it.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        redis, s3 = await enter(redis_server(appendonly=True)), await enter(s3_server())
        stack = await enter(local_stack(workers=workers, ack_wait=redelivery, pipeline_replicas=0, redis=redis, s3=s3))
        folder = stack.directory / "chaos"
        folder.mkdir()
        relays = [await _relays(stack, cleanup) for _ in range(REPLICAS)]
        pipeline = await enter(Pipeline(stack.gateway_url, patience=PATIENCE))
        http = await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        one = Stage(stack, pipeline, http, folder, relays)
        model = {"MODEL_LOG": str(folder / "calls.ndjson"), "MODEL_SWITCH": str(folder / "switch")}
        command = (sys.executable, "-m", "bench.chaos.model")
        await stack.add_function(FunctionSpec(MODEL, command, {"PYTHONPATH": str(ROOT), **model}, replicas=REPLICAS))
        await stack.add_function(FunctionSpec(RECEIVER, url=await enter(_serve(one.receive))))
        chaos = {
            "CHAOS_POINT": str(folder / "point"),
            LOG: str(folder / "callbacks"),
            "CHAOS_OLDER": str(older or ""),
            "CHAOS_LINKS": json.dumps([{name: relay.port for name, relay in link.items()} for link in relays]),
            "s3_public_endpoint": stack.s3.endpoint,
        }
        await stack.add_pipeline(REPLICAS, {**SETTINGS, **chaos, **(settings or {})}, module="bench.chaos.replica")
        yield one


async def _relays(stack: LocalStack, cleanup: contextlib.AsyncExitStack) -> dict[str, Relay]:
    """Start the relays of one replica."""
    addresses = {"redis": stack.redis_url, "s3": stack.s3.endpoint, "gateway": stack.gateway_url}
    relays = {name: Relay(URL(address).port or 0) for name, address in addresses.items()}
    for relay in relays.values():
        cleanup.callback((await relay.start()).close)
    return relays


@contextlib.asynccontextmanager
async def _serve(handler: Handler) -> AsyncIterator[str]:
    """Serve a handler of all requests in this process; yields its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
