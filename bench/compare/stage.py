"""The stage of a way: a local stack with the model function behind its gateway, and the processes of the way, warm."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from bench.compare import peers
from bench.compare.peers import DRIVER, MODEL, Layout, Peer, environment, peer
from bench.kit.errors import BenchError
from bench.kit.stack import model_spec, pids
from pipeline.client import Pipeline
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import LocalStack, local_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bench.compare.forms import Form, Way
    from bench.kit.processes import Pids
    from pipeline.client import SpecFields
    from pipeline.local.services.redis_and_s3 import RedisServer, S3Server

PATIENCE = ClientTimeout(total=None)
ORIGINAL = ("fan-out", "worker", "collector")

# Submits a batch: its id, the key of its input, its form.
Submit = Callable[[str, str, "Form"], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Ground:
    """The parts that all ways share: the services, and the milliseconds of a model call."""

    redis: RedisServer
    s3: S3Server
    model_ms: int


@dataclass(frozen=True)
class Stage:
    """A way that is ready for batches; `peer` is None for those that run as functions."""

    way: Way
    stack: LocalStack
    submit: Submit
    peer: Peer | None

    def groups(self) -> dict[str, Pids]:
        """Return the processes by group: `way` are those of the way, the others serve every way alike."""
        names = ORIGINAL if self.way == "original" else ("pipeline",)
        own = self.peer.roots if self.peer else tuple(pid for name in names for pid in self.stack.pids(name))
        return {"way": own, **pids(self.stack, (MODEL,))}


@contextlib.asynccontextmanager
async def stage(
    way: Way, ground: Ground, layout: Layout, *, replicas: int = 1, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """Start a way with `layout.parallelism` queue-workers or worker processes; raises LocalError.

    `replicas` are those of the function that works on items, `settings` the pipeline's, for the ways that have them.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        http = await enter(ClientSession(timeout=PATIENCE))
        running = local_stack(
            [model_spec(MODEL, ground.model_ms)],
            workers=layout.parallelism,
            ack_wait=layout.ack_wait,
            pipeline_replicas=0,
            redis=ground.redis,
            s3=ground.s3,
        )
        stack = await enter(running)
        started_peer: Peer | None = None
        if way == "pipeline":
            await stack.add_pipeline(replicas, settings or {})
            submit = _pipeline(await enter(Pipeline(stack.gateway_url)))
        elif way == "original":
            await _add_original(stack, layout, replicas)
            submit = _original(stack, http)
        else:
            started_peer = await enter(peer(way, stack, layout))
            submit = _peer(stack, http)
        yield Stage(way, stack, submit, started_peer)


async def _add_original(stack: LocalStack, layout: Layout, replicas: int) -> None:
    command = (str(peers.PYTHON), "-m", "bench.compare.baselines.original")
    settings = environment(stack, layout)
    specs = [
        FunctionSpec(name, (*command, name), settings, replicas=replicas if name == "worker" else 1)
        for name in ORIGINAL
    ]
    await asyncio.gather(*map(stack.add_function, specs))


def _pipeline(pipeline: Pipeline) -> Submit:
    async def submit(batch: str, key: str, form: Form) -> None:
        spec: SpecFields = {"function": MODEL, "column": "item", "chunk": form.chunk, **form.spec}
        await pipeline.submit(key, batch_id=batch, **spec)

    return submit


def _original(stack: LocalStack, http: ClientSession) -> Submit:
    async def submit(batch: str, key: str, _form: Form) -> None:
        await _accepted(http, f"{stack.gateway_url}/function/fan-out", headers={"X-Batch-Id": batch}, data=key)

    return submit


def _peer(stack: LocalStack, http: ClientSession) -> Submit:
    async def submit(batch: str, key: str, form: Form) -> None:
        # Not through the gateway: a client that answers at the end may take longer than its timeout.
        url = stack.gateway.functions[DRIVER].replicas[0].url
        await _accepted(http, url, json={"batch": batch, "input": key, "chunk": form.chunk})

    return submit


async def _accepted(http: ClientSession, url: str, **request: object) -> None:
    try:
        async with http.post(url, **request) as answer:  # type: ignore[arg-type]
            text = await answer.text()
    except ClientError as error:
        raise BenchError(f"the batch was not accepted: {error}") from error
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise BenchError(f"the batch was not accepted ({answer.status}): {text.strip()[-500:]}")
