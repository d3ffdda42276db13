"""Rules of a batch that runs: answers, failures, segments, sweeps, reduces."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.identity import Identity
from pipeline.ledger.arguments import NewGeneration, Published
from pipeline.ledger.ledger import OPENING_LEASE, REDUCE_LEASE
from pipeline.ledger.states import ENDED, SETTLING
from tests.model.batch import Batch
from tests.model.opening import FATES, PICK, Opening
from tests.model.outside import Job, Outside, Plan
from tests.model.world import BATCH

WHO = st.sampled_from([*["message"] * 4, "history", "history", "any task", "epoch", "generation"])
OUTCOMES = st.sampled_from(["s", "s", "s", "f", "r", "4", "sr", "rf", ""])
BACKOFFS = st.sampled_from([0.0, 10.0, 50.0])
STOPS = st.sampled_from(["told", "told", "put", "read"])


class Running(Opening):
    """Workers, replicas that write segments, sweeps and reduces: honest ones, late ones, and those that die."""

    def somebody(self, who: str, pick: int, *, anybody: bool = False) -> Identity:
        """An identity: of a message on the queue or in flight, of an old message, or one that is wrong.

        `anybody`: also of a task of this generation that was never released, which nobody fails or defers.
        """
        now = self.batch.round
        if who == "history" and self.history:
            return self.history[pick % len(self.history)]
        if who == "message":
            if self.queue:
                return self.queue[pick % len(self.queue)]
            if now.in_flight:
                task = sorted(now.in_flight)[pick % len(now.in_flight)]
                return self.identity(task, now.attempts.get(task, 0))
        tasks = now.tasks if anybody else now.next
        task = pick % max(1, tasks)
        here = self.identity(task, pick % 3)
        if who == "epoch" or not tasks:
            return Identity(BATCH, here.generation, task, 0, "0")
        if who == "generation":
            return Identity(BATCH, max(0, here.generation + (pick % 2 or -1)), task, 0, here.epoch)
        return here

    def steered(self, pick: int) -> bool:
        """Where nothing runs, most rules do what leads to something that does instead."""
        state = self.batch.state
        if state in SETTLING or pick % 4 == 0:
            return False
        if state == "":
            self.submit_again() if self.lost is None else self.sweep_finds_it_lost("")
        elif state == "opening":
            self.pass_time(OPENING_LEASE)
            owner = self.name("opener")
            self.claim(owner, queued=True)
            self.somebody_opens_it(owner, "taken")
        elif state == "reducing":
            self.pass_time(REDUCE_LEASE)
            self.reduce(old=False, stop="", fate="taken")
        elif state in ENDED and pick % 4 == 1:
            self.delete_it()
        elif state in ENDED:
            self.redrive_it()
        else:
            self.forget_it()
        return True

    def delete_it(self, *, go_on: bool = False) -> None:
        owner = self.name("deleter")
        found = tuple(self.ask(self.world.control.delete(BATCH, owner, go_on=go_on)))
        self.compare(found, self.life.delete(owner, go_on=go_on), idle=found[0] != "leased")

    def redrive_it(self) -> None:
        found = self.ask(self.world.control.redrive(BATCH))
        self.compare((found.state, found.generation, found.verdict), self.life.redrive())

    def forget_it(self, owner: str = "") -> None:
        owner = owner or self.batch.owner
        forgotten = self.ask(self.world.control.forget(BATCH, owner))
        self.compare(forgotten, self.life.forget(owner), idle=not forgotten)
        if forgotten:
            self.outside = Outside()

    def disown_it(self, epoch: str) -> None:
        self.ask(self.world.control.disown(BATCH, epoch))
        if self.batch.epoch != epoch:
            self.compare(None, None, idle=True)
            return
        self.life.batch = Batch()
        self.compare(None, None)

    @rule(who=WHO, pick=PICK, kinds=OUTCOMES, fate=FATES, again=st.booleans())
    def answer_comes(self, who: str, pick: int, kinds: str, fate: str, again: bool) -> None:  # noqa: FBT001
        if self.steered(pick):
            return
        identity = self.somebody(who, pick, anybody=True)
        self.settle(identity, kinds, fate)
        if not again and identity in self.queue:
            self.queue.remove(identity)

    @rule(count=st.integers(2, 8), kind=OUTCOMES)
    def answers_come(self, count: int, kind: str) -> None:
        for _ in range(count if self.batch.state in SETTLING else 1):
            self.answer_comes("message", count, kind, "taken", again=False)

    @rule(who=WHO, pick=PICK, attempts=st.sampled_from([3, 3, 2, 1, 0]), backoff=BACKOFFS, dies=st.booleans())
    def task_brings_no_answer(self, who: str, pick: int, attempts: int, backoff: float, dies: bool) -> None:  # noqa: FBT001
        if self.steered(pick):
            return
        identity = self.somebody(who, pick)
        verdict = self.fail(identity, attempts, backoff)
        if identity in self.queue:
            self.queue.remove(identity)
        if not dies and verdict in {"exhausted", "skip"}:
            self.settle(identity, "r" if verdict == "exhausted" else "", "taken")

    @rule(who=WHO, pick=PICK)
    def task_is_tried_again_by_the_worker(self, who: str, pick: int) -> None:
        if self.steered(pick):
            return
        identity = self.somebody(who, pick)
        known = (identity.epoch, identity.generation) == (self.batch.epoch, self.batch.generation)
        in_flight = known and identity.task in self.batch.round.in_flight
        self.ask(self.world.ledger.extend(identity))
        self.life.extend(identity)
        self.compare(None, None, idle=not in_flight)

    @rule(who=WHO, pick=PICK, backoff=BACKOFFS, count=st.integers(1, 3))
    def gateway_refuses(self, who: str, pick: int, backoff: float, count: int) -> None:
        if self.steered(pick):
            return
        some = [self.somebody(who, pick + n) for n in range(count)]
        of = (some[0].epoch, some[0].generation)
        self.defer([one for one in some if (one.epoch, one.generation) == of], backoff)

    @precondition(lambda self: "w" in self.batch.round.due)
    @rule(who=WHO, pick=PICK)
    def first_window_is_confirmed(self, who: str, pick: int) -> None:
        self.confirm(self.somebody(who, pick))

    @rule(pick=PICK)
    def message_is_lost(self, pick: int) -> None:
        if self.queue:
            del self.queue[pick % len(self.queue)]

    @precondition(lambda self: self.batch.round.unwritten)
    @rule(pick=PICK, stop=STOPS)
    def segment_is_written(self, pick: int, stop: str) -> None:
        numbers = sorted(self.batch.round.unwritten)
        self.write(self.batch.generation, numbers[pick % len(numbers)], stop)

    @precondition(lambda self: self.tickets)
    @rule(pick=PICK, stop=st.sampled_from(["told", "told", "put", "twice"]))
    def late_writer_goes_on(self, pick: int, stop: str) -> None:
        ticket = self.tickets.pop(pick % len(self.tickets))
        self.go_on_writing(ticket, "put" if stop == "put" else "told")
        if stop == "twice":
            self.told(ticket)

    @rule(seconds=st.sampled_from([10.0, 30.0, 40.0, 60.0, 110.0, 110.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        self.life.clock += seconds
        self.compare(None, None)

    @rule(fate=FATES, shortest=st.sampled_from([0.0, 0.0, 0.0, 20.0]), wait=st.sampled_from([0.0, 0.0, 30.0, 110.0]))
    def sweep(self, fate: str, shortest: float, wait: float) -> None:
        if wait:
            self.pass_time(wait)
        self.take_over(self.repair(shortest), fate)

    @precondition(lambda self: self.batch.state in SETTLING)
    @rule(count=st.integers(2, 7), fate=st.sampled_from(["lost", "taken"]))
    def silence(self, count: int, fate: str) -> None:
        for _ in range(count):
            if self.batch.state in SETTLING:
                self.sweep(fate, 0.0, 110.0)

    @precondition(lambda self: self.batch.state == "reducing")
    @rule(old=st.booleans(), stop=st.sampled_from(["", "", "", "leased", "excused", "written"]), fate=FATES)
    def reduce(self, old: bool, stop: str, fate: str) -> None:  # noqa: FBT001
        """Reduce under a lease; it may stop once it is `leased`, or `excused` then, or its segments are `written`."""
        owner, generation = self.name("reducer"), max(0, self.batch.generation - old)
        verdict, segments = self.lease(owner, generation)
        if stop == "excused":
            self.excuse(owner)
        if verdict != "leased" or stop in {"leased", "excused"}:
            return
        for number in segments:
            self.write(generation, number, "told")
        self.jobs.append(self.plan_on(owner))
        if not stop:
            self.late_reducer_goes_on(-1, fate)

    def lease(self, owner: str, generation: int) -> tuple[str, list[int]]:
        lease = self.ask(self.world.ledger.lease_reduce(BATCH, owner, generation))
        verdict, begun, segments = self.life.lease(owner, generation)
        found = (lease.verdict, lease.begun, sorted(lease.segments))
        self.compare(found, (verdict, begun, segments), idle=verdict != "leased")
        return verdict, segments

    def excuse(self, owner: str) -> None:
        """Say, twice, that the reduce failed by no fault of its own."""
        for _ in range(2):
            self.ask(self.world.ledger.note_trouble(BATCH, "S3 was away", owner))
        self.life.excuse(owner)
        self.compare(None, None, idle=self.batch.state not in {"opening", "reducing"})

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK, fate=FATES)
    def late_reducer_goes_on(self, pick: int, fate: str) -> None:
        job = self.jobs.pop(pick % len(self.jobs))
        if job.plan is not None:
            if self.begin(job.owner, job.plan):
                self.send_first(fate)
                self.take_over(self.repair(), fate)
            return
        ended = self.ask(
            self.world.ledger.finish(BATCH, job.owner, job.generation, Published(job.succeeded, job.failed))
        )
        ending = self.batch.state == "reducing"
        expected = self.life.finish(job.owner, job.generation, job.succeeded, job.failed)
        self.compare(ended, expected, idle=not (ending and expected))
        if ending and ended:
            self.check_end(job)

    def plan_on(self, owner: str) -> Job:
        """What a reduce does that has all segments: run items again, or end the batch."""
        batch, plans = self.batch, self.outside.plans
        generation, now = batch.generation, batch.round
        found = self.outside.results(self.outside.segments, upto=generation)
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
            return Job(owner, generation, None, len(found) - len(failed), len(failed))
        first, number = plans[0], generation + 1
        new = NewGeneration(
            *(number, len(again), len(again), first.new.deadline, 1),
            delay=0 if batch.redrive else 10.0 * 2 ** (number - base - 1),
            again=counted,
            final=number - base + 1 >= first.attempts,
            tolerated=first.new.tolerated,
        )
        return Job(owner, generation, Plan(new, [[item] for item in again], first.attempts), 0, 0)

    def check_end(self, job: Job) -> None:
        """What has ended has all its outcomes in segments, each task's once; more failures than tolerated fail it."""
        batch, plans = self.batch, self.outside.plans
        found = self.outside.results(self.outside.segments, upto=batch.generation)
        if batch.outcome == "done":
            assert set(found) == set(range(batch.batch_size))
            tolerated = plans[0].new.tolerated
            assert tolerated is None or job.failed <= tolerated
        for generation in range(batch.generation + 1):
            written = [tasks for place, tasks in self.outside.tasks_written() if place == generation]
            assert len(written) == len(set(written))
            assert set(written) <= set(range(len(plans[generation].tasks)))
