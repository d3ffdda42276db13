"""Rules that open a batch, lose it with all of Redis, and rebuild it."""

from collections.abc import Mapping
from dataclasses import replace

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from pipeline.ledger.arguments import NewGeneration
from pipeline.ledger.ledger import ClaimKind
from pipeline.ledger.states import SETTLING
from pipeline.units import microseconds
from tests.model.caller import Caller
from tests.model.reference.batch import Batch, Round
from tests.model.reference.complete import StoredCounts
from tests.model.stored import Plan, Segments, StoredBatch
from tests.model.world import BATCH

FATES = st.sampled_from(["taken", "taken", "taken", "refused", "both", "lost", "lost"])
WINDOWS = st.integers(1, 8)
SLOW, FAST = 0.1, 10_000.0
RATES = st.sampled_from([SLOW, FAST])
SHORT, LONG = 500.0, 1_000_000.0
PICK = st.integers(0, 999)
KINDS_OF_CLAIM: st.SearchStrategy[ClaimKind] = st.sampled_from(["new", "queued", "renewed"])


def first_plan(tasks: int, chunk: int, tolerated: int | None, deadline: float, delay: float, attempts: int) -> Plan:
    """Generation 0, in tasks of `chunk` items; `attempts` is how many generations begin by themselves."""
    items = [list(range(task * chunk, (task + 1) * chunk)) for task in range(tasks)]
    final = attempts == 1
    return Plan(NewGeneration(0, tasks, tasks * chunk, deadline, chunk, delay, 0, final, tolerated), items, attempts)


PLANS = st.builds(
    first_plan,
    tasks=st.integers(0, 20),
    chunk=st.integers(1, 3),
    tolerated=st.none() | st.integers(0, 3),
    deadline=st.sampled_from([LONG, LONG, SHORT]),
    delay=st.sampled_from([0, 0, 0, 20]),
    attempts=st.integers(1, 3),
)


