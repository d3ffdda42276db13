"""Invariants of a ledger at every step, and its comparison with the reference."""

from collections import Counter

from pipeline.ledger.states import ACTIVE, ENDED, SETTLING
from tests.model.reference.batch import Moment
from tests.model.reference.tasks import TaskReference
from tests.model.world import KEYS, ROOT, RedisView

COUNTS = ("succeeded", "failed", "retried")


def check_view(reference: TaskReference, view: RedisView) -> None:
    """Compare the ledger with the reference: if they differ, one of them is wrong."""
    batch, now = reference.batch, reference.batch.round
    assert view.fields.get("state", "") == batch.state
    _check_notices(reference, view)
    if not batch.state:
        assert view.keys <= {f"{ROOT}:notices", f"{ROOT}:due"}
        assert bool(view.keys) == (batch.notices is not None)
    if not view.keys:
        return
    _check_keys(view)
    assert view.due == {duty: _ahead(reference, at) for duty, at in now.due.items()}
    assert view.in_flight == {task: _ahead(reference, at) for task, at in now.in_flight.items()}
    if not batch.epoch:
        return
    assert view.fields["epoch"] == batch.epoch
    assert {int(name[6:]): value for name, value in view.fields.items() if name.startswith("epoch_")} == batch.epochs
    assert {name: int(view.fields[name]) for name in COUNTS} == {name: getattr(batch, name) for name in COUNTS}
    assert int(view.fields["generation"]) == batch.generation
    assert int(view.fields.get("repeated", 0)) == batch.repeated
    assert (view.fields["owner"], int(view.fields["window"])) == (batch.owner, batch.window)
    assert float(view.fields.get("rate", 0)) == (batch.rate or 0)
    assert int(view.fields.get("openings", 0)) == batch.openings
    assert int(view.fields.get("begun", 0)) == batch.begun
    assert int(view.fields.get("redrives", 0)) == batch.redrives
    assert (view.fields.get("missing", ""), view.fields.get("lost", "")) == (batch.missing, batch.lost)
    for name, value in (("paused", batch.paused), ("cancel", batch.cancelled), ("redrive", batch.redrive)):
        assert (name in view.fields) == value
    if batch.state == "opening" or batch.state in ENDED:
        _check_no_tasks(view)
    if batch.state in SETTLING | {"reducing"} and not batch.redrive:
        _check_round(reference, view)


def _check_notices(reference: TaskReference, view: RedisView) -> None:
    """Compare the notices; each due target has a duty, and targets are held only while one is due."""
    notices = reference.batch.notices
    if notices is None:
        assert view.notices == {}
        return
    kept = [view.notices[str(target)].split() for target in range(len(notices.states))]
    assert view.notices["end"] == notices.end
    assert [each[0] for each in kept] == notices.states
    assert [int(each[1]) for each in kept] == notices.tries
    assert {duty for duty in view.due if duty[0] == "n"} == {
        f"n:{target}" for target, state in enumerate(notices.states) if state == "due"
    }
    assert "held" not in notices.states or "due" in notices.states


def _check_keys(view: RedisView) -> None:
    """There are only the declared keys, all in one slot, and all expire with the batch."""
    assert view.keys <= set(KEYS)
    expiries = {key: at for key, at in zip(KEYS, view.expiries, strict=True) if key in view.keys}
    assert set(expiries.values()) == {int((view.fields or view.notices)["expire_at"])}


def _check_no_tasks(view: RedisView) -> None:
    assert (view.settled, view.outcomes, view.in_flight, view.attempts) == (frozenset(), [], {}, {})
    assert {duty for duty in view.due if duty[0] != "n"} <= {"o", "m"}


