"""The plan of a run, a pure function of its seed.

Two kinds of faults. *Steps* are an ordered list: each is armed once the one before has fired, and fires at the nth
event of its kind from then on. *Rules* decide on each message, callback and call by a hash of its identity and of how
often it was seen; they have no order, and need none. Neither depends on a clock.
"""

import hashlib
import random
from dataclasses import dataclass, field

from bench.chaos.model import make_items

# Events at the gateway that a step can wait for; any other name is a call of a pipeline replica, see `replica`.
GATEWAY_EVENTS = ("enqueue", "message", "callback", "call")
# How often the rules may hit one message: fewer than a task may be lost.
MOST_HITS = 3


@dataclass(frozen=True)
class Step:
    """A fault that fires at the `count`th `event` after the step before; `value` is a place, a number or seconds."""

    fault: str
    event: str
    count: int
    value: float = 0

    def __str__(self) -> str:
        return f"{self.fault}({self.value:g}) at {self.event} {self.count}"


@dataclass(frozen=True)
class Rules:
    """The share of deliveries and requests that each of these happens to."""

    seed: int
    shares: dict[str, float]

    def decide(self, kind: str, identity: tuple[object, ...], occurrence: int) -> float | None:
        """Return a number of [0, 1) when this hits the `occurrence`th with this identity, None when it does not."""
        share = self.shares.get(kind, 0.0)
        parts = (self.seed, (kind, identity, occurrence))
        drawn = int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()) / 2**64
        return drawn / share if drawn < share and occurrence < MOST_HITS else None


@dataclass(frozen=True)
class Plan:
    """A batch and its faults. `options` are those of the batch; `by_key`: its rows are submitted by key, not inline."""

    seed: int
    rows: list[str] = field(repr=False)
    options: dict[str, int]
    by_key: bool
    steps: list[Step]
    rules: Rules
    redrive: bool = False


_SHARES = {
    **dict.fromkeys(("drop-callback", "drop-message"), 0.08),
    **dict.fromkeys(("repeat-callback", "repeat-message", "delay-callback", "delay-message"), 0.15),
    **dict.fromkeys(("refuse-enqueue", "lose-enqueue", "refuse-message", "lose-message"), 0.08),
    **dict.fromkeys(("refuse-call", "lose-call", "refuse-callback", "lose-callback"), 0.08),
}
# The faults of a replica itself; all others are those of the platform, or requests of a user.
INNER = ("die-before", "die-after", "fail-before", "fail-after")
# In the order in which they come.
_OPENING = (
    *("redis:zadd", "redis:claim", "s3:PutObject:open/", "s3:PutObject:spec.json", "s3:GetObject"),
    *("s3:PutObject:input/", "redis:begin", "gateway:enqueue:task", "redis:confirm_window"),
)
_MIDDLE = (
    *("redis:settle", "redis:repair", "redis:segment_written", "redis:read_segment", "redis:any"),
    *("s3:PutObject:segments/", "s3:any", "gateway:enqueue:task", "gateway:call"),
)
# After Redis has lost everything: the survey, the claim, and the rebuilt ledger.
_RECOVERY = (
    *("s3:ListObjectsV2:open/", "redis:zadd", "gateway:enqueue:open", "redis:claim"),
    *("s3:CopyObject:segments/", "redis:restore"),
)
_REDUCE = ("gateway:enqueue:reduce", "redis:lease_reduce", "s3:ListObjectsV2:segments/")
_WHOLE = ("s3:PutObject:summary.json",)
_IN_PARTS = ("s3:CreateMultipartUpload", "s3:UploadPart", "s3:CompleteMultipartUpload")
_LAST = (
    *("s3:CopyObject:.json", "redis:finish", "s3:PutObject:status.json", "s3:PutObject:ended/"),
    *("s3:DeleteObject:open/", "redis:zrem"),
)
# Rows whose results make a summary of several parts.
_LARGE = 400
# The most calls that a point in the middle waits for: some of these come a few times in a replica's life.
_SELDOM = 2
_OUTER = (
    *("wipe-queue", "kill-pipeline", "kill-model", "refuse-enqueues", "restart-redis", "restart-s3"),
    *("lose-redis", "pause"),
)


