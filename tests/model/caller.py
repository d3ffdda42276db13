"""Those who call the ledger, each script with its reference, and what they keep outside of it."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import orjson
from hypothesis.stateful import RuleBasedStateMachine

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.replies import GenerationRef, Repairs
from pipeline.ledger.states import ENDED
from tests.model.batch import OVER_THE_WINDOW, SILENCE, Batch
from tests.model.checks import check_nobody_is_forgotten, check_sight
from tests.model.life import Life
from tests.model.outside import Job, Outside, Plan, Ticket
from tests.model.world import BATCH, Sight, World
from tests.rigs.redis.ledger_bench import submission

T = TypeVar("T")
AHEAD = 30
# Replies that say that nothing has changed.
IDLE = frozenset({"", "closed", "conflict", "deleting", "duplicate", "exists", "gone", "held", "lost", "skip", "stale"})
KINDS = {"s": "succeeded", "f": "failed", "r": "retryable", "4": "not found"}


class Caller(RuleBasedStateMachine):
    """Asks the ledger and the reference the same, and compares what they answer and hold."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.forget()
        self.life = Life()
        self.outside = Outside()
        self.queue: list[Identity] = []
        self.history: list[Identity] = []
        self.tickets: list[Ticket] = []
        self.jobs: list[Job] = []
        self.openers: list[str] = []
        self.names = 0
        self.sound = True
        self.window = 1
        self.targets, self.reduces = 0, False
        self.first: list[Identity] = []
        self.sight: Sight = self.world.look()

    @property
    def batch(self) -> Batch:
        return self.life.batch

    def name(self, role: str) -> str:
        """A name that nobody else has."""
        self.names += 1
        return f"{role}-{self.names}"

    def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.life.step += 1
        return self.world.run(coroutine)

    def compare(self, answer: object, expected: object, *, idle: bool = False) -> None:
        """`idle`: nothing that Redis holds may have changed."""
        self.sound = False
        assert answer == expected, f"{answer} and not {expected}"
        before, self.sight = self.sight, self.world.look()
        if self.batch.told is not None and self.batch.told.end == "?":
            self.batch.told.end = self.sight.notices["end"]
        check_sight(self.life, self.sight)
        check_nobody_is_forgotten(self.life, self.sight)
        self._check_window(before)
        if idle:
            assert self.sight.raw == before.raw
        self.sound = True

    def _check_window(self, before: Sight) -> None:
        """Fresh releases fill the window and no more; what runs again may be a few over it."""
        after = self.sight
        same = before.fields.get("generation") == after.fields.get("generation")
        fresh = int(after.fields.get("next", 0)) > (int(before.fields.get("next", 0)) if same else 0)
        window = int(after.fields.get("window", 0))
        if fresh:
            assert len(after.in_flight) <= window
            assert after.fields["state"] == "running" or after.fields["state"] == "reducing"
        assert len(after.in_flight) <= max(window + OVER_THE_WINDOW, len(before.in_flight))

    def claim(self, owner: str, *, queued: bool = False, hand_on: bool = False, etag: str = "e") -> str:
        made = submission(window=self.window, etag=etag, targets=self.targets, reduces=self.reduces)
        claim = self.ask(
            self.world.ledger.claim(
                BATCH, owner, made, ahead=AHEAD, kind="queued" if queued else "new", hand_on=hand_on
            )
        )
        told = (self.targets, self.reduces)
        verdict = self.life.claim(owner, made.digest, self.window, told, ahead=AHEAD, queued=queued, hand_on=hand_on)
        if self.batch.epoch == "?":
            assert claim.epoch not in {identity.epoch for identity in self.history}
            self.batch.epoch = claim.epoch
            # Of another life of the id, or of none: what S3 knows of it is deleted, or was never anybody's.
        self.compare(claim.verdict, verdict, idle=verdict in IDLE | {"unknown"})
        return verdict

    def begin(self, owner: str, plan: Plan) -> bool:
        verdict, released = self.ask(self.world.ledger.begin(BATCH, owner, plan.new))
        expected = self.life.begin(owner, plan.new)
        if self.batch.epoch == "?":
            self.batch.epoch = self.world.look().fields["epoch"]
            assert self.batch.epoch not in {identity.epoch for identity in self.history}
            assert int(self.batch.epoch, 16) > int(self.batch.epochs[plan.new.generation - 1], 16)
        self.compare((verdict, released), expected, idle=verdict == "lost")
        if verdict == "lost":
            return False
        del self.outside.plans[plan.new.generation :]
        self.outside.plans.append(plan)
        self.first = [self.identity(task, 0) for task in released]
        return True

    def send_first(self, fate: str) -> None:
        """The first window is confirmed once the gateway has taken or refused it."""
        for one in self.first[:1]:
            self.confirm(replace(one, epoch="0"))
            self.confirm(replace(one, generation=one.generation + 1))
        self.send(self.first, fate)
        if self.first and fate != "lost":
            self.confirm(self.first[0])

    def confirm(self, one: Identity) -> None:
        """`one` is a message of the first window."""
        idle = (one.epoch, one.generation) != (self.batch.epoch, self.batch.generation)
        self.ask(self.world.ledger.confirm_window(BATCH, one.generation, one.epoch))
        self.life.confirm(one)
        self.compare(None, None, idle=idle)

    def hold_it(self, *, paused: bool) -> None:
        state = self.ask(self.world.control.hold(BATCH, paused=paused))
        self.compare(state, self.life.hold(paused=paused))

    def tune(self, window: int | None, rate: float | None) -> None:
        state = self.ask(self.world.control.tune(BATCH, window, rate))
        self.compare(state, self.life.tune(window, rate))

    def identity(self, task: int, attempt: int) -> Identity:
        return Identity(BATCH, self.batch.generation, task, attempt, self.batch.epoch)

    def send(self, messages: list[Identity], fate: str) -> None:
        """`fate`: the gateway took them, refused them, refused them and took them, or the caller died first."""
        self.history += messages
        if fate in {"taken", "both"}:
            self.queue += messages
        if fate in {"refused", "both"} and messages:
            self.defer(messages, 10)

    def defer(self, messages: list[Identity], backoff: float) -> None:
        """Messages of one generation."""
        one, tasks = messages[0], [message.task for message in messages]
        of = GenerationRef(BATCH, one.epoch, one.generation, "model")
        idle = not self.life.is_this(one)
        self.ask(self.world.ledger.defer(of, tasks, backoff))
        self.life.defer(one, tasks, backoff)
        self.compare(None, None, idle=idle)

    def settle(self, identity: Identity, kinds: str, fate: str) -> str:
        """Settle with outcomes of these kinds, one an item; what follows meets its fate."""
        answer, envelope = self.answer(identity, kinds)
        settled = self.ask(self.world.ledger.settle(identity, envelope, answer))
        expected = self.life.settle(identity, envelope, answer)
        self.compare(settled, expected, idle=settled.verdict in IDLE | {"unknown"})
        self.send([self.identity(task, 0) for task in settled.release], fate)
        if settled.segment is not None and fate != "lost":
            self.write(identity.generation, settled.segment, "read" if fate == "both" else "told")
        return settled.verdict

    def answer(self, identity: Identity, kinds: str) -> tuple[bytes, Envelope]:
        plans = self.outside.plans
        here = identity.generation < len(plans) and identity.task < len(plans[identity.generation].tasks)
        items = plans[identity.generation].tasks[identity.task] if here else [0]
        if not kinds:
            return b"", Envelope(0, 0, 0, -1, -1, 0)
        each = [kinds[place % len(kinds)] for place in range(len(items))]
        body = orjson.dumps(
            {"by": self.name("answer"), "task": identity.task, "items": list(zip(items, each, strict=True))}
        )
        succeeded = each.count("s")
        failed = len(each) - succeeded
        return body, Envelope(succeeded, failed, each.count("4"), items[0], items[-1], each.count("r"))

    def fail(self, identity: Identity, attempts: int, backoff: float) -> str:
        verdict = self.ask(self.world.ledger.fail(identity, attempts, backoff))
        self.compare(verdict, self.life.fail(identity, attempts, backoff), idle=verdict in IDLE | {"unknown"})
        return verdict

    def write(self, generation: int, number: int, stop: str) -> None:
        """Read a segment's answers (`read`), put them in S3 (`put`), and say so (`told`)."""
        epoch, answers = self.ask(self.world.ledger.read_segment(BATCH, generation, number))
        self.compare(answers, self.life.answers(generation, number), idle=True)
        if answers:
            self.go_on_writing(Ticket(epoch, generation, number, tuple(answers)), stop)

    def go_on_writing(self, ticket: Ticket, stop: str) -> None:
        if stop == "read":
            self.tickets.append(ticket)
            return
        if ticket.epoch == self.batch.epochs.get(ticket.generation, self.batch.epoch):
            place = (ticket.generation, ticket.number)
            assert self.outside.segments.setdefault(place, ticket.answers) == ticket.answers
        else:
            self.outside.strays.append(ticket)
        if stop == "put":
            self.tickets.append(ticket)
            return
        self.told(ticket)

    def told(self, ticket: Ticket) -> None:
        self.ask(self.world.ledger.segment_written(BATCH, ticket.generation, ticket.number, ticket.epoch))
        unknown = ticket.number not in self.batch.round.unwritten or ticket.generation != self.batch.generation
        self.life.written(ticket.epoch, ticket.generation, ticket.number)
        self.compare(None, None, idle=unknown or ticket.epoch != self.batch.epoch)

    def repair(self, shortest: float = 0) -> Repairs:
        repairs = self.ask(self.world.ledger.repair(BATCH, SILENCE, shortest))
        assert repairs.ended or repairs.state not in ENDED
        # An id that nothing was known of has an epoch of its own while it is deleted, and nobody to use it.
        named = replace(repairs, ended="", epoch=repairs.epoch if self.batch.epoch else "")
        self.compare(named, self.life.repair(shortest), idle=repairs.state in {"", "gone"})
        return repairs

    def take_over(self, repairs: Repairs, fate: str) -> None:
        """Do what a sweep is handed, as far as it is not a reduce or an opening."""
        self.send([self.identity(task, attempt) for task, attempt in repairs.release], fate)
        if fate == "lost":
            return
        for number in repairs.segments:
            self.write(repairs.generation, number, "told")
        for task in repairs.exhausted:
            self.settle(self.identity(task, 0), "r", fate)