class Opening(Caller):
    """`lost` is a batch that Redis has lost and that is open according to S3."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: Batch | None = None
        self.plan = first_plan(1, 1, None, LONG, 0, 1)

    @initialize(
        window=WINDOWS,
        plan=PLANS,
        fate=FATES,
        rate=st.sampled_from([None, None, None, SLOW, FAST]),
        held=st.sampled_from([False, False, False, True]),
        notified=st.sampled_from([(0, False), (1, False), (2, False), (1, True), (3, True)]),
    )
    def submit(
        self,
        window: int,
        plan: Plan,
        fate: str,
        rate: float | None,
        held: bool,  # noqa: FBT001
        notified: tuple[int, bool],
    ) -> None:
        self.window, self.plan = window, plan
        self.targets, self.reduces = notified
        owner = self.name("opener")
        self.claim(owner)
        if rate:
            self.tune(None, rate)
        if held:
            self.hold_batch(paused=True)
        self.begin_first(owner, plan, fate)

    def submit_again(self) -> None:
        owner = self.name("opener")
        self.claim(owner)
        self.begin_first(owner, self.plan, "taken")

    @rule(new=st.booleans(), pick=PICK, kind=KINDS_OF_CLAIM, hand_on=st.booleans(), other=st.booleans())
    def claim_by_anyone(self, new: bool, pick: int, kind: ClaimKind, hand_on: bool, other: bool) -> None:  # noqa: FBT001
        if new or not self.openers:
            self.openers.append(self.name("opener"))
        owner = self.openers[pick % len(self.openers)]
        etag = "another" if other and self.batch.state else "e"
        self.claim(owner, kind, hand_on=hand_on, etag=etag)

    @precondition(lambda self: self.openers)
    @rule(pick=PICK, plan=PLANS, fate=FATES)
    def open_by_any_owner(self, pick: int, plan: Plan, fate: str) -> None:
        self.plan = plan
        self.open_as(self.openers[pick % len(self.openers)], fate)

    def open_as(self, owner: str, fate: str) -> None:
        if self.lost is None:
            self.begin_first(owner, self.plan, fate)
        else:
            self.rebuild(owner)

    def begin_first(self, owner: str, plan: Plan, fate: str) -> None:
        if self.begin(owner, plan):
            self.send_first(fate)

    @precondition(lambda self: self.batch.state in {"", "opening"} and self.openers)
    @rule(pick=PICK, reason=st.sampled_from(["", "no such input"]), queued=st.booleans())
    def abandon_opening(self, pick: int, reason: str, queued: bool) -> None:  # noqa: FBT001
        if self.lost is not None:
            return
        self.abandon("" if queued else self.openers[pick % len(self.openers)], reason)

    def abandon(self, owner: str, reason: str) -> None:
        given_up = self.ask(self.world.ledger.abandon(BATCH, owner, reason))
        expected = self.reference.abandon(owner, reason)
        self.compare(given_up, expected, idle=not expected)

    @rule(sure=st.integers(0, 3))
    def lose_redis(self, sure: int) -> None:
        if sure:
            return
        old = self.batch
        self.world.lose_redis()
        self.reference.batch = Batch()
        self.compare(None, None)
        if old.started and old.state in SETTLING | {"reducing"}:
            self.lost = old
        elif self.lost is None:
            self.stored = StoredBatch()

    @precondition(lambda self: self.lost is not None)
    @rule(stop=st.sampled_from(["", "", "handed on"]))
    def recover_lost_batch(self, stop: str) -> None:
        self.claim(self.name("sweep"), hand_on=True)
        if not stop:
            owner = self.name("rebuilder")
            if self.claim(owner, "queued") == "claimed":
                self.rebuild(owner)

    def rebuild(self, owner: str) -> None:
        """Restore from the segments, adopted under the new epoch, and from the mark and the manifests."""
        old, plans = self.lost, self.stored.plans
        assert old is not None
        plan = plans[old.generation]
        adopted = self.adopt()
        base = old.generation if old.redrive else old.base
        items = self.stored.results(adopted, upto=old.generation, current=old.redrive)
        settled = frozenset(task for task, rows in enumerate(plan.tasks) if rows[0] in items)
        counts = [list(items.values()).count(kind) for kind in "sf4r"]
        segments = sum(generation == old.generation for generation, _ in adopted)
        found = StoredCounts(
            settled, segments, counts[0], counts[1] + counts[2], counts[3], self.reference.clock + LONG
        )
        retried = sum(other.new.items for other in plans[1 : old.generation + 1])
        final = old.generation - base + 1 >= plans[0].attempts
        new = replace(old, base=base, retried=retried, batch_size=plans[0].new.items)
        now = Round(plan.new.tasks, (0, 0), items=plan.new.items, calls=plan.new.calls, final=final)
        fields = self._fields(new, now, found)
        bits = bytearray(-(-now.tasks // 8))
        for task in settled:
            bits[task // 8] |= 0x80 >> task % 8
        remaining = now.tasks - len(settled)
        restored = self.ask(self.world.ledger.restore(BATCH, owner, fields, bytes(bits), now.tasks, remaining))
        expected = self.reference.restore(owner, now, found, new)
        self.compare(restored, expected, idle=expected == "lost")
        if expected != "lost":
            self.lost = None
            self.stored.segments, self.stored.late_segments = adopted, []
            del plans[old.generation + 1 :]

    def adopt(self) -> Segments:
        """Renumber all segments of each generation, including late ones; an answer counts once."""
        found = [(generation, answers) for (generation, _), answers in sorted(self.stored.segments.items())]
        found += [(pending_write.generation, pending_write.answers) for pending_write in self.stored.late_segments]
        adopted: Segments = {}
        seen: set[tuple[int, int]] = set()
        for generation, answers in found:
            fresh = [answer for answer in answers if (generation, orjson.loads(answer)["task"]) not in seen]
            seen |= {(generation, orjson.loads(answer)["task"]) for answer in fresh}
            if fresh:
                adopted[generation, sum(other == generation for other, _ in adopted)] = tuple(fresh)
        return adopted

    def _fields(self, old: Batch, now: Round, found: StoredCounts) -> Mapping[str, str]:
        """The fields that are passed to rebuild a batch."""
        at = microseconds(self.view.now)
        failed = found.given_up + found.retryable
        fields: dict[str, object] = {
            "generation": old.generation,
            "base": old.base,
            "batch_size": old.batch_size,
            "items": now.items,
            "succeeded": found.succeeded,
            "failed": failed,
            "retried": old.retried,
            "calls": now.calls,
            "given_up": found.given_up + (found.retryable if now.final else 0),
            "not_found": -1 if found.succeeded + found.given_up else 0,
            "created": at,
            "started": at,
            "run_at": at,
            "run_settled": found.succeeded + failed,
            "deadline_at": microseconds(self.view.now + LONG),
            "final": int(now.final),
            "segments": found.segments,
            "tolerated": old.tolerated,
            "paused": old.paused or None,
            "cancel": old.outcome == "cancelled" or old.cancelled or None,
            "redrive": old.redrive or None,
            "window": old.window,
            **{f"epoch_{number}": self.batch.epoch for number in range(old.generation)},
            "rate": old.rate,
        }
        given = {name: int(value) if isinstance(value, bool) else value for name, value in fields.items()}
        return {name: str(value) for name, value in given.items() if value is not None}