def make_plan(seed: int, *, short: bool = False) -> Plan:
    """Draw a run from its seed: 200 to 2,000 items and up to 8 faults in the middle, or few of both."""
    dice = _Dice(seed)
    least, most, faults = (60, 200, 2) if short else (200, 2_000, 8)
    count = round(least * (most / least) ** dice.random())
    deadly = dice.choice((0, 0, 1, 2))
    large = count >= _LARGE and dice.hits(0.3)
    rows = make_items(dice, count, dice.choice((0.0, 0.03, 0.1)), deadly)
    if large:
        rows[:_LARGE] = [f"big 20000 {number}" for number in range(_LARGE)]
    chunk = dice.choice((1, 1, 3, 10))
    options = {
        "chunk": chunk,
        "window": dice.choice((8, 16, 32, 128)),
        "concurrency": dice.choice((1, 4, 8)),
        "attempts": dice.choice((2, 3, 4)),
        "timeout": 1,
        "deadline": 600,
        "inline_limit": 1_000_000 if large else dice.choice((65_536, 4_000)),
    }
    by_key = dice.hits(0.5)
    chosen = [kind for kind in _SHARES if dice.hits(0.4)]
    shares = {kind: round(_SHARES[kind] * dice.uniform(0.2, 1.0), 4) for kind in chosen}
    failing = ("redis:fail",) if shares.keys() & {"refuse-message", "lose-message"} else ()
    opening = dice.in_order(_OPENING, dice.choice((0, 0, 1, 2)))
    ending = dice.in_order((*_REDUCE, *(_IN_PARTS if large else _WHOLE), *_LAST), dice.choice((0, 1, 1, 2)))
    middle = _middle(dice, (*_MIDDLE, *failing), faults, tasks=-(-count // chunk))
    return Plan(seed, rows, options, by_key, [*opening, *middle, *ending], Rules(seed, shares), dice.hits(0.25))


class _Dice(random.Random):
    """Draws steps that are faults of a replica."""

    def hits(self, share: float) -> bool:
        return self.random() < share

    def inner(self, points: tuple[str, ...], most: int) -> Step:
        return Step(self.choice(INNER), self.choice(points), self.randint(1, most))

    def in_order(self, points: tuple[str, ...], number: int) -> list[Step]:
        return sorted((self.inner(points, 1) for _ in range(number)), key=lambda step: points.index(step.event))


def _middle(dice: _Dice, points: tuple[str, ...], most: int, tasks: int) -> list[Step]:
    """Draw the steps of the middle: their counts add up to less than the batch has."""
    number = dice.randint(1, most)
    room = max(1, tasks * 3 // 4 // (number + 1))
    steps = [step for _ in range(number) for step in _one_of_the_middle(dice, points, room)]
    if dice.hits(0.15):
        steps.append(Step("cancel", dice.choice(("callback", "enqueue")), dice.randint(1, room)))
    elif dice.hits(0.2):
        steps.append(Step("resubmit", "callback", dice.randint(1, room)))
    return steps


def _one_of_the_middle(dice: _Dice, points: tuple[str, ...], room: int) -> list[Step]:
    """Draw a step, and for Redis without its data the faults of the recovery, or a pause meanwhile."""
    if dice.hits(0.4):
        # Counted by replica, so that half of what there is may pass by.
        return [dice.inner(points, min(_SELDOM, room))]
    if dice.hits(0.2):
        event, room = dice.choice(points), 1
    else:
        event = dice.choice(GATEWAY_EVENTS)
    fault = dice.choice(_OUTER)
    values = {"kill-pipeline": dice.randint(0, 2), "kill-model": dice.randint(0, 2), "refuse-enqueues": 5}
    steps = [Step(fault, event, dice.randint(1, room), values.get(fault, dice.choice((0.0, 0.3, 1.0))))]
    if fault == "lose-redis":
        steps += dice.in_order(_RECOVERY, dice.choice((0, 0, 1, 2)))
        if dice.hits(0.3):
            steps.append(Step("pause", "redis:restore", 1, dice.choice((0.0, 0.3))))
    return steps
