"""The whole ledger of one batch in plain Python: also claims, reduces, control calls and rebuilding."""

from dataclasses import dataclass

from pipeline.identity import Identity
from pipeline.ledger.control import MISSING_PATIENCE
from pipeline.ledger.ledger import OPENING_LEASE, REDUCE_LEASE, ClaimKind
from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.ledger.states import ACTIVE, ENDED, ENDED_OR_DELETING, PAUSABLE
from tests.model.reference.batch import Batch, Round
from tests.model.reference.sweep import SweepReference


@dataclass(frozen=True)
class StoredCounts:
    """What S3 keeps of a batch that Redis lost: the counts of its items, and the tasks that are in segments."""

    settled: frozenset[int]
    segments: int
    succeeded: int
    given_up: int
    retryable: int
    deadline_at: float


class Reference(SweepReference):
    """Each method is one script, and returns what the script should reply."""

    def claim(
        self,
        owner: str,
        digest: str,
        window: int,
        targets: tuple[int, bool],
        *,
        ahead: float,
        kind: ClaimKind,
        hand_on: bool,
    ) -> str:
        """`targets`: how many targets are notified of the end, and whether the first one is a reduce."""
        batch = self.batch
        if batch.state == "deleting":
            return "deleting"
        if not batch.state:
            if kind != "new":
                return "unknown"
            old = batch
            batch = self.batch = Batch("opening", "?", digest=digest, window=window, ahead=ahead, notices=old.notices)
            batch.targets, batch.reduces = targets
            batch.round.due = old.round.due
        elif batch.digest != digest:
            return "conflict"
        elif batch.state != "opening" or (batch.owner != owner and not self._may_take_claim(kind)):
            return "exists"
        batch.openings += kind == "queued"
        batch.owner, batch.lease_until, batch.handed = owner, self.clock + OPENING_LEASE, hand_on
        batch.round.due["o"] = self.later(OPENING_LEASE)
        return "claimed"

    def _may_take_claim(self, kind: ClaimKind) -> bool:
        """Whether another opening may take over the claim."""
        if kind == "renewed":
            return False
        is_leased = self.is_leased(self.batch.lease_until, OPENING_LEASE)
        return not is_leased or (kind == "queued" and self.batch.handed)

    def abandon(self, owner: str, reason: str) -> bool:
        batch = self.batch
        free = owner == "" and (not self.is_leased(batch.lease_until, OPENING_LEASE) or batch.handed)
        if batch.state != "opening" or (batch.owner != owner and not free):
            return False
        if not reason:
            self.batch = Batch()
        else:
            batch.state = "cancelled" if batch.cancelled else "failed"
            batch.missing = ""
            batch.round.due.clear()
            self.start_notices()
        return True

    def confirm(self, one: Identity) -> None:
        if (one.epoch, one.generation) == (self.batch.epoch, self.batch.generation):
            self.batch.round.due.pop("w", None)

    def answers(self, generation: int, segment: int) -> list[bytes]:
        return self.batch.round.unwritten.get(segment, []) if generation == self.batch.generation else []

    def written(self, epoch: str, generation: int, segment: int) -> None:
        if (epoch, generation) == (self.batch.epoch, self.batch.generation):
            self.batch.round.unwritten.pop(segment, None)
            self.batch.round.due.pop(f"s:{segment}", None)

    def lease(self, owner: str, generation: int, *, renewal: bool) -> tuple[str, int, list[int]]:
        batch, due = self.batch, self.batch.round.due
        if not batch.state:
            return "unknown", 0, []
        if batch.state != "reducing" or generation != batch.generation:
            return "closed", 0, []
        if renewal and batch.owner != owner:
            return "lost", 0, []
        if batch.owner not in {owner, ""} and self.is_leased(batch.lease_until, REDUCE_LEASE):
            return "held", 0, []
        batch.begun += batch.owner != owner
        batch.owner, batch.lease_until = owner, self.clock + REDUCE_LEASE
        due["r"] = self.later(REDUCE_LEASE)
        return "leased", batch.begun, sorted(int(duty[2:]) for duty in due if duty[0] == "s")

    def excuse(self, owner: str) -> None:
        batch = self.batch
        if batch.state == "reducing" and owner == batch.owner and batch.excused != owner:
            batch.excused = owner
            batch.begun -= 1

    def finish(self, owner: str, generation: int, outcome: str, succeeded: int, failed: int) -> str:
        """The owner of an ended batch is the one that has ended it."""
        batch = self.batch
        if (batch.owner, batch.generation) != (owner, generation) or batch.state not in ENDED | {"reducing"}:
            return ""
        if batch.state != "reducing":
            return batch.state
        if batch.outcome != outcome:
            batch.owner, batch.lease_until, batch.round.due["r"] = "", 0, self.now()
            return batch.state
        batch.state, batch.redrive = batch.outcome, False
        batch.begun, batch.excused, batch.missing = 0, "", ""
        batch.succeeded, batch.failed = succeeded, failed
        tasks, segments = batch.round.tasks, batch.round.segments
        batch.round = Round(tasks, self.now(), settled=set(range(tasks)), segments=segments)
        self.start_notices()
        return batch.state

    def note_missing(self, objects: str) -> None:
        batch = self.batch
        if batch.state and batch.state not in ENDED_OR_DELETING and not batch.missing:
            batch.missing = objects
            batch.round.due["m"] = self.later(MISSING_PATIENCE)

    def give_up(self, objects: str, gone: str, reason: str) -> str:
        """Without a reason the objects are there again."""
        batch = self.batch
        if not batch.missing or batch.missing != objects:
            return ""
        batch.missing = ""
        batch.round.due.pop("m", None)
        if not reason:
            return batch.state
        batch.lost = f"{batch.lost} {gone}".strip()
        if batch.state == "opening":
            batch.round.due["o"] = self.now()
        elif batch.state in ACTIVE:
            self.start_closing("failed")
        elif batch.outcome == "done":
            batch.outcome = "failed"
        if batch.state == "reducing":
            batch.owner, batch.lease_until, batch.round.due["r"] = "", 0, self.now()
        return batch.state

    def cancel(self) -> tuple[str, int, int | None, bool]:
        batch = self.batch
        state, segment, reduce = batch.state, None, False
        if "m" in batch.round.due:
            batch.round.due["m"] = self.now()
        if state == "reducing" and batch.outcome != "failed":
            batch.outcome = state = "cancelled"
        elif state == "opening":
            batch.cancelled = True
        elif state in ACTIVE:
            self.start_closing("cancelled")
            if not batch.round.in_flight:
                segment = self.cut_segment() if batch.round.pending else None
                self.start_reduce()
                reduce = True
        return state, batch.generation, segment, reduce

    def hold(self, *, paused: bool) -> str:
        batch, state = self.batch, self.batch.state
        if state in PAUSABLE:
            batch.paused = paused
            if state in ACTIVE:
                batch.state = "paused" if paused else "running"
        return state

    def tune(self, window: int | None, rate: float | None) -> str:
        batch = self.batch
        if batch.state and batch.state not in ENDED_OR_DELETING:
            batch.window = window or batch.window
            if rate is not None:
                batch.rate, batch.paced_until = rate or None, 0
        return batch.state

    def redrive(self, *, is_another_end: bool = False) -> tuple[str, int, str]:
        batch, state = self.batch, self.batch.state
        if not state:
            return "", 0, "unknown"
        if state not in ENDED or is_another_end:
            redriven = state != "deleting" and batch.outcome == "done" and (batch.redrive or batch.base > 0)
            return state, batch.generation, "under way" if redriven else "open"
        if not batch.started:
            return state, batch.generation, "unopened"
        batch.state, batch.outcome, batch.redrive = "reducing", "done", True
        batch.redrives += 1
        batch.owner, batch.lease_until, batch.cancelled, batch.paused = "", 0, False, False
        self.drop_notices()
        batch.round.due["r"] = self.later(DUTY_LEASE)
        return state, batch.generation, "redriven"

    def delete(self, owner: str, *, go_on: bool, renewal: bool) -> tuple[str, str]:
        batch, state = self.batch, self.batch.state
        if state == "deleting":
            if batch.owner != owner and (renewal or self.is_leased(batch.lease_until, DUTY_LEASE)):
                return "held", state
        elif go_on or renewal:
            return "gone", state
        elif state and state not in ENDED:
            return "open", state
        batch.state, batch.owner, batch.lease_until = "deleting", owner, self.clock + DUTY_LEASE
        self.drop_notices()
        batch.round.due["d"] = self.later(DUTY_LEASE)
        return "leased", state

    def forget(self, owner: str) -> bool:
        ours = self.batch.state == "deleting" and self.batch.owner == owner
        if ours:
            self.batch = Batch()
        return ours

    def restore(self, owner: str, now: Round, found: StoredCounts, old: Batch) -> str:
        """Rebuild `old`; its tasks in flight, and those in no segment, run again."""
        batch = self.batch
        if batch.owner != owner or batch.state != "opening":
            return "lost"
        batch.owner, batch.lease_until, batch.begun, batch.excused, batch.missing = "", 0, 0, "", ""
        batch.epochs = dict.fromkeys(range(old.generation), batch.epoch)
        batch.generation, batch.base, batch.batch_size = old.generation, old.base, old.batch_size
        batch.succeeded, batch.failed = found.succeeded, found.given_up + found.retryable
        batch.given_up = found.given_up + (found.retryable if now.final else 0)
        batch.retried, batch.tolerated, batch.started = old.retried, old.tolerated, True
        batch.paused, batch.redrive = old.paused or batch.paused, old.redrive
        batch.cancelled = old.cancelled or old.outcome == "cancelled" or batch.cancelled
        batch.window, batch.rate = old.window, old.rate or batch.rate
        batch.run_at, batch.deadline_at = self.clock, found.deadline_at
        batch.round = Round(now.tasks, self.now(), items=now.items, calls=now.calls, final=now.final)
        batch.notices = None
        batch.round.settled, batch.round.segments = set(found.settled), found.segments
        batch.round.not_found = -1 if found.succeeded + found.given_up else 0
        batch.state = "paused" if batch.paused else "running"
        if batch.cancelled:
            self.start_closing("cancelled")
        elif batch.tolerated is not None and batch.given_up > batch.tolerated and not batch.redrive:
            self.start_closing("failed")
        if batch.state == "closing" or batch.redrive or not batch.round.unsettled():
            self.start_reduce(0)
        return batch.state
