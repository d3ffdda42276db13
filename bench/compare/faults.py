"""The faults of each way, and their times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from bench.compare.peers import Layout, redis_url
from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psutil

    from bench.compare.forms import Way
    from bench.compare.stage import Stage
    from pipeline.local.openfaas.message_queue import Callback, Message

PARALLELISM = 4
# A message without an answer counts as lost after 30 s, in every way that has such a setting.
TASK_TIMEOUT, ACK_WAIT = 10, 20
LOST_AFTER = TASK_TIMEOUT + ACK_WAIT
CELERY_DEFAULT = 3600
HALF, LATE = 0.5, 0.95

# Returns whether the fault has happened: the second delivery comes some time after the strike.
Happened = Callable[[], bool]
Strike = Callable[["Stage"], Awaitable[Happened]]
ONE_NODE = Layout(PARALLELISM, ack_wait=ACK_WAIT, lost_after=LOST_AFTER)
TWO_PATIENT_NODES = Layout(PARALLELISM, nodes=2, lost_after=CELERY_DEFAULT)
TWO_NODES = Layout(PARALLELISM, nodes=2, ack_wait=ACK_WAIT, lost_after=LOST_AFTER)


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
    replicas: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


def _kill_replica(function: str) -> Strike:
    async def strike(ready: Stage) -> Happened:
        replicas = ready.stack.gateway.functions[function].replicas
        max(replicas, key=lambda replica: replica.inflight).kill()
        return _now

    return strike


def _now() -> bool:
    return True


async def _kill_worker(ready: Stage) -> Happened:
    victim = _working(ready)[0]
    # Its children die with it, as in a container that ends.
    for process in (*victim.children(recursive=True), victim):
        process.kill()
    return _now


async def _kill_node(ready: Stage) -> Happened:
    if ready.peer is None:
        raise BenchError(f"{ready.way} has no nodes")
    ready.peer.nodes[0].kill()
    return _now


def _working(ready: Stage) -> list[psutil.Process]:
    workers = ready.peer.working() if ready.peer else []
    if not workers:
        raise BenchError(f"no process of {ready.way} works on tasks")
    return workers


async def _double_message(ready: Stage) -> Happened:
    function, mode = ("pipeline", "task") if ready.way == "pipeline" else ("worker", None)
    once = _Once()

    def hook(message: Message) -> Sequence[float]:
        chosen = message.function == function and message.headers.get("X-Mode") == mode
        return once(chosen=chosen)

    ready.stack.gateway.messages_hook = hook
    return once.spent


async def _double_callback(ready: Stage) -> Happened:
    once = _Once()

    def hook(_callback: Callback) -> Sequence[float]:
        return once(chosen=True)

    ready.stack.gateway.callbacks_hook = hook
    return once.spent


class _Once:
    """Repeats the first of the deliveries that may be chosen."""

    def __init__(self) -> None:
        self._spent = False

    def __call__(self, *, chosen: bool) -> Sequence[float]:
        twice = chosen and not self._spent
        self._spent = self._spent or chosen
        return (0.0, 0.0) if twice else (0.0,)

    def spent(self) -> bool:
        """Return whether there was one."""
        return self._spent


async def _double_celery(ready: Stage) -> Happened:
    """Queue a copy of the next message, as the transport does after a visibility timeout."""
    async with Redis.from_url(redis_url(ready.stack)) as client:
        commands: Any = client
        message = await commands.lindex("celery", -1)
        if message is None:
            raise BenchError("no message of celery waits: there is none to deliver twice")
        await commands.rpush("celery", message)
    return _now


async def _double_lithops(ready: Stage) -> Happened:
    """Start the process of the running job a second time."""
    job = _working(ready)[0].parent()
    if ready.peer is None or job is None:
        raise BenchError("no job of lithops runs")
    ready.peer.children.start(job.cmdline(), log="again.log", environment=job.environ())
    return _now


_PIPELINE = {"task_timeout": str(TASK_TIMEOUT), "ack_wait": str(ACK_WAIT)}
KILLED, NODE, TWICE = "worker killed", "node killed", "delivered twice"

_HALF = "SIGKILL at half-time"
_LATER = f"one of two workers, {_HALF}; visibility_timeout"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "pipeline", KILLED, f"one of two replicas, {_HALF}", _kill_replica("pipeline"), replicas=2, settings=_PIPELINE
    ),
    Fault("pipeline", TWICE, "the callback of a task", _double_callback, settings=_PIPELINE),
    Fault("pipeline", TWICE, "the message of a task", _double_message, at=0, settings=_PIPELINE),
    Fault("original", KILLED, f"one of two replicas of worker, {_HALF}", _kill_replica("worker"), replicas=2),
    Fault("original", TWICE, "the message of an item", _double_message, at=0),
    Fault("celery", KILLED, f"one of four pool processes, {_HALF}", _kill_worker),
    Fault("celery", NODE, f"{_LATER} {LOST_AFTER} s", _kill_node, layout=TWO_NODES),
    Fault("celery", NODE, f"{_LATER} {CELERY_DEFAULT} s, the default", _kill_node, layout=TWO_PATIENT_NODES),
    Fault("celery", TWICE, "the message of a task, as the visibility_timeout does", _double_celery),
    Fault("lithops", KILLED, f"one of four worker processes, {_HALF}", _kill_worker),
    Fault("lithops", TWICE, "the job, whose process is started again at half-time", _double_lithops),
    Fault("dask", KILLED, f"one of four worker processes, {_HALF}", _kill_worker),
    Fault("dask", TWICE, "what a worker had done, which is lost with it: SIGKILL at 95 %", _kill_worker, at=LATE),
)
