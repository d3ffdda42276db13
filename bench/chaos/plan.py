"""The plan of a run, a pure function of its seed.

Two kinds of faults. *Steps* are an ordered list: each is armed once the one before has fired, and fires at the nth
event of its kind from then on. *Rules* decide on each message, callback and call by a hash of its identity and of how
often it was seen; they have no order, and need none. Neither depends on a clock.
"""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.chaos.model import make_items
from bench.chaos.promises import FORMATS, SQL

# Events at the gateway that a step can wait for; any other name is a call of a pipeline replica, see `replica`.
GATEWAY_EVENTS = ("enqueue", "message", "callback", "call")
# The event of a step that comes once the batch has ended.
END = "end"
RECEIVER = "receiver"
# How often the rules may hit one message: fewer than a task may be lost.
MOST_HITS = 3


@dataclass(frozen=True)
class Step:
    """A fault that fires at the `count`th `event` after the step before.

    `value` is a number, seconds, or a share; `place` is a replica, all for one past the last.
    """

    fault: str
    event: str
    count: int
    value: float = 0
    place: int = 0

    def __str__(self) -> str:
        return f"{self.fault}({self.value:g}, {self.place}) at {self.event} {self.count}"


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
    options: Mapping[str, Any]
    by_key: bool
    steps: list[Step]
    rules: Rules


_SHARES = {
    **dict.fromkeys(("drop-callback", "drop-message"), 0.08),
    **dict.fromkeys(("repeat-callback", "repeat-message", "delay-callback", "delay-message"), 0.15),
    **dict.fromkeys((f"{fault}-{of}" for of in (*GATEWAY_EVENTS, "notice") for fault in ("refuse", "lose")), 0.08),
}
_PAUSES = (0.0, 0.3, 1.0)
# Longer than every lease.
_FREEZES = (4.0, 6.0)
_SHARE = (0.0, 0.3, 0.6, 0.9)
# The values from which a step draws its own. These are faults that a replica makes itself, at one of its calls:
INNER = {
    **dict.fromkeys(("die-before", "die-after", "fail-before", "fail-after"), (0.0,)),
    **dict.fromkeys(("freeze-before", "freeze-after"), _FREEZES),
    **dict.fromkeys(("slow-before", "slow-after"), (1.0, 5.0)),
}
# Of the platform:
OUTER = {
    **dict.fromkeys(("wipe-queue", "kill-pipeline", "kill-model"), (0.0,)),
    **dict.fromkeys(("restart-redis", "restart-s3", "lose-redis", "restore-redis"), _PAUSES),
    **dict.fromkeys((f"{how}-{link}" for link in ("redis", "s3", "gateway") for how in ("cut", "stall")), (0.5, 5.0)),
    "refuse-enqueues": (5.0,),
    "freeze": _FREEZES,
    "lose-object": _SHARE,
    "clock-step": (-120.0, -3.0, 3.0, 120.0),
    "replay-message": _SHARE,
    "replay-callback": _SHARE,
}
# Of a user, at any point, and at an end after some seconds:
REQUESTS = {
    **dict.fromkeys(("cancel", "resubmit", "redrive", "delete", "again"), (0.0,)),
    "pause": _PAUSES,
    "tune": (4.0, 64.0),
}
_AT_AN_END = ("redrive", "again", "delete")
_AFTER_AN_END = (0.0, 0.0, 1.0, 3.0)
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
    *("s3:DeleteObject:open/", "redis:zrem", "redis:start_delivery", "redis:record_delivery"),
)
_REDRIVE = ("redis:redrive", "s3:PutObject:open/", *_REDUCE, "s3:PutObject:input/", "redis:begin")
_DELETION = ("redis:delete", "s3:DeleteObjects", "redis:forget")
# Rows whose results make a summary of several parts.
_LARGE = 400
# The most calls that a point in the middle waits for: some of these come a few times in a replica's life.
_SELDOM = 2
_PLACES = 3


