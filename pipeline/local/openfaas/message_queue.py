"""The queue between gateway and workers: one for all functions, first in first out, in memory."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from multidict import CIMultiDict

Delivery_contra = TypeVar("Delivery_contra", contravariant=True)
_ENVELOPE = 300


@dataclass(frozen=True, slots=True)
class Message:
    """One queued invocation; `path` starts with a slash and keeps its query."""

    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes
    call_id: str
    callback_url: str | None

    @property
    def size(self) -> int:
        """About its size in NATS: JSON with the body in base64, and the record around it."""
        headers = sum(len(name) + len(value) + 7 for name, value in self.headers.items())
        return _ENVELOPE + headers + len(self.path) + len(self.callback_url or "") + 4 * len(self.body) // 3


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


class MessageQueue(ABC):
    """What the gateway needs of a queue."""

    def __init__(self) -> None:
        self._timers: set[asyncio.TimerHandle] = set()

    @abstractmethod
    def put(self, message: Message) -> None:
        """Queue a message."""

    @abstractmethod
    def messages(self) -> tuple[Message, ...]:
        """Return the messages that wait for a worker's turn, redeliveries among them, the next one first."""

    def wipe(self) -> None:
        """Lose all messages and future redeliveries, as a restart of NATS does."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def put_later(self, message: Message, delay: float) -> None:
        """Queue a message `delay` seconds from now, unless the queue is wiped first."""
        self._later(delay, lambda: self.put(message))

    def depth(self, function: str | None = None, match: Callable[[Message], bool] | None = None) -> int:
        """Return the number of waiting messages: all, those of one function, or those for which `match` is true."""
        return sum(
            function in (None, message.function) and (match is None or match(message)) for message in self.messages()
        )

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay, act)
        self._timers.add(timer)
