"""Rules of several steps that seldom meet by chance: two replicas at once, and late ones."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.ledger import LOSSES_ALLOWED, OPENING_LEASE, REDUCE_LEASE
from pipeline.ledger.states import ENDED, SETTLING
from tests.model.rules.notifying import Notifying
from tests.model.rules.opening import PICK
from tests.model.world import BATCH


class Scenarios(Notifying):
    """Each leaves the batch in any state."""

    def cancel_batch(self) -> None:
        cancelled = self.ask(self.world.control.cancel(BATCH))
        self.compare(tuple(cancelled), self.reference.cancel())

    @rule(seconds=st.sampled_from([10.0, 40.0, 120.0]), back=st.booleans())
    def step_clock(self, seconds: float, back: bool) -> None:  # noqa: FBT001
        """Redis' clock is set, or a failover leads to a node with another clock."""
        self.pass_time(-seconds if back else seconds)

    @precondition(lambda self: self.batch.state in ENDED | {""} and self.lost is None)
    @rule(late=st.booleans())
    def two_owners_claim_the_id(self, late: bool) -> None:  # noqa: FBT001
        if self.batch.state:
            self.delete_batch()
            self.forget_batch()
        first, second = self.name("opener"), self.name("opener")
        self.claim(first)
        if late:
            self.pass_time(OPENING_LEASE)
        for owner in (second, first):
            self.claim(owner)
        for owner in (first, second):
            self.begin_first(owner, self.plan, "taken")
            self.abandon(owner, "too late")
            self.abandon("", "")

    @precondition(lambda self: self.batch.state == "reducing")
    @rule(pick=PICK)
    def two_reducers(self, pick: int) -> None:
        """The lease of the first one expires, and it continues regardless."""
        self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        if pick % 2:
            self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        for _ in range(min(2, len(self.prepared_reduces))):
            self.resume_late_reducer(-1 if pick % 3 else -2, "taken")

    @precondition(lambda self: self.batch.state == "reducing")
    @rule()
    def cancel_before_the_next_generation(self) -> None:
        self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        self.cancel_batch()
        if self.prepared_reduces:
            self.resume_late_reducer(-1, "taken")

    @precondition(lambda self: "w" in self.batch.round.due)
    @rule(fate=st.sampled_from(["taken", "lost"]))
    def lose_first_window(self, fate: str) -> None:
        self.sweep(fate, 0.0, 30.0)

    @precondition(lambda self: self.batch.state in SETTLING)
    @rule(sure=st.integers(0, 2))
    def pass_the_deadline(self, sure: int) -> None:
        if not sure:
            self.sweep("taken", 0.0, 600.0)

    @precondition(lambda self: self.batch.round.in_flight)
    @rule(pick=PICK, attempts=st.integers(2, 3), tells=st.booleans())
    def exhaust_a_task(self, pick: int, attempts: int, tells: bool) -> None:  # noqa: FBT001
        now = self.batch.round
        task = sorted(now.in_flight)[pick % len(now.in_flight)]
        for _ in range(attempts):
            self.fail(self.identity(task, now.attempts.get(task, 0)), attempts, 10)
            if tells:
                self.fail(self.identity(task, max(0, now.attempts.get(task, 0) - 1)), attempts, 10)
            self.sweep("taken", 0.0, 10.0)

    @precondition(lambda self: self.batch.state in SETTLING | {"reducing"} and self.lost is None)
    @rule(kind=st.sampled_from(["s", "f", "f"]), count=st.integers(0, 4))
    def lose_redis_and_rebuild(self, kind: str, count: int) -> None:
        self.answer_some(kind, count)
        for number in sorted(self.batch.round.unwritten):
            self.write(self.batch.generation, number, "confirmed")
        self.lose_redis(0)
        self.recover_lost_batch("")
        self.sweep("taken", 0.0, 0.0)

    @precondition(lambda self: self.batch.round.in_flight and self.lost is None)
    @rule(forgets=st.booleans(), pick=PICK)
    def write_slowly(self, forgets: bool, pick: int) -> None:  # noqa: FBT001
        """Others continue meanwhile, and Redis may be lost before it ends."""
        self.answer_some("s", 4)
        numbers = sorted(self.batch.round.unwritten)
        if not numbers:
            return
        self.write(self.batch.generation, numbers[pick % len(numbers)], "read")
        if forgets:
            self.lose_redis(0)
            self.recover_lost_batch("")
            self.sweep("taken", 0.0, 0.0)
        self.answer_some("s", 4 if forgets else pick % 4)
        if self.pending_writes:
            self.resume_late_writer(-1, "confirmed")

    def answer_some(self, kind: str, most: int) -> None:
        """Tasks in flight answer, and the replica that settles them dies at once."""
        for _ in range(most):
            if self.batch.round.in_flight:
                task = min(self.batch.round.in_flight)
                self.settle(self.identity(task, self.batch.round.attempts.get(task, 0)), kind, "lost")

    @precondition(lambda self: self.batch.round.in_flight)
    @rule(kind=st.sampled_from(["4", "r", "f", "s"]), written=st.booleans())
    def answer_all_alike(self, kind: str, written: bool) -> None:  # noqa: FBT001
        later = self.batch.generation > self.batch.base
        self.answer_some("4" if later and kind == "s" else kind, 20)
        for number in sorted(self.batch.round.unwritten) if written else ():
            self.write(self.batch.generation, number, "confirmed")

    @precondition(lambda self: self.batch.state == "running")
    @rule(rounds=st.integers(1, 3))
    def fail_everything(self, rounds: int) -> None:
        """More tasks have to run again than the window holds."""
        now = self.batch.round
        for _ in range(rounds):
            for task in sorted(now.in_flight):
                self.fail(self.identity(task, now.attempts.get(task, 0)), 0, 50)
            self.sweep("taken", 0.0, 0.0)
        self.sweep("taken", 0.0, 50.0)

    @precondition(lambda self: self.batch.state == "running" and len(self.batch.round.in_flight) > 1)
    @rule(sure=st.integers(0, 1))
    def lose_one_task_repeatedly(self, sure: int) -> None:
        """Another task answers after each of its releases."""
        now = self.batch.round
        task, other = sorted(now.in_flight)[:2]
        for _ in range(LOSSES_ALLOWED + 2 if not sure else 2):
            for wait in (10.0, 110.0, 110.0):
                if other not in now.in_flight or task in now.settled:
                    return
                self.fail(self.identity(other, now.attempts.get(other, 0)), 0, 0)
                self.sweep("taken", 0.0, wait)