def make_plan(seed: int, *, short: bool = False) -> Plan:
    """Draw a run from its seed: 200 to 2,000 items and up to 8 faults in the middle, or few of both."""
    dice = _Dice(seed)
    least, most, faults = (60, 200, 2) if short else (200, 2_000, 8)
    count = round(least * (most / least) ** dice.random())
    large = count >= _LARGE and dice.hits(0.3)
    rows = make_items(dice, count, dice.choice((0.0, 0.03, 0.1)), deadly=dice.choice((0, 0, 1, 2)))
    if large:
        rows[:_LARGE] = [f"big 20000 {number}" for number in range(_LARGE)]
    options = _draw_options(dice, large=large)
    if "direct" in options:
        # A direct call that is answered 503 is made again until the deadline.
        rows = [row.replace("fail 503", "fail 500") for row in rows]
    by_key = dice.hits(0.5)
    chosen = [kind for kind in _SHARES if dice.hits(0.4)]
    shares = {kind: round(_SHARES[kind] * dice.uniform(0.2, 1.0), 4) for kind in chosen}
    failing = ("redis:fail",) if shares.keys() & {"refuse-message", "lose-message"} else ()
    tasks = -(-count // options["chunk"])
    reduce = (*_REDUCE, *(_IN_PARTS if large else _WHOLE), *_LAST)
    steps = [
        *dice.in_order(_OPENING, dice.choice((0, 0, 1, 2))),
        *_middle(dice, (*_MIDDLE, *failing), dice.randint(1, faults), tasks),
        *dice.in_order(reduce, dice.choice((0, 1, 1, 2))),
    ]
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        fault = dice.choice(_AT_AN_END)
        steps.append(Step(fault, END, 1, dice.choice(_AFTER_AN_END)))
        following = {"redrive": (*_REDRIVE, *reduce), "again": (*_DELETION, *_OPENING), "delete": _DELETION}
        steps += dice.in_order(following[fault], dice.choice((0, 1, 2)))
        if fault == "delete":
            break
    return Plan(seed, rows, options, by_key, steps, Rules(seed, shares))


class _Dice(random.Random):
    """Draws steps."""

    def hits(self, share: float) -> bool:
        return self.random() < share

    def step(self, faults: Mapping[str, tuple[float, ...]], event: str, most: int) -> Step:
        fault = self.choice(tuple(faults))
        return Step(fault, event, self.randint(1, most), self.choice(faults[fault]), self.randrange(_PLACES))

    def inner(self, points: tuple[str, ...], most: int) -> Step:
        return self.step(INNER, self.choice(points), most)

    def in_order(self, points: tuple[str, ...], number: int) -> list[Step]:
        return sorted((self.inner(points, 1) for _ in range(number)), key=lambda step: points.index(step.event))


def _draw_options(dice: _Dice, *, large: bool) -> dict[str, Any]:
    """Draw the options of the batch."""
    way: dict[str, Any] = dice.choice(({}, {}, {}, {"direct": True}, {"chunk_call": True}, {"rate": 200}))
    further = {
        "tolerate": dice.choice((0, "5%", "50%")),
        "sql": SQL,
        "outputs": dice.sample(FORMATS, dice.randint(0, 2)),
        "reduce": RECEIVER,
        "notify": [RECEIVER],
    }
    return {
        "chunk": 1 if "direct" in way else dice.choice((1, 1, 3, 10)),
        "window": dice.choice((8, 16, 32, 128)),
        "concurrency": dice.choice((1, 4, 8)),
        "attempts": dice.choice((2, 3, 4)),
        "timeout": 1,
        "deadline": 3_600,
        "inline_limit": 1_000_000 if large else dice.choice((65_536, 4_000)),
        **way,
        **{name: value for name, value in further.items() if dice.hits(0.3)},
    }


def _middle(dice: _Dice, points: tuple[str, ...], number: int, tasks: int) -> list[Step]:
    """Draw the steps of the middle: their counts add up to less than the batch has."""
    room = max(1, tasks * 3 // 4 // (number + 1))
    steps = [step for _ in range(number) for step in _one_of_the_middle(dice, points, room)]
    if dice.hits(0.3):
        steps.append(dice.step(REQUESTS, dice.choice(("callback", "enqueue")), room))
    return steps


def _one_of_the_middle(dice: _Dice, points: tuple[str, ...], room: int) -> list[Step]:
    """Draw a step, and for Redis without its data the faults of the recovery, or a pause meanwhile."""
    if dice.hits(0.4):
        # Counted by replica, so that half of what there is may pass by.
        return [dice.inner(points, min(_SELDOM, room))]
    event, room = (dice.choice(points), 1) if dice.hits(0.2) else (dice.choice(GATEWAY_EVENTS), room)
    steps = [dice.step(OUTER, event, room)]
    if steps[0].fault == "lose-redis":
        steps += dice.in_order(_RECOVERY, dice.choice((0, 0, 1, 2)))
        if dice.hits(0.3):
            steps.append(Step("pause", "redis:restore", 1, dice.choice(_PAUSES)))
    return steps
