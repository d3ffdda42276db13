"""Rules of those who tell of an end: honest ones, late ones, those that die, and those who go on when Redis forgets."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.notices import DeliveryResult, EndId, Verdict
from tests.model.batch import Told
from tests.model.opening import PICK
from tests.model.running import BACKOFFS, Running
from tests.model.telling import PATIENCE
from tests.model.world import BATCH

LEASE = 60.0
VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(["delivered", "refused", "refused", "undelivered"])


class Try(NamedTuple):
    """A try that somebody has taken."""

    end: EndId
    target: int
    number: int


class Notified(Running):
    """`known` are the ends that somebody may still tell of, as S3 keeps the last of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[Try] = []
        self.known: list[EndId] = []
        self.kept = Told("", [], [], [])

    def ends(self) -> list[EndId]:
        """All ends of the batch so far, the present one last."""
        told = self.batch.told
        if told is not None:
            epoch, generation, ended = told.end.split()
            end = EndId(epoch, int(generation), int(ended))
            self.known = [*[other for other in self.known if other != end], end]
            self.kept = replace(told, states=list(told.states), tries=list(told.tries))
        return self.known

    @precondition(lambda self: self.ends())
    @rule(pick=PICK, old=st.sampled_from([False, False, True]), verdict=VERDICTS, backoff=BACKOFFS, dies=st.booleans())
    def somebody_is_told(self, pick: int, old: bool, verdict: Verdict, backoff: float, dies: bool) -> None:  # noqa: FBT001
        ends = self.ends()
        taken = self.take(ends[pick % len(ends)] if old else ends[-1], pick % 3)
        if taken is not None and not dies:
            self.record(taken, verdict, backoff)
        elif taken is not None:
            self.tries.append(taken)

    def take(self, end: EndId, target: int) -> Try | None:
        number = self.ask(self.world.ledger.notices.start_delivery(BATCH, end, target, LEASE))
        self.compare(number, self.life.attempt(str(end), target, LEASE), idle=not number)
        return Try(end, target, number) if number else None

    def record(self, taken: Try, verdict: Verdict, backoff: float) -> None:
        tried = DeliveryResult(taken.number, verdict, 0, backoff, PATIENCE)
        found = self.ask(self.world.ledger.notices.record_delivery(BATCH, taken.end, taken.target, tried))
        expected = self.life.attempted(str(taken.end), taken.target, taken.number, verdict, backoff)
        self.compare(found, expected, idle=found[0] == "stale")

    @precondition(lambda self: self.tries)
    @rule(pick=PICK, verdict=VERDICTS, backoff=BACKOFFS, again=st.booleans())
    def late_try_comes_to_something(self, pick: int, verdict: Verdict, backoff: float, again: bool) -> None:  # noqa: FBT001
        taken = self.tries[pick % len(self.tries)]
        if not again:
            self.tries.remove(taken)
        self.record(taken, verdict, backoff)

    @precondition(lambda self: self.ends())
    @rule(seconds=st.sampled_from([10.0, 60.0, PATIENCE]))
    def turns_come(self, seconds: float) -> None:
        self.pass_time(seconds)
        for target in self.repair().notify:
            self.take(self.ends()[-1], target)

    @precondition(lambda self: self.ends() and self.batch.state in {"", "opening"} and self.lost is None)
    @rule()
    def what_redis_has_forgotten_is_recalled(self) -> None:
        end, kept = self.ends()[-1], self.kept
        shown = [
            {
                "kind": "reduce" if self.reduces and not place else "notify",
                "state": {"held": "due", "undelivered": "given up"}.get(state, state),
                "tries": kept.tries[place],
                "status_code": None,
                "at": None,
            }
            for place, state in enumerate(kept.states)
        ]
        self.ask(self.world.ledger.notices.restore(BATCH, end, shown))
        self.life.recall(kept)
        self.compare(None, None)

    def tell_all(self) -> None:
        """Honest replicas alone: each target is told once more at most."""
        while self.life.turns()[1]:
            self.pass_time(PATIENCE)
            for target in self.repair().notify:
                taken = self.take(self.ends()[-1], target)
                assert taken is not None
                self.record(taken, "delivered", 0)
