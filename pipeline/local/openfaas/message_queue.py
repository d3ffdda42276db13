"""The queue between gateway and workers: NATS Streaming with its store in memory, as OpenFaaS CE runs it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from multidict import CIMultiDict

D_contra = TypeVar("D_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Message:
    """One queued invocation; `path` starts with a slash and keeps its query."""

    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes
    call_id: str
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class Callback:
    """One answer on its way home; `path` is the target's path with its query."""

    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes
    call_id: str
    url: str
    status: int


class Hook(Protocol[D_contra]):
    """Decides on what happens to a message or a callback, for tests of what a platform can do to one.

    The answer lists after how many seconds it is delivered: `[0.0]` as usual, `[]` never, `[0, 0, 5]` twice
    at once and again five seconds later.
    """

    def __call__(self, delivery: D_contra, /) -> Sequence[float]: ...  # noqa: D102


def once(_delivery: object, /) -> Sequence[float]:
    """Deliver at once, one time: the platform on a good day."""
    return (0.0,)


class Lease:
    """A message with a worker. Without an acknowledgement in time it is delivered again, and again."""

    def __init__(self, queue: "MessageQueue", message: Message) -> None:
        self._queue = queue
        self.message = message
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledged = False

    def start(self) -> None:
        """Start the clock at the first delivery; a redelivery restarts it by itself."""
        if self._timer is None and not self._acknowledged:
            self._timer = asyncio.get_running_loop().call_later(self._queue.ack_wait, self._redeliver)

    def acknowledge(self) -> None:
        """End the redeliveries; those already handed out still run, as with NATS Streaming."""
        self._acknowledged = True
        self._queue.outstanding.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _redeliver(self) -> None:
        self._queue.put_back(self)
        self._timer = asyncio.get_running_loop().call_later(self._queue.ack_wait, self._redeliver)


class MessageQueue:
    """One queue for all functions, first in first out; a redelivery goes before what was never delivered."""

    def __init__(self, ack_wait: float) -> None:
        self.ack_wait = ack_wait
        self.outstanding: set[Lease] = set()
        self._waiting: deque[Lease] = deque()
        self._depths: Counter[str] = Counter()
        self._available = asyncio.Semaphore(0)
        self._delayed: set[asyncio.TimerHandle] = set()

    def put(self, message: Message) -> None:
        """Queue a message."""
        self._waiting.append(Lease(self, message))
        self._count(message)

    def put_later(self, message: Message, delay: float) -> None:
        """Queue a message `delay` seconds from now, unless the queue is wiped before."""

        def put() -> None:
            self._delayed.discard(timer)
            self.put(message)

        timer = asyncio.get_running_loop().call_later(delay, put)
        self._delayed.add(timer)

    def put_back(self, lease: Lease) -> None:
        """Queue a message that was not acknowledged in time."""
        self._waiting.appendleft(lease)
        self._count(lease.message)

    async def take(self) -> Lease:
        """Wait for the next message and start the clock of its acknowledgement."""
        while True:
            await self._available.acquire()
            if self._waiting:
                lease = self._waiting.popleft()
                self._depths[lease.message.function] -= 1
                self.outstanding.add(lease)
                lease.start()
                return lease

    def depth(self, function: str | None = None, match: Callable[[Message], bool] | None = None) -> int:
        """Return how many messages wait: in all, for one function, or those that `match` says yes to."""
        if match is not None:
            return sum(function in (None, message.function) and match(message) for message in self.messages())
        return len(self._waiting) if function is None else self._depths[function]

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages, next one first."""
        return tuple(lease.message for lease in self._waiting)

    def wipe(self) -> None:
        """Lose everything that waits and every redelivery to come: a restart of NATS. What runs goes on."""
        for timer in self._delayed:
            timer.cancel()
        self._delayed.clear()
        for lease in tuple(self.outstanding):
            lease.acknowledge()
        self._waiting.clear()
        self._depths.clear()

    def _count(self, message: Message) -> None:
        self._depths[message.function] += 1
        self._available.release()
