"""Calls of the ledger, each one together with the reference, and what callers keep outside of Redis."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import orjson
from hypothesis.stateful import RuleBasedStateMachine

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.ledger import ClaimKind
from pipeline.ledger.replies import GenerationRef, Repairs
from pipeline.ledger.states import ENDED
from tests.model.checks import check_duties, check_view
from tests.model.reference.batch import SILENCE, WINDOW_EXCESS, Batch
from tests.model.reference.complete import Reference
from tests.model.stored import PendingWrite, Plan, PreparedReduce, StoredBatch
from tests.model.world import BATCH, RedisView, World
from tests.rigs.redis.ledger_bench import submission

T = TypeVar("T")
AHEAD = 30
# Replies after which nothing has changed.
IDLE = frozenset({"", "closed", "conflict", "deleting", "duplicate", "exists", "gone", "held", "lost", "skip", "stale"})
KINDS = {"s": "succeeded", "f": "failed", "r": "retryable", "4": "not found"}


class Caller(RuleBasedStateMachine):
    """Makes the same calls to ledger and reference, and compares their replies and state."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.lose_redis()
        self.reference = Reference()
        self.stored = StoredBatch()
        self.queue: list[Identity] = []
        self.history: list[Identity] = []
        self.pending_writes: list[PendingWrite] = []
        self.prepared_reduces: list[PreparedReduce] = []
        self.openers: list[str] = []
        self.deleters: list[str] = []
        self.frozen_sweeps: list[Repairs] = []
        self.names = 0
        self.sound = True
        self.window = 1
        self.targets, self.reduces = 0, False
        self.first: list[Identity] = []
        self.view: RedisView = self.world.read_view()

    @property
    def batch(self) -> Batch:
        return self.reference.batch

    def name(self, role: str) -> str:
        """A new name."""
        self.names += 1
        return f"{role}-{self.names}"

    def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.reference.step += 1
        return self.world.run(coroutine)

    def compare(self, answer: object, expected: object, *, idle: bool = False) -> None:
        """`idle`: nothing in Redis may have changed."""
        self.sound = False
        assert answer == expected, f"{answer} and not {expected}"
        before, self.view = self.view, self.world.read_view()
        if self.batch.notices is not None and self.batch.notices.end == "?":
            self.batch.notices.end = self.view.notices["end"]
        check_view(self.reference, self.view)
        check_duties(self.reference, self.view)
        self._check_window(before)
        if idle:
            assert self.view.raw == before.raw
        self.sound = True

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        self.reference.clock += seconds
        self.compare(None, None)

    def _check_window(self, before: RedisView) -> None:
        """Fresh releases fill the window and no more; repeated ones may exceed it by a few."""
        after = self.view
        same = before.fields.get("generation") == after.fields.get("generation")
        fresh = int(after.fields.get("next", 0)) > (int(before.fields.get("next", 0)) if same else 0)
        window = int(after.fields.get("window", 0))
        if fresh:
            assert len(after.in_flight) <= window
            assert after.fields["state"] == "running" or after.fields["state"] == "reducing"
        assert len(after.in_flight) <= max(window + WINDOW_EXCESS, len(before.in_flight))

    def claim(self, owner: str, kind: ClaimKind = "new", *, hand_on: bool = False, etag: str = "e") -> str:
        made = submission(window=self.window, etag=etag, targets=self.targets, reduces=self.reduces)
        claim = self.ask(self.world.ledger.claim(BATCH, owner, made, ahead=AHEAD, kind=kind, hand_on=hand_on))
        targets = (self.targets, self.reduces)
        verdict = self.reference.claim(
            owner, made.digest, self.window, targets, ahead=AHEAD, kind=kind, hand_on=hand_on
        )
        if self.batch.epoch == "?":
            assert claim.epoch not in {identity.epoch for identity in self.history}
            self.batch.epoch = claim.epoch
        self.compare(claim.verdict, verdict, idle=verdict in IDLE | {"unknown"})
        return verdict

    def begin(self, owner: str, plan: Plan) -> bool:
        verdict, released = self.ask(self.world.ledger.begin(BATCH, owner, plan.new))
        expected = self.reference.begin(owner, plan.new)
        if self.batch.epoch == "?":
            self.batch.epoch = self.world.read_view().fields["epoch"]
            assert self.batch.epoch not in {identity.epoch for identity in self.history}
            assert int(self.batch.epoch, 16) > int(self.batch.epochs[plan.new.generation - 1], 16)
        self.compare((verdict, released), expected, idle=verdict == "lost")
        if verdict == "lost":
            return False
        del self.stored.plans[plan.new.generation :]
        self.stored.plans.append(plan)
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
        self.reference.confirm(one)
        self.compare(None, None, idle=idle)

    def hold_batch(self, *, paused: bool) -> None:
        state = self.ask(self.world.control.hold(BATCH, paused=paused))
        self.compare(state, self.reference.hold(paused=paused))

    def tune(self, window: int | None, rate: float | None) -> None:
        state = self.ask(self.world.control.tune(BATCH, window, rate))
        self.compare(state, self.reference.tune(window, rate))

    def identity(self, task: int, attempt: int) -> Identity:
        return Identity(BATCH, self.batch.generation, task, attempt, self.batch.epoch)

    def send(self, messages: list[Identity], fate: str) -> None:
        """`fate`: the gateway took them, refused them, refused and yet took them, or the caller died first."""
        self.history += messages
        if fate in {"taken", "both"}:
            self.queue += messages
        if fate in {"refused", "both"} and messages:
            self.defer(messages, 10)

    def defer(self, messages: list[Identity], backoff: float) -> None:
        """Messages of one generation."""
        one, tasks = messages[0], [message.task for message in messages]
        of = GenerationRef(BATCH, one.epoch, one.generation, "model")
        idle = not self.reference.is_current(one)
        self.ask(self.world.ledger.defer(of, tasks, backoff))
        self.reference.defer(one, tasks, backoff)
        self.compare(None, None, idle=idle)

    def settle(self, identity: Identity, kinds: str, fate: str) -> str:
        """Settle with outcomes of these kinds, one per item; the releases that follow have this fate."""
        answer, envelope = self.answer(identity, kinds)
        settled = self.ask(self.world.ledger.settle(identity, envelope, answer))
        expected = self.reference.settle(identity, envelope, answer)
        self.compare(settled, expected, idle=settled.verdict in IDLE | {"unknown"})
        self.send([self.identity(task, 0) for task in settled.release], fate)
        if settled.segment is not None and fate != "lost":
            self.write(identity.generation, settled.segment, "read" if fate == "both" else "confirmed")
        return settled.verdict

    def answer(self, identity: Identity, kinds: str) -> tuple[bytes, Envelope]:
        plans = self.stored.plans
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
        runs = {**self.batch.round.runs}
        expected = self.reference.fail(identity, attempts, backoff)
        self.compare(verdict, expected, idle=verdict in IDLE | {"unknown"} and runs == self.batch.round.runs)
        return verdict

    def start_task(self, identity: Identity, run_lease: float) -> None:
        start = self.ask(self.world.ledger.start_task(identity, run_lease))
        expected = self.reference.start_task(identity, run_lease)
        self.compare(start, expected, idle=start.verdict in {"closed", "unknown"})

    def write(self, generation: int, number: int, stop: str) -> None:
        """Read a segment's answers, put them in S3, and confirm that; `stop`: `read`, `put` or `confirmed`."""
        epoch, answers = self.ask(self.world.ledger.read_segment(BATCH, generation, number))
        self.compare(answers, self.reference.answers(generation, number), idle=True)
        if answers:
            self.finish_writing(PendingWrite(epoch, generation, number, tuple(answers)), stop)

    def finish_writing(self, pending_write: PendingWrite, stop: str) -> None:
        if stop == "read":
            self.pending_writes.append(pending_write)
            return
        if pending_write.epoch == self.batch.epochs.get(pending_write.generation, self.batch.epoch):
            place = (pending_write.generation, pending_write.number)
            assert self.stored.segments.setdefault(place, pending_write.answers) == pending_write.answers
        else:
            self.stored.late_segments.append(pending_write)
        if stop == "put":
            self.pending_writes.append(pending_write)
            return
        self.confirm_segment(pending_write)

    def confirm_segment(self, pending_write: PendingWrite) -> None:
        self.ask(
            self.world.ledger.segment_written(
                BATCH, pending_write.generation, pending_write.number, pending_write.epoch
            )
        )
        unknown = (
            pending_write.number not in self.batch.round.unwritten or pending_write.generation != self.batch.generation
        )
        self.reference.written(pending_write.epoch, pending_write.generation, pending_write.number)
        self.compare(None, None, idle=unknown or pending_write.epoch != self.batch.epoch)

    def repair(self, shortest: float = 0) -> Repairs:
        repairs = self.ask(self.world.ledger.repair(BATCH, SILENCE, shortest))
        assert repairs.ended or repairs.state not in ENDED
        # While an unknown id is deleted it has an epoch of its own, which nothing uses.
        named = replace(repairs, ended="", epoch=repairs.epoch if self.batch.epoch else "")
        self.compare(named, self.reference.repair(shortest), idle=repairs.state in {"", "gone"})
        return repairs

    def take_over(self, repairs: Repairs, fate: str) -> None:
        """Do the repairs of a sweep, except a reduce or an opening. It may have stood still since it was made."""

        def identity(task: int, attempt: int) -> Identity:
            return Identity(BATCH, repairs.generation, task, attempt, repairs.epoch)

        self.send([identity(task, attempt) for task, attempt in repairs.release], fate)
        if fate == "lost":
            return
        for number in repairs.segments:
            self.write(repairs.generation, number, "confirmed")
        for task in repairs.exhausted:
            self.settle(identity(task, 0), "r", fate)
        if repairs.missing:
            self.look_for(repairs.missing)

    def look_for(self, objects: str) -> None:
        """A sweep looks for missing objects: they are there again."""
        state = self.ask(self.world.control.give_up(BATCH, objects))
        expected = self.reference.give_up(objects, "", "")
        self.compare(state, expected, idle=not expected)
