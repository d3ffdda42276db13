"""Rules of several steps that seldom come together by chance: two of a kind at once, and those who come too late."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.ledger import LOSSES_ALLOWED, OPENING_LEASE, REDUCE_LEASE
from pipeline.ledger.states import ENDED, SETTLING
from tests.model.notified import Notified
from tests.model.opening import PICK
from tests.model.world import BATCH


class Scenes(Notified):
    """Each leaves the batch wherever it then is."""

    def cancel_it(self) -> None:
        cancelled = self.ask(self.world.control.cancel(BATCH))
        self.compare(tuple(cancelled), self.life.cancel())

    @precondition(lambda self: self.batch.state in ENDED | {""} and self.lost is None)
    @rule(late=st.booleans())
    def two_want_the_id(self, late: bool) -> None:  # noqa: FBT001
        if self.batch.state:
            self.delete_it()
            self.forget_it()
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
    def two_reduce(self, pick: int) -> None:
        """The first one's lease expires, and it goes on all the same."""
        self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        if pick % 2:
            self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        for _ in range(min(2, len(self.jobs))):
            self.late_reducer_goes_on(-1 if pick % 3 else -2, "taken")

    @precondition(lambda self: self.batch.state == "reducing")
    @rule()
    def cancel_meets_the_next_generation(self) -> None:
        self.pass_time(REDUCE_LEASE)
        self.reduce(old=False, stop="written", fate="taken")
        self.cancel_it()
        if self.jobs:
            self.late_reducer_goes_on(-1, "taken")

    @precondition(lambda self: "w" in self.batch.round.due)
    @rule(fate=st.sampled_from(["taken", "lost"]))
    def first_window_is_lost(self, fate: str) -> None:
        self.sweep(fate, 0.0, 30.0)

    @precondition(lambda self: self.batch.state in SETTLING)
    @rule(sure=st.integers(0, 2))
    def deadline_passes(self, sure: int) -> None:
        if not sure:
            self.sweep("taken", 0.0, 600.0)

    @precondition(lambda self: self.batch.round.in_flight)
    @rule(pick=PICK, attempts=st.integers(2, 3), tells=st.booleans())
    def task_never_answers(self, pick: int, attempts: int, tells: bool) -> None:  # noqa: FBT001
        now = self.batch.round
        task = sorted(now.in_flight)[pick % len(now.in_flight)]
        for _ in range(attempts):
            self.fail(self.identity(task, now.attempts.get(task, 0)), attempts, 10)
            if tells:
                self.fail(self.identity(task, max(0, now.attempts.get(task, 0) - 1)), attempts, 10)
            self.sweep("taken", 0.0, 10.0)

    @precondition(lambda self: self.batch.state in SETTLING | {"reducing"} and self.lost is None)
    @rule(kind=st.sampled_from(["s", "f", "f"]), count=st.integers(0, 4))
    def redis_forgets_and_is_rebuilt(self, kind: str, count: int) -> None:
        self.some_answer(kind, count)
        for number in sorted(self.batch.round.unwritten):
            self.write(self.batch.generation, number, "told")
        self.redis_forgets(0)
        self.sweep_finds_it_lost("")
        self.sweep("taken", 0.0, 0.0)

    @precondition(lambda self: self.batch.round.in_flight and self.lost is None)
    @rule(forgets=st.booleans(), pick=PICK)
    def writer_is_slow(self, forgets: bool, pick: int) -> None:  # noqa: FBT001
        """Others go on meanwhile; it may even outlive Redis."""
        self.some_answer("s", 4)
        numbers = sorted(self.batch.round.unwritten)
        if not numbers:
            return
        self.write(self.batch.generation, numbers[pick % len(numbers)], "read")
        if forgets:
            self.redis_forgets(0)
            self.sweep_finds_it_lost("")
            self.sweep("taken", 0.0, 0.0)
        self.some_answer("s", 4 if forgets else pick % 4)
        if self.tickets:
            self.late_writer_goes_on(-1, "told")

    def some_answer(self, kind: str, most: int) -> None:
        """Tasks in flight answer, and whoever brings the answer dies at once."""
        for _ in range(most):
            if self.batch.round.in_flight:
                task = min(self.batch.round.in_flight)
                self.settle(self.identity(task, self.batch.round.attempts.get(task, 0)), kind, "lost")

    @precondition(lambda self: self.batch.round.in_flight)
    @rule(kind=st.sampled_from(["4", "r", "f", "s"]), written=st.booleans())
    def everybody_answers_the_same(self, kind: str, written: bool) -> None:  # noqa: FBT001
        later = self.batch.generation > self.batch.base
        self.some_answer("4" if later and kind == "s" else kind, 20)
        for number in sorted(self.batch.round.unwritten) if written else ():
            self.write(self.batch.generation, number, "told")

    @precondition(lambda self: self.batch.state == "running")
    @rule(rounds=st.integers(1, 3))
    def everything_fails(self, rounds: int) -> None:
        """More is to run again than the window holds."""
        now = self.batch.round
        for _ in range(rounds):
            for task in sorted(now.in_flight):
                self.fail(self.identity(task, now.attempts.get(task, 0)), 0, 50)
            self.sweep("taken", 0.0, 0.0)
        self.sweep("taken", 0.0, 50.0)

    @precondition(lambda self: self.batch.state == "running" and len(self.batch.round.in_flight) > 1)
    @rule(sure=st.integers(0, 1))
    def one_is_lost_again_and_again(self, sure: int) -> None:
        """Another one answers after each of its releases."""
        now = self.batch.round
        task, other = sorted(now.in_flight)[:2]
        for _ in range(LOSSES_ALLOWED + 2 if not sure else 2):
            for wait in (10.0, 110.0, 110.0):
                if other not in now.in_flight or task in now.settled:
                    return
                self.fail(self.identity(other, now.attempts.get(other, 0)), 0, 0)
                self.sweep("taken", 0.0, wait)
