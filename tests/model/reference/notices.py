"""Notices of a batch's end in plain Python: which targets are due, and the result of each try."""

from pipeline.ledger.states import ENDED
from tests.model.reference.batch import Notices
from tests.model.reference.tasks import TaskReference

PATIENCE = 200.0


class NoticeReference(TaskReference):
    """Each method is one script, or a step of another one."""

    def start_notices(self) -> None:
        batch = self.batch
        never = [0.0] * batch.targets
        batch.notices = Notices("?", ["held"] * batch.targets, [0] * batch.targets, never, [*never])
        for target in range(batch.targets):
            if target == 0 or not batch.reduces:
                self._make_due(target)
        if not batch.targets:
            batch.notices = None

    def drop_notices(self) -> None:
        self.batch.notices = None
        due = self.batch.round.due
        self.batch.round.due = {duty: at for duty, at in due.items() if duty[0] != "n"}

    def correct_notices(self) -> None:
        """A target that waits since a time to come is due: the clock was set back."""
        notices = self.batch.notices
        for target in range(len(notices.states) if notices else 0):
            assert notices is not None
            if max(notices.at[target], notices.since[target]) > self.clock:
                notices.at[target] = min(notices.at[target], self.clock)
                notices.since[target] = min(notices.since[target], self.clock)
                if f"n:{target}" in self.batch.round.due:
                    self.batch.round.due[f"n:{target}"] = self.now()

    def due_notices(self) -> tuple[tuple[int, ...], bool]:
        notices = self.batch.notices
        if notices is None or self.batch.state not in ENDED | {""}:
            return (), False
        due = tuple(int(duty[2:]) for duty in self.overdue() if duty[0] == "n")
        return due, bool({"due", "held"} & set(notices.states))

    def start_delivery(self, end: str, target: int, lease: float) -> int:
        notices = self._notices_of(end)
        if notices is None or f"n:{target}" not in self.overdue():
            return 0
        notices.tries[target] += 1
        self.batch.round.due[f"n:{target}"] = self.later(lease)
        return notices.tries[target]

    def record_delivery(
        self, end: str, target: int, tried: int, verdict: str, backoff: float
    ) -> tuple[str, tuple[int, ...]]:
        notices, due = self._notices_of(end), self.batch.round.due
        if notices is None or target >= len(notices.states) or notices.states[target] != "due":
            return "stale", ()
        if verdict != "delivered" and tried != notices.tries[target]:
            return "stale", ()
        notices.at[target] = self.clock
        if verdict == "refused" and self.clock - notices.since[target] < PATIENCE:
            due[f"n:{target}"] = self.later(backoff)
            return "due", ()
        notices.states[target] = "delivered" if verdict == "delivered" else "undelivered"
        del due[f"n:{target}"]
        follow = tuple(other for other, state in enumerate(notices.states) if state == "held")
        for other in follow:
            self._make_due(other)
        return notices.states[target], follow

    def restore_notices(self, old: Notices) -> None:
        """Restore what S3 keeps of an end: the state of each target, but not since when it is due."""
        batch = self.batch
        if batch.state or (batch.notices is not None and batch.notices.end == old.end):
            return
        self.drop_notices()
        batch.notices = Notices(
            old.end, list(old.states), list(old.tries), [self.clock] * len(old.states), [0.0] * len(old.states)
        )
        for target, state in enumerate(old.states):
            if state == "due":
                self._make_due(target)

    def _notices_of(self, end: str) -> Notices | None:
        notices = self.batch.notices
        if self.batch.state not in ENDED | {""} or notices is None or notices.end != end:
            return None
        return notices

    def _make_due(self, target: int) -> None:
        assert self.batch.notices is not None
        self.batch.notices.states[target], self.batch.notices.since[target] = "due", self.clock
        self.batch.round.due[f"n:{target}"] = self.now()
