"""The state machine: a batch under any interleaving of callers, which always ends."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.ledger.states import ENDED
from tests.model.rules.opening import LONG, RATES, WINDOWS, first_plan
from tests.model.rules.scenarios import Scenarios

ROUNDS = 300


class LedgerMachine(Scenarios):
    """Control calls of users; at the end, only correct workers and sweeps."""

    @rule(sure=st.integers(0, 1))
    def cancel(self, sure: int) -> None:
        if sure:
            return
        self.cancel_batch()

    @rule(paused=st.booleans())
    def hold(self, paused: bool) -> None:  # noqa: FBT001
        self.hold_batch(paused=paused)

    @rule(window=st.none() | WINDOWS, rate=st.none() | st.just(0.0) | RATES)
    def tune_batch(self, window: int | None, rate: float | None) -> None:
        self.tune(window, rate)

    @rule(times=st.integers(1, 2))
    def redrive(self, times: int) -> None:
        for _ in range(times):
            self.redrive_batch()

    @rule(sure=st.integers(0, 3))
    def delete(self, sure: int) -> None:
        if self.lost is None and (not sure or self.batch.state in ENDED):
            self.delete_batch()

    @precondition(lambda self: self.lost is None)
    @rule(late=st.booleans())
    def delete_by_another(self, late: bool) -> None:  # noqa: FBT001
        before = self.batch.owner
        if late:
            self.pass_time(DUTY_LEASE)
        self.delete_batch(go_on=True)
        if before != self.batch.owner:
            self.forget_batch(before or "nobody")

    @rule(sure=st.integers(0, 3))
    def forget(self, sure: int) -> None:
        if not sure or self.batch.state == "deleting":
            self.forget_batch()

    @rule(ours=st.booleans(), excused=st.booleans())
    def meet_trouble(self, ours: bool, excused: bool) -> None:  # noqa: FBT001
        self.note_trouble((ours and self.batch.owner) or "another", excused=excused)

    def teardown(self) -> None:
        """All work in progress is dropped; sweeps and correct workers end the batch."""
        if not self.sound:
            return
        if self.reference.step % 2:
            self.queue.clear()
        self.pending_writes.clear()
        if self.lost is not None:
            self.pass_time(60)
            self.recover_lost_batch("")
        if self.batch.paused:
            self.hold_batch(paused=False)
        for _ in range(ROUNDS):
            if self.batch.state in ENDED | {""}:
                break
            self.pass_time(110)
            self._sweep_once()
        else:
            raise AssertionError(f"after {ROUNDS} rounds the batch is still {self.batch.state}")
        self._end()

    def _sweep_once(self) -> None:
        repairs = self.repair()
        if repairs.open:
            owner = self.name("opener")
            if self.claim(owner, "queued") == "claimed":
                self.begin_first(owner, first_plan(3, 1, None, LONG, 0, 1), "taken")
        self.take_over(repairs, "taken")
        while self.queue:
            self.settle(self.queue.pop(0), "s", "taken")
        if repairs.reduce:
            self.reduce(False, "", "taken")  # noqa: FBT003
        if repairs.delete:
            self.delete_batch(go_on=True)
            self.forget_batch()

    def _end(self) -> None:
        self.notify_all()
        if self.batch.state or self.batch.notices:
            assert self.repair().state in ENDED | {"gone"}
            self.delete_batch()
            assert self.batch.state == "deleting"
            self.forget_batch()
        assert self.view.keys == frozenset()
