"""The faults of each way, and their times."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil
from redis.asyncio import Redis

from bench.compare.stage import Stage, redis_url
from bench.compare.ways import Layout, Way
from pipeline.local.openfaas.message_queue import Message

PARALLELISM = 4
# A message without an answer counts as lost after 30 s, in every way that has such a setting.
TASK_TIMEOUT, ACK_WAIT = 10, 20
LOST_AFTER = TASK_TIMEOUT + ACK_WAIT
CELERY_DEFAULT = 3600
ONE_NODE = Layout(PARALLELISM, ack_wait=ACK_WAIT, lost_after=LOST_AFTER)
HALF, LATE = 0.5, 0.95

# Makes a fault happen, and sets the event when it has: a second delivery comes some time after the strike.
Strike = Callable[["Stage", asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One fault, which happens once.

    `done` describes it for this way; `strike` makes it happen at the model call after the share `at` of all calls, or
    before the submission for 0.
    """

    way: Way
    name: str
    done: str
    strike: Strike
    at: float = HALF
    layout: Layout = ONE_NODE


async def _kill_replica(ready: Stage, struck: asyncio.Event) -> None:
    replicas = ready.stack.gateway.functions["worker" if ready.way == "original" else ready.way].replicas
    max(replicas, key=lambda replica: replica.inflight).kill()
    struck.set()


async def _kill_worker(ready: Stage, struck: asyncio.Event) -> None:
    for worker in ready.working()[:1]:
        _kill(worker, struck)


async def _kill_node(ready: Stage, struck: asyncio.Event) -> None:
    for worker in ready.working()[:1]:
        _kill(worker.parent() or worker, struck)


def _kill(victim: psutil.Process, struck: asyncio.Event) -> None:
    # Its children die with it, as in a container that ends.
    for process in (*victim.children(recursive=True), victim):
        process.kill()
    struck.set()


def _twice(struck: asyncio.Event, chosen: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], Sequence[float]]:
    """Return a hook that repeats the first of the deliveries that may be chosen."""

    def hook(delivery: object) -> Sequence[float]:
        if struck.is_set() or not chosen(delivery):
            return (0.0,)
        struck.set()
        return (0.0, 0.0)

    return hook


async def _double_message(ready: Stage, struck: asyncio.Event) -> None:
    function, mode = ("pipeline", "task") if ready.way == "pipeline" else ("worker", None)

    def is_task(message: Message) -> bool:
        return message.function == function and message.headers.get("X-Mode") == mode

    ready.stack.gateway.messages_hook = _twice(struck, is_task)


async def _double_callback(ready: Stage, struck: asyncio.Event) -> None:
    ready.stack.gateway.callbacks_hook = _twice(struck)


async def _double_celery(ready: Stage, struck: asyncio.Event) -> None:
    """Queue a copy of the next message, as the transport does after a visibility timeout."""
    async with Redis.from_url(redis_url(ready.stack)) as client:
        commands: Any = client
        message = await commands.lindex("celery", -1)
        if message is not None:
            await commands.rpush("celery", message)
            struck.set()


async def _double_lithops(ready: Stage, struck: asyncio.Event) -> None:
    """Start the process of the running job a second time."""
    for worker in ready.working()[:1]:
        job = worker.parent()
        if job is not None:
            ready.children.start(job.cmdline(), log="again.log", environment=job.environ())
            struck.set()


KILLED, NODE, TWICE = "worker killed", "node killed", "delivered twice"
_HALF = "SIGKILL at half-time"
_LATER = f"one of two workers, {_HALF}; visibility_timeout"
_SETTINGS = {"task_timeout": str(TASK_TIMEOUT), "ack_wait": str(ACK_WAIT)}
_PIPELINE = replace(ONE_NODE, settings=_SETTINGS)
_TWO_REPLICAS = replace(_PIPELINE, replicas=2)
_TWO_NODES = replace(ONE_NODE, nodes=2)
_TWO_PATIENT_NODES = Layout(PARALLELISM, nodes=2, lost_after=CELERY_DEFAULT)

FAULTS: tuple[Fault, ...] = (
    Fault("pipeline", KILLED, f"one of two replicas, {_HALF}", _kill_replica, layout=_TWO_REPLICAS),
    Fault("pipeline", TWICE, "the callback of a task", _double_callback, layout=_PIPELINE),
    Fault("pipeline", TWICE, "the message of a task", _double_message, 0, _PIPELINE),
    Fault("original", KILLED, f"one of two replicas of worker, {_HALF}", _kill_replica, layout=_TWO_REPLICAS),
    Fault("original", TWICE, "the message of an item", _double_message, 0),
    Fault("celery", KILLED, f"one of four pool processes, {_HALF}", _kill_worker),
    Fault("celery", NODE, f"{_LATER} {LOST_AFTER} s", _kill_node, layout=_TWO_NODES),
    Fault("celery", NODE, f"{_LATER} {CELERY_DEFAULT} s, the default", _kill_node, layout=_TWO_PATIENT_NODES),
    Fault("celery", TWICE, "the message of a task, as the visibility_timeout does", _double_celery),
    Fault("lithops", KILLED, f"one of four worker processes, {_HALF}", _kill_worker),
    Fault("lithops", TWICE, "the job, whose process is started again at half-time", _double_lithops),
    Fault("dask", KILLED, f"one of four worker processes, {_HALF}", _kill_worker),
    Fault("dask", TWICE, "what a worker had done, which is lost with it: SIGKILL at 95 %", _kill_worker, LATE),
)
