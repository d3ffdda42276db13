"""Rules that notify targets of an end: by correct, late and dying replicas, and after Redis is lost."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.ledger.notices import DeliveryResult, EndId, Verdict
from pipeline.ledger.notices import Notices as Stored
from tests.model.reference.batch import Notices
from tests.model.reference.notices import PATIENCE
from tests.model.rules.opening import PICK
from tests.model.rules.running import BACKOFFS, Running
from tests.model.world import BATCH

LEASE = 60.0
VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(["delivered", "refused", "refused", "undelivered"])


class DeliveryTry(NamedTuple):
    """A delivery that a replica has started."""

    end: EndId
    target: int
    number: int


class Notifying(Running):
    """`known_ends` are the ends that a replica may still notify of; S3 keeps the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[DeliveryTry] = []
        self.known_ends: list[EndId] = []
        self.kept_notices = Notices("", [], [], [], [])

    def ends(self) -> list[EndId]:
        """All ends of the batch so far, the current one last."""
        notices = self.batch.notices
        if notices is not None:
            end = Stored.read(self.view.notices).end
            assert end is not None
            self.known_ends = [*[other for other in self.known_ends if other != end], end]
            assert len({(end.epoch, end.generation, end.redrives) for end in self.known_ends}) == len(self.known_ends)
            self.kept_notices = replace(notices, states=list(notices.states), tries=list(notices.tries))
        return self.known_ends

    @precondition(lambda self: self.ends())
    @rule(pick=PICK, old=st.sampled_from([False, False, True]), verdict=VERDICTS, backoff=BACKOFFS, dies=st.booleans())
    def notify_target(self, pick: int, old: bool, verdict: Verdict, backoff: float, dies: bool) -> None:  # noqa: FBT001
        ends = self.ends()
        started_try = self.start_try(ends[pick % len(ends)] if old else ends[-1], pick % 3)
        if started_try is not None and not dies:
            self.record_try(started_try, verdict, backoff)
        elif started_try is not None:
            self.tries.append(started_try)

    def start_try(self, end: EndId, target: int) -> DeliveryTry | None:
        number = self.ask(self.world.ledger.notices.start_delivery(BATCH, end, target, LEASE))
        self.compare(number, self.reference.start_delivery(str(end), target, LEASE), idle=not number)
        return DeliveryTry(end, target, number) if number else None

    def record_try(self, started_try: DeliveryTry, verdict: Verdict, backoff: float) -> None:
        result = DeliveryResult(started_try.number, verdict, 0, backoff, PATIENCE)
        found = self.ask(self.world.ledger.notices.record_delivery(BATCH, started_try.end, started_try.target, result))
        expected = self.reference.record_delivery(
            str(started_try.end), started_try.target, started_try.number, verdict, backoff
        )
        self.compare(found, expected, idle=found[0] == "stale")

    @precondition(lambda self: self.tries)
    @rule(pick=PICK, verdict=VERDICTS, backoff=BACKOFFS, again=st.booleans())
    def record_late_try(self, pick: int, verdict: Verdict, backoff: float, again: bool) -> None:  # noqa: FBT001
        started_try = self.tries[pick % len(self.tries)]
        if not again:
            self.tries.remove(started_try)
        self.record_try(started_try, verdict, backoff)

    @precondition(lambda self: self.ends())
    @rule(seconds=st.sampled_from([10.0, 60.0, PATIENCE]))
    def start_due_deliveries(self, seconds: float) -> None:
        self.pass_time(seconds)
        for target in self.repair().notify:
            self.start_try(self.ends()[-1], target)

    @precondition(lambda self: self.ends() and self.batch.state in {"", "opening"} and self.lost is None)
    @rule()
    def restore_forgotten_notices(self) -> None:
        end, kept = self.ends()[-1], self.kept_notices
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
        self.reference.restore_notices(kept)
        self.compare(None, None)

    def notify_all(self) -> None:
        """With correct replicas only, each target is notified once more at most."""
        while self.reference.due_notices()[1]:
            self.pass_time(PATIENCE)
            for target in self.repair().notify:
                started_try = self.start_try(self.ends()[-1], target)
                assert started_try is not None
                self.record_try(started_try, "delivered", 0)
