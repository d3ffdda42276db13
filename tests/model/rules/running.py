"""Rules for a running batch: answers, failures, segments and sweeps."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.identity import Identity
from pipeline.ledger.ledger import OPENING_LEASE, REDUCE_LEASE
from pipeline.ledger.states import ENDED, SETTLING
from tests.model.reference.batch import Batch
from tests.model.rules.opening import FATES, PICK
from tests.model.rules.reducing import Reducing
from tests.model.stored import StoredBatch
from tests.model.world import BATCH

IDENTITIES = st.sampled_from([*["message"] * 4, "history", "history", "any task", "epoch", "generation"])
OUTCOMES = st.sampled_from(["s", "s", "s", "f", "r", "4", "sr", "rf", ""])
BACKOFFS = st.sampled_from([0.0, 10.0, 50.0])
STOPS = st.sampled_from(["confirmed", "confirmed", "put", "read"])


class Running(Reducing):
    """Workers, writers of segments, and sweeps: correct ones, late ones, and ones that die."""

    def pick_identity(self, who: str, pick: int, *, unreleased: bool = False) -> Identity:
        """Return an identity of a message in the queue or in flight, of an old message, or a wrong one.

        `unreleased`: also of a task of this generation that was never released; such a task never fails.
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
        tasks = now.tasks if unreleased else now.next
        task = pick % max(1, tasks)
        here = self.identity(task, pick % 3)
        if who == "epoch" or not tasks:
            return Identity(BATCH, here.generation, task, 0, "0")
        if who == "generation":
            return Identity(BATCH, max(0, here.generation + (pick % 2 or -1)), task, 0, here.epoch)
        return here

    def steer(self, pick: int) -> bool:
        """If nothing runs, most rules first do something that leads to a running batch."""
        state = self.batch.state
        if state in SETTLING or pick % 4 == 0:
            return False
        if state == "":
            self.submit_again() if self.lost is None else self.recover_lost_batch("")
        elif state == "opening":
            self.pass_time(OPENING_LEASE)
            owner = self.name("opener")
            self.claim(owner, "queued")
            self.open_as(owner, "taken")
        elif state == "reducing":
            self.pass_time(REDUCE_LEASE)
            self.reduce(old=False, stop="", fate="taken")
        elif state in ENDED and pick % 4 == 1:
            self.delete_batch()
        elif state in ENDED:
            self.redrive_batch()
        else:
            self.forget_batch()
        return True

    def delete_batch(self, *, go_on: bool = False) -> None:
        self.deleters.append(self.name("deleter"))
        self._lease_deletion(self.deleters[-1], go_on=go_on, renewal=False)

    @precondition(lambda self: self.deleters)
    @rule(pick=PICK)
    def wake_deleter(self, pick: int) -> None:
        self._lease_deletion(self.deleters[pick % len(self.deleters)], go_on=False, renewal=True)

    def _lease_deletion(self, owner: str, *, go_on: bool, renewal: bool) -> None:
        found = tuple(self.ask(self.world.control.delete(BATCH, owner, go_on=go_on, renewal=renewal)))
        expected = self.reference.delete(owner, go_on=go_on, renewal=renewal)
        self.compare(found, expected, idle=found[0] != "leased")

    def redrive_batch(self, ended: str = "") -> None:
        """`ended`: only the end at this time is meant."""
        is_another = ended not in {"", self.view.fields.get("ended")}
        found = self.ask(self.world.control.redrive(BATCH, ended))
        expected = self.reference.redrive(is_another_end=is_another)
        self.compare((found.state, found.generation, found.verdict), expected, idle=found.verdict != "redriven")

    def forget_batch(self, owner: str = "") -> None:
        owner = owner or self.batch.owner
        forgotten = self.ask(self.world.control.forget(BATCH, owner))
        self.compare(forgotten, self.reference.forget(owner), idle=not forgotten)
        if forgotten:
            self.stored = StoredBatch()

    def disown_batch(self, epoch: str) -> None:
        self.ask(self.world.control.disown(BATCH, epoch))
        if self.batch.epoch != epoch:
            self.compare(None, None, idle=True)
            return
        self.reference.batch = Batch()
        self.compare(None, None)

    @rule(who=IDENTITIES, pick=PICK, kinds=OUTCOMES, fate=FATES, again=st.booleans())
    def receive_answer(self, who: str, pick: int, kinds: str, fate: str, again: bool) -> None:  # noqa: FBT001
        if self.steer(pick):
            return
        identity = self.pick_identity(who, pick, unreleased=True)
        self.settle(identity, kinds, fate)
        if not again and identity in self.queue:
            self.queue.remove(identity)

    @rule(count=st.integers(2, 8), kind=OUTCOMES)
    def receive_answers(self, count: int, kind: str) -> None:
        for _ in range(count if self.batch.state in SETTLING else 1):
            self.receive_answer("message", count, kind, "taken", again=False)

    @rule(who=IDENTITIES, pick=PICK, attempts=st.sampled_from([3, 3, 2, 1, 0]), backoff=BACKOFFS, dies=st.booleans())
    def fail_task(self, who: str, pick: int, attempts: int, backoff: float, dies: bool) -> None:  # noqa: FBT001
        if self.steer(pick):
            return
        identity = self.pick_identity(who, pick)
        verdict = self.fail(identity, attempts, backoff)
        if identity in self.queue:
            self.queue.remove(identity)
        if not dies and verdict in {"exhausted", "skip"}:
            self.settle(identity, "r" if verdict == "exhausted" else "", "taken")

    @rule(who=IDENTITIES, pick=PICK, run_lease=st.sampled_from([10.0, 60.0]), again=st.booleans())
    def deliver_message(self, who: str, pick: int, run_lease: float, again: bool) -> None:  # noqa: FBT001
        if self.steer(pick):
            return
        identity = self.pick_identity(who, pick, unreleased=True)
        self.start_task(identity, run_lease)
        if again:
            self.start_task(identity, run_lease)

    @rule(who=IDENTITIES, pick=PICK)
    def extend_task(self, who: str, pick: int) -> None:
        if self.steer(pick):
            return
        identity = self.pick_identity(who, pick)
        known = (identity.epoch, identity.generation) == (self.batch.epoch, self.batch.generation)
        in_flight = known and identity.task in self.batch.round.in_flight
        self.ask(self.world.ledger.extend(identity))
        self.reference.extend(identity)
        self.compare(None, None, idle=not in_flight)

    @rule(who=IDENTITIES, pick=PICK, backoff=BACKOFFS, count=st.integers(1, 3))
    def refuse_messages(self, who: str, pick: int, backoff: float, count: int) -> None:
        if self.steer(pick):
            return
        some = [self.pick_identity(who, pick + n) for n in range(count)]
        of = (some[0].epoch, some[0].generation)
        self.defer([one for one in some if (one.epoch, one.generation) == of], backoff)

    @precondition(lambda self: "w" in self.batch.round.due)
    @rule(who=IDENTITIES, pick=PICK)
    def confirm_first_window(self, who: str, pick: int) -> None:
        self.confirm(self.pick_identity(who, pick))

    @rule(pick=PICK, stop=st.sampled_from(["noted", "there", "gone", "gone"]))
    def miss_an_object(self, pick: int, stop: str) -> None:
        """A replica finds no object in the bucket; the batch is given up for that one, or for an older finding."""
        objects = f"batch/{pick % 3}"
        idle = not self.batch.state or self.batch.state in ENDED | {"deleting"} or bool(self.batch.missing)
        self.ask(self.world.control.note_missing(BATCH, [objects]))
        self.reference.note_missing(objects)
        self.compare(None, None, idle=idle)
        if stop != "noted" and pick % 4 == 0:
            self.give_up(objects, "gone" if stop == "gone" else "")

    def give_up(self, objects: str, reason: str) -> None:
        state = self.ask(self.world.control.give_up(BATCH, objects, [objects] if reason else [], reason))
        expected = self.reference.give_up(objects, objects if reason else "", reason)
        self.compare(state, expected, idle=not expected)

    @rule(pick=PICK)
    def lose_message(self, pick: int) -> None:
        if self.queue:
            del self.queue[pick % len(self.queue)]

    @precondition(lambda self: self.batch.round.unwritten)
    @rule(pick=PICK, stop=STOPS)
    def write_segment(self, pick: int, stop: str) -> None:
        numbers = sorted(self.batch.round.unwritten)
        self.write(self.batch.generation, numbers[pick % len(numbers)], stop)

    @precondition(lambda self: self.pending_writes)
    @rule(pick=PICK, stop=st.sampled_from(["confirmed", "confirmed", "put", "twice"]))
    def resume_late_writer(self, pick: int, stop: str) -> None:
        pending_write = self.pending_writes.pop(pick % len(self.pending_writes))
        self.finish_writing(pending_write, "put" if stop == "put" else "confirmed")
        if stop == "twice":
            self.confirm_segment(pending_write)

    @rule(seconds=st.sampled_from([10.0, 30.0, 40.0, 60.0, 110.0, 110.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(fate=FATES, shortest=st.sampled_from([0.0, 0.0, 0.0, 20.0]), wait=st.sampled_from([0.0, 0.0, 30.0, 110.0]))
    def sweep(self, fate: str, shortest: float, wait: float) -> None:
        if wait:
            self.pass_time(wait)
        self.take_over(self.repair(shortest), fate)

    @rule(wait=st.sampled_from([30.0, 110.0]))
    def freeze_a_sweep(self, wait: float) -> None:
        self.pass_time(wait)
        self.frozen_sweeps.append(self.repair())

    @precondition(lambda self: self.frozen_sweeps)
    @rule(pick=PICK, fate=FATES)
    def wake_a_sweep(self, pick: int, fate: str) -> None:
        """It does what was due when it stood still; of a batch that had ended it asks for the redrive that S3 knows."""
        repairs = self.frozen_sweeps.pop(pick % len(self.frozen_sweeps))
        self.take_over(repairs, fate)
        if repairs.ended:
            self.redrive_batch(repairs.ended)

    @precondition(lambda self: self.batch.state in SETTLING)
    @rule(count=st.integers(2, 7), fate=st.sampled_from(["lost", "taken"]))
    def sweep_in_silence(self, count: int, fate: str) -> None:
        for _ in range(count):
            if self.batch.state in SETTLING:
                self.sweep(fate, 0.0, 110.0)