def _check_round(reference: TaskReference, view: RedisView) -> None:
    batch, now = reference.batch, reference.batch.round
    assert view.fields["outcome"] == batch.outcome
    assert view.settled == now.settled
    assert view.remaining == now.unsettled() == now.tasks - len(view.settled)
    assert (int(view.fields["tasks"]), int(view.fields["items"])) == (now.tasks, now.items)
    assert int(view.fields["pending"]) == now.pending
    assert int(view.fields["bytes"]) == sum(map(len, now.waiting))
    assert int(view.fields["segments"]) == now.segments
    known = {f"{task}": attempt for task, attempt in now.attempts.items()}
    known |= {f"f:{task}": count for task, count in now.failures.items()}
    known |= {f"l:{task}": count for task, count in now.losses.items()}
    known |= {f"a:{task}": attempt for task, (attempt, _) in now.runs.items()}
    assert {name: value for name, value in view.attempts.items() if name[0] not in "xr"} == known
    leases = {int(name[2:]): value for name, value in view.attempts.items() if name[0] == "r"}
    ends = {task: round(end / 1e6 - view.now, -1) for task, end in leases.items()}
    assert ends == {task: _ahead(reference, until) for task, (_, until) in now.runs.items()}
    assert {int(name[2:]) for name in view.attempts if name[0] == "x"} == set(now.extended)
    waiting = Counter(now.waiting) + Counter(answer for answers in now.unwritten.values() for answer in answers)
    # Answers leave the list from its front only, so answers of a written segment may still be there.
    assert not waiting - Counter(view.outcomes)
    assert len(set(view.outcomes)) == len(view.outcomes)
    if len(now.unwritten) == 0:
        assert view.outcomes == now.waiting
    assert {name for name in view.fields if name.startswith("seg:")} == {f"seg:{n}" for n in now.unwritten}
    _check_times(reference, view)


def _check_times(reference: TaskReference, view: RedisView) -> None:
    batch, now = reference.batch, reference.batch.round
    clock = reference.clock
    for name in ("heard_at", "mark_at", "probed_at", "not_before"):
        assert view.age(name) == getattr(now, name) - clock, name
    for name in ("heard", "mark"):
        at: Moment = getattr(now, name)
        assert (view.age(name) if view.fields[name] != "0" else None) == (at[0] - clock if at[1] else None), name
    assert view.age("deadline_at") == batch.deadline_at - clock
    if batch.state == "closing":
        assert view.age("closing_at") == batch.closing_at - clock
    if batch.lease_until:
        assert view.age("lease_until") == batch.lease_until - clock
    if batch.tolerated is not None:
        assert int(view.fields["tolerated"]) == batch.tolerated
        assert int(view.fields["given_up"]) == batch.given_up
    if batch.generation == batch.base:
        assert int(view.fields["not_found"]) == now.not_found


def check_duties(reference: TaskReference, view: RedisView) -> None:
    """Check the real ledger alone: all open work has a duty, and no settled task runs or waits."""
    state = view.fields.get("state")
    if state == "opening":
        assert "o" in view.due
    elif state == "reducing":
        assert "r" in view.due
    elif state == "deleting":
        assert "d" in view.due
    elif state in ACTIVE:
        waiting = {int(duty[2:]) for duty in view.due if duty[0] == "t"}
        released = set(range(int(view.fields["next"])))
        assert released - view.settled <= waiting | set(view.in_flight)
        assert not view.settled & (waiting | set(view.in_flight))
    if state in SETTLING | {"reducing"}:
        unwritten = {name.removeprefix("seg:") for name in view.fields if name.startswith("seg:")}
        assert {duty[2:] for duty in view.due if duty[0] == "s"} == unwritten
        assert state == "reducing" or view.remaining > 0
    if state == "closing":
        assert not [duty for duty in view.due if duty[0] in "tlw"]
    assert ("m" in view.due) == ("missing" in view.fields)
    if state in ENDED:
        assert not [duty for duty in view.due if duty[0] != "n"]
    assert not reference.batch.round.settled & set(view.in_flight)


def _ahead(reference: TaskReference, at: Moment) -> float:
    return at[0] - reference.clock
