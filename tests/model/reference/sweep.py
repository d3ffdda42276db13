"""The sweep in plain Python: overdue duties are taken over, lost tasks run again."""

import math

from pipeline.ledger.control import MISSING_PATIENCE
from pipeline.ledger.ledger import LONGEST_BACKOFF, LOSSES_ALLOWED, OPENING_LEASE, QUICKEST
from pipeline.ledger.replies import Repairs
from pipeline.ledger.scripts import DUTY_LEASE
from pipeline.ledger.states import ACTIVE, ENDED
from tests.model.reference.batch import SILENCE, WINDOW_EXCESS
from tests.model.reference.notices import NoticeReference

PROBES = 4


class SweepReference(NoticeReference):
    """`repair`, step by step."""

    def repair(self, shortest: float) -> Repairs:
        batch, now = self.batch, self.batch.round
        if not batch.state:
            self.correct_notices()
            return Repairs("gone", *self.due_notices())
        if batch.swept_at is not None and 0 <= self.clock - batch.swept_at < shortest:
            return Repairs("")
        batch.swept_at = self.clock
        self._correct_times()
        if batch.state in ENDED:
            self.correct_notices()
        if batch.state in ACTIVE and self.clock >= batch.deadline_at:
            self.start_closing("failed")
        released: list[tuple[int, int]] = []
        exhausted: list[int] = []
        lost = 0
        if batch.state == "running":
            self._look_for_losses_of_the_queue(released, exhausted)
            self._find_lost(released, exhausted)
            self._look_for_runs(released, exhausted)
            lost = len(released)
            self._release_due(released)
            if self.clock >= now.not_before:
                released += [(task, 0) for task in self.release_fresh(now.tasks)]
        elif batch.state == "closing" and (not now.in_flight or self.clock - batch.closing_at >= SILENCE):
            if now.pending:
                self.cut_segment(0)
            self.start_reduce(0)
        taken = [duty for duty in self.overdue() if duty[0] not in "tlwn"]
        now.due |= {duty: self.later(DUTY_LEASE) for duty in taken}
        return Repairs(
            *(batch.state, *self.due_notices(), batch.generation, "model" if batch.epoch else "", batch.epoch),
            open="o" in taken and batch.state == "opening",
            reduce="r" in taken and batch.state == "reducing",
            delete="d" in taken,
            segments=tuple(int(duty[2:]) for duty in taken if duty[0] == "s"),
            release=tuple(released),
            exhausted=tuple(exhausted),
            lost=lost,
            missing=batch.missing if "m" in taken else "",
        )

    def _correct_times(self) -> None:
        """The clock was set back: what has been is now at the latest, and what is due too late is due now."""
        batch, now, at = self.batch, self.batch.round, self.now()
        if now.began > at:
            now.not_before -= now.began[0] - self.clock
            now.began = at
        if batch.run_at > self.clock:
            batch.deadline_at -= batch.run_at - self.clock
            batch.run_at = self.clock
        batch.closing_at = min(batch.closing_at, self.clock)
        now.heard, now.mark = min(now.heard, at), min(now.mark, at)
        now.doubt = now.doubt and min(now.doubt, at)
        now.heard_at, now.mark_at = min(now.heard_at, self.clock), min(now.mark_at, self.clock)
        now.probed_at = min(now.probed_at, self.clock)
        microseconds = self.microseconds()
        now.heard_us, now.probed_us = min(now.heard_us, microseconds), min(now.probed_us, microseconds)
        now.proven_us = now.proven_us and min(now.proven_us, microseconds)
        now.in_flight = {task: min(since, at) for task, since in now.in_flight.items()}
        longest = {"t": LONGEST_BACKOFF, "l": SILENCE, "o": OPENING_LEASE, "m": MISSING_PATIENCE, "n": math.inf}
        for duty, due_at in now.due.items():
            if self.microseconds(due_at) - microseconds > 1e6 * longest.get(duty[0], DUTY_LEASE):
                now.due[duty] = at

    def _is_running(self, task: int) -> bool:
        """Whether a replica is known to run the task."""
        run = self.batch.round.runs.get(task)
        return run is not None and 0 < self.microseconds(run[1]) - self.microseconds() <= 1e6 * SILENCE

    def _without_run(self, before: int) -> list[int]:
        """Tasks released by then that no replica is known to run, the oldest first."""
        now = self.batch.round
        oldest = sorted(now.in_flight, key=lambda task: (now.in_flight[task], str(task)))
        idle = [task for task in oldest if not self._is_running(task)]
        return [task for task in idle if self.microseconds(now.in_flight[task]) <= before]

    def _look_for_losses_of_the_queue(self, released: list[tuple[int, int]], exhausted: list[int]) -> None:
        """No answer for longer than usual, or a refusal, puts older tasks in doubt; a newer answer proves them lost."""
        now, at = self.batch.round, self.microseconds()
        usual = round(SILENCE * 1e6) if now.delay is None else max(round(QUICKEST * 1e6), 2 * now.delay)
        if usual >= SILENCE * 1e6:
            return
        if now.doubt is None and at - now.heard_us >= usual and self._without_run(at - usual):
            now.doubt = self.now()
        if now.doubt is None:
            return
        if now.heard <= now.doubt:
            is_first = not now.probes and not any(since > now.doubt for since in now.in_flight.values())
            if not is_first and at - now.probed_us < min(SILENCE * 1e6, usual * 2**now.probes):
                return
            now.probed_at, now.probed_us, now.probes = self.clock, at, now.probes + 1
            now.doubt = self.clock, self.step - 1
            for task in self._without_run(at)[:PROBES]:
                self._again(task, released)
        elif now.proven_us is None:
            now.proven_us = at
        elif at - now.proven_us >= usual:
            oldest = sorted(now.in_flight, key=lambda task: (now.in_flight[task], str(task)))
            for task in [task for task in oldest if now.in_flight[task] < now.doubt]:
                self._declare_lost(task, released, exhausted)
            now.doubt, now.proven_us, now.probes = None, None, 0

    def _find_lost(self, released: list[tuple[int, int]], exhausted: list[int]) -> None:
        """Tasks released before one that answered a silence ago are lost; if none answers, the oldest is sent again."""
        now = self.batch.round
        oldest = sorted(now.in_flight, key=lambda task: (now.in_flight[task], str(task)))
        if self.clock - now.mark_at >= SILENCE:
            for task in oldest:
                if now.in_flight[task] < now.mark:
                    self._declare_lost(task, released, exhausted)
            now.mark, now.mark_at = now.heard, self.clock
        if self.clock - now.heard_at >= SILENCE and self.clock - now.probed_at >= SILENCE:
            now.probed_at, now.probed_us = self.clock, self.microseconds()
            silent = [task for task in oldest if now.in_flight[task] <= self.later(-SILENCE)]
            if silent:
                self._again(min(silent, key=lambda task: (now.in_flight[task], str(task))), released)

    def _look_for_runs(self, released: list[tuple[int, int]], exhausted: list[int]) -> None:
        """A message came twice while its task ran: unless that run has settled it by its end, the task is lost."""
        for duty in [duty for duty in self.overdue() if duty[0] == "l"]:
            del self.batch.round.due[duty]
            if (task := int(duty[2:])) in self.batch.round.in_flight:
                self._declare_lost(task, released, exhausted)

    def _declare_lost(self, task: int, released: list[tuple[int, int]], exhausted: list[int]) -> None:
        now = self.batch.round
        if 0 <= self.clock - now.extended.get(task, -SILENCE) < SILENCE:
            return
        now.losses[task] = now.losses.get(task, 0) + 1
        if now.losses[task] > LOSSES_ALLOWED:
            exhausted.append(task)
        else:
            self.batch.retried += 1
            self._again(task, released)

    def _again(self, task: int, released: list[tuple[int, int]]) -> None:
        now = self.batch.round
        now.attempts[task] = now.attempts.get(task, 0) + 1
        now.in_flight[task] = self.now()
        released.append((task, now.attempts[task]))

    def _release_due(self, released: list[tuple[int, int]]) -> None:
        """Release refused and failed tasks again, and a first window that was never confirmed."""
        now = self.batch.round
        if "w" in self.overdue():
            del now.due["w"]
            for task in [task for task, at in now.in_flight.items() if at <= now.began]:
                del now.in_flight[task]
                now.attempts[task] = now.attempts.get(task, 0) + 1
                now.due[f"t:{task}"] = self.now()
        for duty in [duty for duty in self.overdue() if duty[0] == "t"]:
            if len(now.in_flight) >= self.room() + WINDOW_EXCESS or not self.charge_release():
                return
            del now.due[duty]
            task = int(duty[2:])
            now.in_flight[task] = self.now()
            released.append((task, now.attempts.get(task, 0)))
