"""The queue between gateway and workers: NATS Streaming with its store in memory, as OpenFaaS CE runs it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from multidict import CIMultiDict

Delivery_contra = TypeVar("Delivery_contra", contravariant=True)


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
    """One callback with a function's answer; `path` is the target's path with its query."""

    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes
    call_id: str
    url: str
    status: int


class Hook(Protocol[Delivery_contra]):
    """Decides how a message or a callback is delivered, so that tests can lose, delay or repeat it.

    It returns the delays of the deliveries in seconds: `[0.0]` once at once, `[]` never, `[0, 0, 5]` twice at once and
    again five seconds later.
    """

    def __call__(self, delivery: Delivery_contra, /) -> Sequence[float]: ...  # noqa: D102


def once(_delivery: object, /) -> Sequence[float]:
    """Deliver once, at once: the platform without faults."""
    return (0.0,)


class Lease:
    """A message held by a worker. It is redelivered until it is acknowledged."""

    def __init__(self, queue: "MessageQueue", message: Message) -> None:
        self._queue = queue
        self.message = message
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledged = False

    def start(self) -> None:
        """Start the `ack_wait` timer at the first delivery; each redelivery restarts it."""
        if self._timer is None and not self._acknowledged:
            self._timer = asyncio.get_running_loop().call_later(self._queue.ack_wait, self._redeliver)

    def acknowledge(self) -> None:
        """Stop the redeliveries; those that a worker already holds still run, as with NATS Streaming."""
        self._acknowledged = True
        self._queue.outstanding.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _redeliver(self) -> None:
        self._queue.put_back(self)
        self._timer = asyncio.get_running_loop().call_later(self._queue.ack_wait, self._redeliver)


class MessageQueue:
    """One queue for all functions, first in first out; a redelivery goes before messages that were never delivered."""

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
        """Queue a message `delay` seconds from now, unless the queue is wiped first."""

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
        """Wait for the next message, and start its `ack_wait` timer."""
        while True:
            await self._available.acquire()
            if self._waiting:
                lease = self._waiting.popleft()
                self._depths[lease.message.function] -= 1
                self.outstanding.add(lease)
                lease.start()
                return lease

    def depth(self, function: str | None = None, match: Callable[[Message], bool] | None = None) -> int:
        """Return the number of waiting messages: all, those of one function, or those for which `match` is true."""
        if match is not None:
            return sum(function in (None, message.function) and match(message) for message in self.messages())
        return len(self._waiting) if function is None else self._depths[function]

    def messages(self) -> tuple[Message, ...]:
        """Return the waiting messages, the next one first."""
        return tuple(lease.message for lease in self._waiting)

    def wipe(self) -> None:
        """Lose all waiting messages and future redeliveries, as a restart of NATS does. Running calls continue."""
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
