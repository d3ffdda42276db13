"""The tasks of one batch in plain Python: what the ledger should hold and reply.

Written from the design and the headers of the scripts. The clock stands still until `pass_time`. A step is one script;
a moment is a clock and a step, so everything that one script writes has one time, in order with the other scripts.
Seconds are multiples of ten: the microseconds that steps take round to nothing.
"""

import math

from pipeline.answers.envelope import Envelope
from pipeline.identity import Identity
from pipeline.ledger.arguments import NewGeneration
from pipeline.ledger.ledger import FIRST_CALLS
from pipeline.ledger.replies import Settled, Start
from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.ledger.states import SETTLING
from tests.model.reference.batch import BURST, CUT_BYTES, CUT_OUTCOMES, SETTLE_RELEASES, Batch, Moment, Round


class TaskReference:
    """The batch, and the clock."""

    def __init__(self) -> None:
        self.clock = 100_000.0
        self.step = 0
        self.batch = Batch()

    def now(self) -> Moment:
        return self.clock, self.step

    def microseconds(self, moment: Moment | None = None) -> int:
        """A moment as Redis has it: each script takes a microsecond."""
        clock, step = moment or self.now()
        return round(clock * 1e6) + step

    def later(self, seconds: float) -> Moment:
        return self.clock + seconds, self.step

    def is_leased(self, until: float, lease: float) -> bool:
        """A lease that ends later than it can is over: the clock was set back."""
        return 0 < until - self.clock <= lease

    def overdue(self) -> list[str]:
        """The duties that a sweep may take over, the oldest first."""
        due = self.batch.round.due
        return sorted((duty for duty, at in due.items() if at <= self.now()), key=lambda duty: (due[duty], duty))

    def is_current(self, identity: Identity) -> bool:
        batch = self.batch
        return (identity.epoch, identity.generation) == (batch.epoch, batch.generation) and batch.state in SETTLING

    def room(self) -> int:
        """How many tasks may be in flight."""
        batch = self.batch
        if not batch.rate:
            return batch.window
        return min(batch.window, max(1, math.floor(batch.rate * batch.ahead / batch.round.calls)))

    def charge_release(self) -> bool:
        """Charge one release against the rate; false if the rate allows none now."""
        batch = self.batch
        if batch.rate:
            turn, cost = max(batch.paced_until, self.clock), batch.round.calls / batch.rate
            if turn > self.clock + BURST + cost:
                turn = self.clock
            if turn > self.clock + BURST:
                return False
            batch.paced_until = turn + cost
        return True

    def hear(self) -> None:
        self.batch.round.heard_at, self.batch.round.heard_us = self.clock, self.microseconds()

    def release_fresh(self, most: int) -> list[int]:
        """Release tasks that never ran, in order, while the window has room."""
        now = self.batch.round
        released: list[int] = []
        for task in range(now.next, now.tasks):
            if task in now.settled:
                continue
            if len(released) == most or len(now.in_flight) >= self.room() or not self.charge_release():
                break
            now.in_flight[task] = self.now()
            released.append(task)
            now.next = task + 1
        return released

    def cut_segment(self, lease: float = DUTY_LEASE) -> int:
        now = self.batch.round
        number = now.segments
        now.segments += 1
        now.unwritten[number], now.waiting, now.pending = now.waiting, [], 0
        now.due[f"s:{number}"] = self.later(lease)
        return number

    def start_reduce(self, lease: float = DUTY_LEASE) -> None:
        self.batch.state = "reducing"
        self.batch.round.in_flight.clear()
        self.batch.round.due["r"] = self.later(lease)

    def start_closing(self, outcome: str) -> None:
        """Release nothing from now on; tasks that wait to run are given up."""
        self.batch.state, self.batch.outcome, self.batch.closing_at = "closing", outcome, self.clock
        due = self.batch.round.due
        self.batch.round.due = {duty: at for duty, at in due.items() if duty[0] not in "tlw"}

    def begin(self, owner: str, new: NewGeneration) -> tuple[str, list[int]]:
        batch = self.batch
        first = new.generation == 0
        expected = "opening" if first else "reducing"
        if batch.state != expected or batch.owner != owner:
            return "lost", []
        if not first and (batch.generation != new.generation - 1 or batch.outcome != "done"):
            return "lost", []
        batch.round = Round(new.tasks, self.now(), items=new.items, calls=new.calls, final=new.final)
        batch.round.not_before = self.clock + new.delay
        batch.round.heard_us = batch.round.probed_us = self.microseconds()
        batch.notices = None
        batch.owner, batch.lease_until, batch.generation, batch.paced_until = "", 0, new.generation, 0
        batch.begun, batch.excused, batch.missing = 0, "", ""
        if first:
            batch.batch_size, batch.started = new.items, True
        else:
            batch.failed -= new.again
            batch.retried += new.again
            batch.epochs[new.generation - 1], batch.epoch = batch.epoch, "?"
        if first or batch.redrive:
            batch.base, batch.given_up, batch.redrive = new.generation, 0, False
            batch.run_at, batch.deadline_at = self.clock, self.clock + new.deadline
        if new.tolerated is not None:
            batch.tolerated = new.tolerated
        batch.state = "paused" if batch.paused else "running"
        if batch.cancelled:
            self.start_closing("cancelled")
        if batch.cancelled or not new.tasks:
            self.start_reduce()
            return "reducing", []
        released = self.release_fresh(new.tasks) if not batch.paused and not new.delay else []
        if released:
            batch.round.due["w"] = self.later(DUTY_LEASE)
        return batch.state, released

    def start_task(self, identity: Identity, run_lease: float) -> Start:
        batch, now, task, attempt = self.batch, self.batch.round, identity.task, identity.attempt
        if not self.is_current(identity):
            return Start("closed" if batch.state else "unknown")
        if task in now.settled:
            batch.repeated += 1
            return Start("settled")
        running, until = now.runs.get(task, (-1, self.now()))
        if until > self.now() and running >= attempt:
            if batch.state != "closing":
                now.due[f"l:{task}"] = until
            batch.repeated += 1
            return Start("running")
        if batch.state == "closing":
            return Start("closed")
        now.runs[task] = attempt, self.later(run_lease)
        answered = now.not_found < 0 or batch.generation != batch.base
        return Start("run", bool(batch.rate), answered)

    def settle(self, identity: Identity, envelope: Envelope, answer: bytes) -> Settled:
        batch, now, task = self.batch, self.batch.round, identity.task
        function = "model" if batch.epoch else ""
        outcomes = envelope.succeeded + envelope.failed
        if not batch.state:
            return Settled("unknown", "", None, reduce=False, release=())
        if not self.is_current(identity) or (not outcomes and batch.state != "closing"):
            return Settled("closed", function, None, reduce=False, release=())
        if task in now.settled:
            now.forget(task)
            return Settled("duplicate", function, None, reduce=False, release=())
        if now.attempts.get(task, 0) == identity.attempt and task in now.in_flight:
            now.heard = max(now.heard, now.in_flight[task])
            took = self.microseconds() - self.microseconds(now.in_flight[task])
            now.delay = max(took, math.floor(0.9 * (now.delay or 0)))
        self.hear()
        now.settled.add(task)
        now.forget(task)
        if outcomes:
            now.waiting.append(answer)
            now.pending += outcomes
        batch.succeeded += envelope.succeeded
        batch.failed += envelope.failed
        self._watch(envelope)
        ended = not now.unsettled() or (batch.state == "closing" and not now.in_flight)
        enough = now.pending >= CUT_OUTCOMES or sum(map(len, now.waiting)) >= CUT_BYTES
        segment = self.cut_segment() if now.pending and (ended or enough) else None
        if ended:
            self.start_reduce()
        released = self.release_fresh(SETTLE_RELEASES) if batch.state == "running" else []
        return Settled("settled", function, segment, ended, tuple(released))

    def _watch(self, envelope: Envelope) -> None:
        """Stop a batch whose first calls all answer 404, or in which more items failed than are tolerated."""
        batch, now = self.batch, self.batch.round
        outcomes = envelope.succeeded + envelope.failed
        if outcomes and batch.state != "closing" and batch.generation == batch.base and now.not_found >= 0:
            now.not_found = now.not_found + outcomes if envelope.not_found == outcomes else -1
            if now.not_found >= min(FIRST_CALLS, now.items):
                self.start_closing("failed")
        if batch.tolerated is not None:
            batch.given_up += envelope.failed - (0 if now.final else envelope.retryable)
            if batch.state != "closing" and envelope.failed and batch.given_up > batch.tolerated:
                self.start_closing("failed")

    def fail(self, identity: Identity, attempts: int, backoff: float) -> str:  # noqa: PLR0911
        batch, now, task = self.batch, self.batch.round, identity.task
        if not batch.state:
            return "unknown"
        if not self.is_current(identity):
            return "closed"
        if task in now.settled:
            return "duplicate"
        if now.runs.get(task, (-1,))[0] == identity.attempt:
            del now.runs[task]
        if now.attempts.get(task, 0) != identity.attempt:
            return "stale"
        if batch.state == "closing":
            return "skip"
        now.heard = max(now.heard, now.in_flight.get(task, (0, 0)))
        self.hear()
        if attempts:
            now.failures[task] = now.failures.get(task, 0) + 1
            if now.failures[task] >= attempts:
                return "exhausted"
        now.attempts[task] = identity.attempt + 1
        batch.retried += 1
        now.in_flight.pop(task, None)
        now.due[f"t:{task}"] = self.later(backoff)
        return "retry"

    def extend(self, identity: Identity) -> None:
        now = self.batch.round
        if (identity.epoch, identity.generation) == (self.batch.epoch, self.batch.generation) and (
            identity.task in now.in_flight
        ):
            now.extended[identity.task] = self.clock
            self.hear()

    def defer(self, one: Identity, tasks: list[int], backoff: float) -> None:
        """`one` is a message of the tasks' generation."""
        now = self.batch.round
        if not self.is_current(one):
            return
        if self.batch.state == "running":
            now.doubt, now.proven_us = self.now(), None
        for task in tasks:
            now.in_flight.pop(task, None)
            if self.batch.state != "closing" and task not in now.settled:
                now.due[f"t:{task}"] = self.later(backoff)
