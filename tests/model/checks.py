"""What holds of a ledger at every step, and whether it holds what the reference says."""

from collections import Counter

from pipeline.ledger.states import ACTIVE, ENDED, SETTLING
from tests.model.batch import Moment
from tests.model.reference import Reference
from tests.model.world import KEYS, PARTS, ROOT, Sight

COUNTS = ("succeeded", "failed", "retried")


def check_sight(reference: Reference, sight: Sight) -> None:
    """Compare all that counts: a ledger that differs is wrong, or the reference is."""
    batch, now = reference.batch, reference.batch.round
    assert sight.fields.get("state", "") == batch.state
    _check_told(reference, sight)
    if not batch.state:
        assert sight.keys <= {f"{ROOT}:notices", f"{ROOT}:due"}
        assert bool(sight.keys) == (batch.told is not None)
    if not sight.keys:
        return
    _check_keys(sight)
    assert sight.due == {duty: _ahead(reference, at) for duty, at in now.due.items()}
    assert sight.in_flight == {task: _ahead(reference, at) for task, at in now.in_flight.items()}
    if not batch.epoch:
        return
    assert sight.fields["epoch"] == batch.epoch
    assert {int(name[6:]): value for name, value in sight.fields.items() if name.startswith("epoch_")} == batch.epochs
    assert {name: int(sight.fields[name]) for name in COUNTS} == {name: getattr(batch, name) for name in COUNTS}
    assert int(sight.fields["generation"]) == batch.generation
    assert (sight.fields["owner"], int(sight.fields["window"])) == (batch.owner, batch.window)
    assert float(sight.fields.get("rate", 0)) == (batch.rate or 0)
    assert int(sight.fields.get("openings", 0)) == batch.openings
    assert int(sight.fields.get("begun", 0)) == batch.begun
    for name, value in (("paused", batch.paused), ("cancel", batch.cancelled), ("redrive", batch.redrive)):
        assert (name in sight.fields) == value
    if batch.state == "opening" or batch.state in ENDED:
        _check_nothing_runs(sight)
    if batch.state in SETTLING | {"reducing"} and not batch.redrive:
        _check_round(reference, sight)


def _check_told(reference: Reference, sight: Sight) -> None:
    """Compare who is told of the end; whose turn it is has a duty, and who waits for a turn waits for somebody's."""
    told = reference.batch.told
    if told is None:
        assert sight.notices == {}
        return
    kept = [sight.notices[str(target)].split() for target in range(len(told.states))]
    assert sight.notices["end"] == told.end
    assert [each[0] for each in kept] == told.states
    assert [int(each[1]) for each in kept] == told.tries
    assert {duty for duty in sight.due if duty[0] == "n"} == {
        f"n:{target}" for target, state in enumerate(told.states) if state == "due"
    }
    assert "held" not in told.states or "due" in told.states


def _check_keys(sight: Sight) -> None:
    """No key but the declared ones, all of one slot, and all of them expire when the batch does."""
    assert sight.keys <= {ROOT, *(f"{ROOT}:{part}" for part in PARTS)}
    expiries = {key: at for key, at in zip(KEYS, sight.expiries, strict=True) if key in sight.keys}
    assert set(expiries.values()) == {int((sight.fields or sight.notices)["expire_at"])}


def _check_nothing_runs(sight: Sight) -> None:
    assert (sight.settled, sight.outcomes, sight.in_flight, sight.attempts) == (frozenset(), [], {}, {})
    assert {duty for duty in sight.due if duty[0] != "n"} <= {"o"}


def _check_round(reference: Reference, sight: Sight) -> None:
    batch, now = reference.batch, reference.batch.round
    assert sight.fields["outcome"] == batch.outcome
    assert sight.settled == now.settled
    assert sight.remaining == now.unsettled() == now.tasks - len(sight.settled)
    assert (int(sight.fields["tasks"]), int(sight.fields["items"])) == (now.tasks, now.items)
    assert int(sight.fields["pending"]) == now.pending
    assert int(sight.fields["bytes"]) == sum(map(len, now.waiting))
    assert int(sight.fields["segments"]) == now.segments
    known = {f"{task}": attempt for task, attempt in now.attempts.items()}
    known |= {f"f:{task}": count for task, count in now.failures.items()}
    known |= {f"l:{task}": count for task, count in now.losses.items()}
    assert {name: value for name, value in sight.attempts.items() if name[0] != "x"} == known
    assert {int(name[2:]) for name in sight.attempts if name[0] == "x"} == set(now.extended)
    waiting = Counter(now.waiting) + Counter(answer for answers in now.unwritten.values() for answer in answers)
    # Answers leave the list from its front only, so those of a segment may still be there that is written already.
    assert not waiting - Counter(sight.outcomes)
    assert len(set(sight.outcomes)) == len(sight.outcomes)
    if len(now.unwritten) == 0:
        assert sight.outcomes == now.waiting
    assert {name for name in sight.fields if name.startswith("seg:")} == {f"seg:{n}" for n in now.unwritten}
    _check_times(reference, sight)


def _check_times(reference: Reference, sight: Sight) -> None:
    batch, now = reference.batch, reference.batch.round
    clock = reference.clock
    for name in ("heard_at", "mark_at", "probed_at", "not_before"):
        assert sight.age(name) == getattr(now, name) - clock, name
    for name in ("heard", "mark"):
        at: Moment = getattr(now, name)
        assert (sight.age(name) if sight.fields[name] != "0" else None) == (at[0] - clock if at[1] else None), name
    assert sight.age("deadline_at") == batch.deadline_at - clock
    if batch.state == "closing":
        assert sight.age("closing_at") == batch.closing_at - clock
    if batch.lease_until:
        assert sight.age("lease_until") == batch.lease_until - clock
    if batch.tolerated is not None:
        assert int(sight.fields["tolerated"]) == batch.tolerated
        assert int(sight.fields["given_up"]) == batch.given_up
    if batch.generation == batch.base:
        assert int(sight.fields["not_found"]) == now.not_found


def check_nobody_is_forgotten(reference: Reference, sight: Sight) -> None:
    """Of the real ledger alone: nothing is owed to nobody, and nobody runs who may not."""
    state = sight.fields.get("state")
    if state == "opening":
        assert "o" in sight.due
    elif state == "reducing":
        assert "r" in sight.due
    elif state == "deleting":
        assert "d" in sight.due
    elif state in ACTIVE:
        waiting = {int(duty[2:]) for duty in sight.due if duty[0] == "t"}
        released = set(range(int(sight.fields["next"])))
        assert released - sight.settled <= waiting | set(sight.in_flight)
        assert not sight.settled & (waiting | set(sight.in_flight))
    if state in SETTLING | {"reducing"}:
        unwritten = {name.removeprefix("seg:") for name in sight.fields if name.startswith("seg:")}
        assert {duty[2:] for duty in sight.due if duty[0] == "s"} == unwritten
        assert state == "reducing" or sight.remaining > 0
    if state == "closing":
        assert not [duty for duty in sight.due if duty[0] in "tw"]
    if state in ENDED:
        assert not [duty for duty in sight.due if duty[0] != "n"]
    assert not reference.batch.round.settled & set(sight.in_flight)


def _ahead(reference: Reference, at: Moment) -> float:
    return at[0] - reference.clock
