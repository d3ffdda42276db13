"""Who is told of a batch's end, in plain Python: whose turn it is, and what a try comes to."""

from pipeline.ledger.states import ENDED
from tests.model.batch import Told
from tests.model.reference import Reference

PATIENCE = 200.0


class Telling(Reference):
    """Each method is one script, or what others do on the way."""

    def start_notices(self) -> None:
        batch = self.batch
        batch.told = Told("?", ["held"] * batch.targets, [0] * batch.targets, [0.0] * batch.targets)
        for target in range(batch.targets):
            if target == 0 or not batch.reduces:
                self._turn(target)
        if not batch.targets:
            batch.told = None

    def drop_notices(self) -> None:
        self.batch.told = None
        due = self.batch.round.due
        self.batch.round.due = {duty: at for duty, at in due.items() if duty[0] != "n"}

    def turns(self) -> tuple[tuple[int, ...], bool]:
        told = self.batch.told
        if told is None or self.batch.state not in ENDED | {""}:
            return (), False
        due = tuple(int(duty[2:]) for duty in self.overdue() if duty[0] == "n")
        return due, bool({"due", "held"} & set(told.states))

    def attempt(self, end: str, target: int, lease: float) -> int:
        told = self._told(end)
        if told is None or f"n:{target}" not in self.overdue():
            return 0
        told.tries[target] += 1
        self.batch.round.due[f"n:{target}"] = self.later(lease)
        return told.tries[target]

    def attempted(self, end: str, target: int, tried: int, verdict: str, backoff: float) -> tuple[str, tuple[int, ...]]:
        told, due = self._told(end), self.batch.round.due
        if told is None or target >= len(told.states) or told.states[target] != "due":
            return "stale", ()
        if verdict != "delivered" and tried != told.tries[target]:
            return "stale", ()
        if verdict == "refused" and self.clock - told.since[target] < PATIENCE:
            due[f"n:{target}"] = self.later(backoff)
            return "due", ()
        told.states[target] = "delivered" if verdict == "delivered" else "undelivered"
        del due[f"n:{target}"]
        follow = tuple(other for other, state in enumerate(told.states) if state == "held")
        for other in follow:
            self._turn(other)
        return told.states[target], follow

    def recall(self, old: Told) -> None:
        """What S3 keeps of an end: how far each target is, and not since when."""
        batch = self.batch
        if batch.state or (batch.told is not None and batch.told.end == old.end):
            return
        self.drop_notices()
        batch.told = Told(old.end, list(old.states), list(old.tries), [self.clock] * len(old.states))
        for target, state in enumerate(old.states):
            if state == "due":
                self._turn(target)

    def _told(self, end: str) -> Told | None:
        told = self.batch.told
        if self.batch.state not in ENDED | {""} or told is None or told.end != end:
            return None
        return told

    def _turn(self, target: int) -> None:
        assert self.batch.told is not None
        self.batch.told.states[target], self.batch.told.since[target] = "due", self.clock
        self.batch.round.due[f"n:{target}"] = self.now()
