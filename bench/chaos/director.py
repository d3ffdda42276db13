"""The director of a plan: hooks into the gateway, counts events, and fires the steps one after the other."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

from bench.chaos.evidence import Seen
from bench.chaos.model import items_of
from bench.chaos.plan import END, GATEWAY_EVENTS, INNER, RECEIVER, Step
from bench.chaos.stage import MODEL, Stage
from bench.chaos.strikes import STRIKES
from bench.chaos.user import User
from pipeline.local.openfaas.exchange import Answer, Exchange, proceed_unchanged
from pipeline.local.openfaas.message_queue import Callback, Message

if TYPE_CHECKING:
    from pathlib import Path

POLL = 0.02
REFUSALS = (429, 500, 502, 503)
LOSSES = (502, 503)


class Director:
    """The faults of one run. `fired` are the steps in their order, `faults` counts steps and rules by kind.

    The time of a rule's fault depends on the machine, so it is not among `fired`. `messages` and `callbacks` are all
    that were delivered; `copy` is the data of Redis as it was when the step that restores it was armed.
    """

    def __init__(self, user: User) -> None:
        self.user: User = user
        self.stage: Stage = user.stage
        self.seen: list[Seen] = []
        self.fired: list[str] = []
        self.faults: Counter[str] = Counter()
        self.messages: list[Message] = []
        self.callbacks: list[Callback] = []
        self.copy: Path | None = None
        self.refusing = 0
        self._steps = deque(user.plan.steps)
        self._gateway = user.stage.stack.gateway
        self._point = user.stage.folder / "point"
        self._awaited, self._left = "", 0
        self._reached, self._idle = asyncio.Event(), asyncio.Event()
        self._occurrences: Counter[tuple[object, ...]] = Counter()
        self._later: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Hook into the gateway and arm the first step."""
        self._gateway.interceptor = self._intercept
        self._gateway.messages_hook = self._message
        self._gateway.callbacks_hook = self._callback
        self._idle.set()
        self._performance = asyncio.create_task(self._perform())

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the next steps; `settle` waits for it."""
        self._later.add(asyncio.create_task(work))

    async def settle(self) -> None:
        """Wait for the step under way and for all that has an end: killed and frozen processes are up again then."""
        await self._idle.wait()
        await asyncio.gather(*self._later)
        if self._performance.done():
            self._performance.result()

    async def stop(self) -> None:
        """Finish a step under way, then remove the hooks."""
        try:
            await self.settle()
        finally:
            self._performance.cancel()
            self._arm({})
            self._gateway.interceptor = proceed_unchanged
            self._gateway.messages_hook = self._gateway.callbacks_hook = lambda _: (0.0,)

    async def at_end(self) -> bool:
        """Make the request that comes at this end, beside the steps after it; returns whether there is one.

        Steps before it whose events have not come are left out.
        """
        await self._idle.wait()
        self._performance.cancel()
        self._awaited = ""
        self._arm({})
        await asyncio.wait([self._performance])
        if not self._performance.cancelled():
            self._performance.result()
        while self._steps and self._steps[0].event != END:
            self._steps.popleft()
        step = self._steps.popleft() if self._steps else None
        self._performance = asyncio.create_task(self._perform())
        if step is not None:
            await asyncio.sleep(step.value)
            await self._strike(step)
        return step is not None

    async def _perform(self) -> None:
        """Wait for the event of each step up to the next end, and strike."""
        while self._steps and self._steps[0].event != END:
            step = self._steps[0]
            if step.fault == "restore-redis":
                self.copy = await self.stage.copy_redis()
            if step.event in GATEWAY_EVENTS:
                self._awaited, self._left = step.event, step.count
                self._reached.clear()
                await self._reached.wait()
            else:
                await self._watch(step)
            self._steps.popleft()
            try:
                await self._strike(step)
            finally:
                self._idle.set()

    async def _strike(self, step: Step) -> None:
        self.fired.append(str(step))
        self.faults[step.fault] += 1
        # The faults of a replica are its own.
        if step.fault not in INNER:
            await STRIKES[step.fault](self, step)

    async def _watch(self, step: Step) -> None:
        """Arm a point, and wait until a replica takes it."""
        number = len(self.user.plan.steps) - len(self._steps)
        self._arm(
            {"number": number, "fault": step.fault, "event": step.event, "count": step.count, "value": step.value}
        )
        fired = self._point.with_name(f"fired-{number}")
        while not fired.exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(POLL)
        self._idle.clear()
        self._arm({})
        if step.fault.startswith("freeze"):
            self.later(self.stage.leave_out(int(fired.read_text() or 0), step.value))

    def _arm(self, point: dict[str, object]) -> None:
        temporary = self._point.with_name("point.new")
        temporary.write_text(json.dumps(point))
        temporary.rename(self._point)

    def _event(self, kind: str) -> None:
        """Count an event at the gateway, and fire the step that waits for it."""
        if kind == self._awaited:
            self._left -= 1
            if self._left == 0:
                self._awaited = ""
                self._idle.clear()
                self._reached.set()

    async def wipe_queue(self) -> None:
        """Lose all messages of the queue."""
        self.seen += [Seen("message", message.call_id, "", "wipe", 0) for message in self._gateway.messages()]
        self._gateway.wipe_queue()

    async def refuse_enqueues(self, number: int) -> None:
        """Refuse the next messages."""
        self.refusing = number

    def _decide(self, kind: str, identity: tuple[object, ...]) -> float | None:
        occurrence = self._occurrences[kind, identity]
        self._occurrences[kind, identity] += 1
        drawn = self.user.plan.rules.decide(kind, identity, occurrence)
        if drawn is not None:
            self.faults[kind] += 1
        return drawn

    def _message(self, message: Message) -> Sequence[float]:
        self.messages.append(message)
        return self._delays("message", message.call_id, _identity(message.headers, message.path))

    def _callback(self, callback: Callback) -> Sequence[float]:
        self.callbacks.append(callback)
        return self._delays("callback", callback.call_id, _identity({}, callback.path))

    def _delays(self, kind: str, call_id: str, identity: tuple[object, ...]) -> Sequence[float]:
        if self._decide(f"drop-{kind}", identity) is not None:
            self.seen.append(Seen(kind, call_id, "", "drop", 0))
            return ()
        later = self._decide(f"delay-{kind}", identity)
        again = self._decide(f"repeat-{kind}", identity)
        return (later or 0.0, *(() if again is None else (0.0, again)))

    async def _intercept(self, exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
        kind = _kind(exchange)
        if not kind:
            return await proceed()
        body = exchange.body.decode() if kind == "call" and isinstance(exchange.body, bytes) else ""
        identity = (body,) if body else _identity(exchange.headers, exchange.path)
        self._event(kind)
        started, fault, status = time.monotonic(), "", 0
        try:
            refused = self._refused(kind, identity)
            if refused is not None:
                fault, status = "refuse", _draw(REFUSALS, refused)
                return _failure(status)
            lost = self._decide(f"lose-{kind}", identity)
            answer = await proceed()
            status = answer.status
            if lost is not None:
                fault, status = "lose", _draw(LOSSES, lost)
                return _failure(status)
            return answer
        finally:
            call_id, seconds = exchange.headers.get("X-Call-Id", ""), time.monotonic() - started
            names = items_of(body) if body else ["/".join(map(str, identity))]
            self.seen += [Seen(kind, call_id, name, fault, status, seconds) for name in names]

    def _refused(self, kind: str, identity: tuple[object, ...]) -> float | None:
        if kind == "enqueue" and self.refusing:
            self.refusing -= 1
            return 0.5
        return self._decide(f"refuse-{kind}", identity)


def _kind(exchange: Exchange) -> str:
    """Return which event a request is, '' for a user's; a direct call of the model is a call."""
    if exchange.function == RECEIVER:
        return "notice"
    if exchange.kind == "message" and exchange.function == MODEL:
        return "call"
    if exchange.kind != "function":
        return exchange.kind
    if exchange.function == MODEL:
        return "call"
    return "callback" if exchange.path.startswith("/collect") else ""


def _identity(headers: Any, path: str) -> tuple[object, ...]:
    """Return what names a message or a callback: that of a direct call has an id only."""
    query = parse_qs(urlsplit(path).query)
    names = tuple(query.get(name, [""])[0] for name in ("generation", "task", "attempt"))
    return (headers.get("X-Mode", ""), *names) if any(names) or not headers else (headers.get("X-Call-Id", ""),)


def _draw(statuses: Sequence[int], drawn: float) -> int:
    return statuses[int(drawn * len(statuses))]


def _failure(status: int) -> Answer:
    return Answer(status, CIMultiDict(), b"chaos")
