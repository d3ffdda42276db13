"""The director of a plan: hooks into the gateway, counts events, and fires the steps one after the other."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from multidict import CIMultiDict

from bench.chaos.checker import Seen
from bench.chaos.plan import GATEWAY_EVENTS, Step
from bench.chaos.stage import User, restart
from pipeline.local.openfaas.exchange import Answer, Exchange, proceed_unchanged
from pipeline.local.openfaas.message_queue import Callback, Message

POLL = 0.02
REFUSALS = (429, 500, 502, 503)
LOSSES = (502, 503)


class Director:
    """The faults of one run. `fired` are the steps in their order, `faults` counts steps and rules by kind.

    The time of a rule's fault depends on the machine, so it is not among `fired`.
    """

    def __init__(self, user: User) -> None:
        self.user, self.stage = user, user.stage
        self.seen: list[Seen] = []
        self.fired: list[str] = []
        self.faults: Counter[str] = Counter()
        self.refusing = 0
        self._gateway = user.stage.stack.gateway
        self._point = user.stage.folder / "point"
        self._awaited, self._left = "", 0
        self._reached, self._idle = asyncio.Event(), asyncio.Event()
        self._occurrences: Counter[tuple[object, ...]] = Counter()

    def start(self) -> None:
        """Hook into the gateway and arm the first step."""
        self._gateway.interceptor = self._intercept
        self._gateway.messages_hook = self._message
        self._gateway.callbacks_hook = self._callback
        self._idle.set()
        self._performance = asyncio.create_task(self._perform())

    async def settle(self) -> None:
        """Wait for a step under way: the killed processes are up again then."""
        await self._idle.wait()
        if self._performance.done():
            self._performance.result()

    async def stop(self) -> None:
        """Finish a step under way, then remove the hooks."""
        await self.settle()
        self._performance.cancel()
        self._arm({})
        self._gateway.interceptor = proceed_unchanged
        self._gateway.messages_hook = self._gateway.callbacks_hook = lambda _: (0.0,)

    async def _perform(self) -> None:
        """Wait for the event of each step, and strike."""
        for number, step in enumerate(self.user.plan.steps):
            if step.event in GATEWAY_EVENTS:
                self._awaited, self._left = step.event, step.count
                self._reached.clear()
                await self._reached.wait()
            else:
                await self._watch(number, step)
            try:
                # The faults of a replica are its own.
                if step.fault in FAULTS:
                    await FAULTS[step.fault](self, step)
            finally:
                self._idle.set()
            self.fired.append(str(step))
            self.faults[step.fault] += 1

    async def _watch(self, number: int, step: Step) -> None:
        """Arm a point, and wait until a replica takes it."""
        self._arm({"number": number, "fault": step.fault, "event": step.event, "count": step.count})
        fired = self._point.with_name(f"fired-{number}")
        while not fired.exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(POLL)
        self._idle.clear()
        self._arm({})

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
        mode = message.headers.get("X-Mode", "")
        return self._delays("message", message.call_id, (mode, *_identity(message.path)))

    def _callback(self, callback: Callback) -> Sequence[float]:
        return self._delays("callback", callback.call_id, _identity(callback.path))

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
        item = exchange.body.decode() if kind == "call" and isinstance(exchange.body, bytes) else ""
        identity = (item,) if item else (exchange.headers.get("X-Mode", ""), *_identity(exchange.path))
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
            call_id, named = exchange.headers.get("X-Call-Id", ""), item or "/".join(map(str, identity))
            self.seen.append(Seen(kind, call_id, named, fault, status, time.monotonic() - started))

    def _refused(self, kind: str, identity: tuple[object, ...]) -> float | None:
        if kind == "enqueue" and self.refusing:
            self.refusing -= 1
            return 0.5
        return self._decide(f"refuse-{kind}", identity)


# The faults of the platform, and the requests of a user.
FAULTS: dict[str, Callable[[Director, Step], Awaitable[object]]] = {
    "wipe-queue": lambda run, _: run.wipe_queue(),
    "refuse-enqueues": lambda run, step: run.refuse_enqueues(int(step.value)),
    "backlog": lambda run, step: run.stage.hold_queue(int(step.value)),
    "kill-pipeline": lambda run, step: run.stage.kill("pipeline", int(step.value)),
    "kill-model": lambda run, step: run.stage.kill("model", int(step.value)),
    "restart-redis": lambda run, step: restart(run.stage.stack.redis_service, step.value),
    "restart-s3": lambda run, step: restart(run.stage.stack.s3_service, step.value),
    "lose-redis": lambda run, step: run.stage.lose_redis(step.value),
    "cancel": lambda run, _: run.user.cancel(),
    "resubmit": lambda run, _: run.user.submit(),
    "pause": lambda run, step: run.user.pause(step.value),
}


def _kind(exchange: Exchange) -> str:
    """Return which event a request is, '' for a user's."""
    if exchange.kind != "function":
        return exchange.kind
    if exchange.function != "pipeline":
        return "call"
    return "callback" if exchange.path.startswith("/collect") else ""


def _identity(path: str) -> tuple[object, ...]:
    query = parse_qs(urlsplit(path).query)
    return tuple(query.get(name, [""])[0] for name in ("generation", "task", "attempt"))


def _draw(statuses: Sequence[int], drawn: float) -> int:
    return statuses[int(drawn * len(statuses))]


def _failure(status: int) -> Answer:
    return Answer(status, CIMultiDict(), b"chaos")
