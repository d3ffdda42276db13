"""Rules of several steps that seldom come together by chance: two of a kind at once, and those who come too late."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger import OPENING_LEASE, REDUCE_LEASE
from tests.model.batch import OPEN
from tests.model.opening import PICK
from tests.model.running import Running
from tests.model.world import BATCH


class Scenes(Running):
    """Each leaves the batch wherever it then is."""

    def cancel_it(self) -> None:
        cancelled = self.ask(self.world.control.cancel(BATCH))
        self.compare(tuple(cancelled), self.life.cancel())

    @precondition(lambda self: self.batch.state == "" and self.lost is None)
    @rule(late=st.booleans())
    def two_want_the_id(self, late: bool) -> None:  # noqa: FBT001
        first, second = self.name("opener"), self.name("opener")
        self.claim(first)
        if late:
            self.pass_time(OPENING_LEASE)
        self.claim(second)
        self.claim(first)
        for owner in (first, second):
            self.begin_first(owner, self.plan, "taken")

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

    @precondition(lambda self: self.batch.state in OPEN)
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

    @precondition(lambda self: self.batch.round.unwritten and self.lost is None)
    @rule(forgets=st.booleans(), pick=PICK)
    def writer_is_slow(self, forgets: bool, pick: int) -> None:  # noqa: FBT001
        """Others go on meanwhile; it may even outlive Redis."""
        numbers = sorted(self.batch.round.unwritten)
        self.write(self.batch.generation, numbers[pick % len(numbers)], "read")
        if forgets:
            self.redis_forgets(0)
            self.sweep_finds_it_lost("")
            self.sweep("taken", 0.0, 0.0)
        for _ in range(4):
            if self.batch.round.in_flight:
                task = min(self.batch.round.in_flight)
                self.settle(self.identity(task, 0), "s", "lost")
        self.late_writer_goes_on(-1, "told")
