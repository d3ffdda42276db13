"""Rules that reduce a batch: by correct replicas, by late ones, and by ones that die."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.arguments import NewGeneration, Published
from pipeline.ledger.states import ENDED
from tests.model.rules.opening import FATES, PICK, Opening
from tests.model.stored import Plan, PreparedReduce
from tests.model.world import BATCH


class Reducing(Opening):
    """Each reduce ends the batch or begins its next generation; `reducers` may each go on at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.reducers: list[tuple[str, int]] = []

    @precondition(lambda self: self.batch.state == "reducing")
    @rule(old=st.booleans(), stop=st.sampled_from(["", "", "", "leased", "excused", "written"]), fate=FATES)
    def reduce(self, old: bool, stop: str, fate: str) -> None:  # noqa: FBT001
        """Reduce under a lease; `stop`: once it is `leased`, `excused`, or has `written` its segments."""
        owner, generation = self.name("reducer"), max(0, self.batch.generation - old)
        verdict, segments = self.lease(owner, generation)
        self.reducers.append((owner, generation))
        if stop == "excused":
            self.excuse(owner)
        if verdict != "leased" or stop in {"leased", "excused"}:
            return
        for number in segments:
            self.write(generation, number, "confirmed")
        self.prepared_reduces.append(self.prepare_reduce(owner))
        if not stop:
            self.resume_late_reducer(-1, fate)

    @precondition(lambda self: self.reducers)
    @rule(pick=PICK, renewal=st.sampled_from([True, True, False]))
    def wake_reducer(self, pick: int, renewal: bool) -> None:  # noqa: FBT001
        """A reduce that stood still goes on: it renews its lease, or its call that takes the lease comes only now."""
        owner, generation = self.reducers[pick % len(self.reducers)]
        self.lease(owner, generation, renewal=renewal)

    def lease(self, owner: str, generation: int, *, renewal: bool = False) -> tuple[str, list[int]]:
        lease = self.ask(self.world.ledger.lease_reduce(BATCH, owner, generation, renewal=renewal))
        verdict, begun, segments = self.reference.lease(owner, generation, renewal=renewal)
        found = (lease.verdict, lease.begun, sorted(lease.segments))
        self.compare(found, (verdict, begun, segments), idle=verdict != "leased")
        return verdict, segments

    def excuse(self, owner: str) -> None:
        """Report, twice, that the reduce failed through no fault of its own."""
        for _ in range(2):
            self.note_trouble(owner, excused=True)

    def note_trouble(self, owner: str, *, excused: bool) -> None:
        self.ask(self.world.ledger.note_trouble(BATCH, owner, "S3 was away", excused=excused))
        if excused:
            self.reference.excuse(owner)
        ours = self.batch.state in {"opening", "reducing"} and owner == self.batch.owner
        self.compare(None, None, idle=not ours)

    @precondition(lambda self: self.prepared_reduces)
    @rule(pick=PICK, fate=FATES)
    def resume_late_reducer(self, pick: int, fate: str) -> None:
        prepared = self.prepared_reduces.pop(pick % len(self.prepared_reduces))
        if prepared.plan is not None:
            if self.begin(prepared.owner, prepared.plan):
                self.send_first(fate)
                self.take_over(self.repair(), fate)
            return
        counts = (prepared.succeeded, prepared.failed)
        published = Published(*counts, outcome=prepared.outcome)
        ended = self.ask(self.world.ledger.finish(BATCH, prepared.owner, prepared.generation, published))
        ending = self.batch.state == "reducing"
        expected = self.reference.finish(prepared.owner, prepared.generation, prepared.outcome, *counts)
        self.compare(ended, expected, idle=not (ending and expected))
        if ending and ended in ENDED:
            self.check_end(prepared)

    def prepare_reduce(self, owner: str) -> PreparedReduce:
        """Return the next step of a reduce that has all segments: run items again, or end the batch."""
        batch, plans = self.batch, self.stored.plans
        generation, now = batch.generation, batch.round
        found = self.stored.results(self.stored.segments, upto=generation)
        failed = [item for item, kind in found.items() if kind != "s"]
        again, counted, base = [], 0, batch.base
        if batch.outcome == "done" and batch.redrive:
            again = [item for item in range(batch.batch_size) if found.get(item) != "s"]
            counted, base = len(failed), generation + 1
        elif batch.outcome == "done" and not now.final:
            newest = {item for items in plans[generation].tasks for item in items}
            again = sorted(item for item in newest if found.get(item) == "r")
            counted = len(again)
        if not again:
            return PreparedReduce(owner, generation, batch.outcome, None, len(found) - len(failed), len(failed))
        first, number = plans[0], generation + 1
        new = NewGeneration(
            *(number, len(again), len(again), first.new.deadline, 1),
            delay=0 if batch.redrive else 10.0 * 2 ** (number - base - 1),
            again=counted,
            final=number - base + 1 >= first.attempts,
            tolerated=first.new.tolerated,
        )
        return PreparedReduce(
            owner, generation, batch.outcome, Plan(new, [[item] for item in again], first.attempts), 0, 0
        )

    def check_end(self, prepared: PreparedReduce) -> None:
        """All outcomes of an ended batch are in segments, once per task; too many failures fail the batch."""
        batch, plans = self.batch, self.stored.plans
        found = self.stored.results(self.stored.segments, upto=batch.generation)
        if batch.outcome == "done":
            assert set(found) == set(range(batch.batch_size))
            tolerated = plans[0].new.tolerated
            assert tolerated is None or prepared.failed <= tolerated
        for generation in range(batch.generation + 1):
            written = [tasks for place, tasks in self.stored.tasks_written() if place == generation]
            assert len(written) == len(set(written))
            assert set(written) <= set(range(len(plans[generation].tasks)))
