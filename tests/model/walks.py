"""Short walks of the machine that together make every change of a batch's state."""

from collections.abc import Callable, Iterator
from functools import partial

from pipeline.ledger.states import CHANGES, STATES
from tests.model.machine import LedgerMachine
from tests.model.rules.opening import LONG, SHORT, first_plan

TABLE = {(before, row.after, row.script) for row in CHANGES for before in row.before}
OPENER = "opener"
Walk = Callable[[LedgerMachine], None]


def walks() -> Iterator[Walk]:
    """Yield the walks; each one needs a new machine."""
    for state in STATES:
        yield partial(_lose, state=state)
        yield partial(_disown, state=state)
    for state in ("done", "cancelled", "failed"):
        yield partial(_redrive, state=state)
        yield partial(_delete, state=state)
    yield LedgerMachine.delete_batch
    for reason in ("", "no such input"):
        yield partial(_abandon, reason=reason, cancelled=False)
    yield partial(_abandon, reason="no such input", cancelled=True)
    for paused in (False, True):
        yield partial(_resume, paused=paused)
        yield partial(_next_generation, paused=paused)
        yield partial(_lose_object, paused=paused)
        yield partial(_restore, paused=paused, answers=0)
        for idle in (False, True):
            yield partial(_stop, paused=paused, idle=idle, deadline=LONG)
            yield partial(_stop, paused=paused, idle=idle, deadline=SHORT)
        for answers in (1, 2):
            yield partial(_fail, paused=paused, answers=answers)
    yield partial(_restore, paused=False, answers=2)
    for silent in (False, True):
        yield partial(_close, silent=silent)


def _open(machine: LedgerMachine, *, deadline: float = LONG, delay: float = 0, attempts: int = 1) -> None:
    """Two tasks, both released unless there is a delay; no failure is tolerated."""
    machine.window, machine.plan = 8, first_plan(2, 1, 0, deadline, delay, attempts)
    machine.claim(OPENER)
    machine.begin_first(OPENER, machine.plan, "taken")


def _reach(machine: LedgerMachine, state: str) -> None:
    """Bring the batch into a state."""
    if state == "opening":
        machine.claim(OPENER)
        return
    _open(machine)
    if state == "paused":
        machine.hold_batch(paused=True)
    elif state in {"closing", "cancelled"}:
        machine.cancel_batch()
    if state not in {"running", "paused", "closing"}:
        machine.answer_some("f" if state == "failed" else "s", 2)
    if state in {"done", "cancelled", "failed", "deleting"}:
        machine.reduce(old=False, stop="", fate="taken")
    if state == "deleting":
        machine.delete_batch()
    assert machine.batch.state == state


def _lose(machine: LedgerMachine, state: str) -> None:
    _reach(machine, state)
    machine.lose_redis(0)


def _disown(machine: LedgerMachine, state: str) -> None:
    _reach(machine, state)
    machine.disown_batch("0")
    machine.disown_batch(machine.batch.epoch)


def _redrive(machine: LedgerMachine, state: str) -> None:
    _reach(machine, state)
    machine.redrive_batch()


def _delete(machine: LedgerMachine, state: str) -> None:
    _reach(machine, state)
    machine.delete_batch()
    machine.forget_batch()


def _abandon(machine: LedgerMachine, reason: str, *, cancelled: bool) -> None:
    _reach(machine, "opening")
    if cancelled:
        machine.cancel_batch()
    machine.abandon(OPENER, reason)


def _resume(machine: LedgerMachine, *, paused: bool) -> None:
    """Ask for a pause or a cancel before the batch begins."""
    _reach(machine, "opening")
    if paused:
        machine.hold_batch(paused=True)
    else:
        machine.cancel_batch()
    machine.begin_first(OPENER, first_plan(1, 1, None, LONG, 0, 1), "taken")
    machine.hold_batch(paused=False)


def _next_generation(machine: LedgerMachine, *, paused: bool) -> None:
    _open(machine, attempts=2)
    machine.answer_some("r", 2)
    if paused:
        machine.hold_batch(paused=True)
    machine.reduce(old=False, stop="", fate="taken")


def _restore(machine: LedgerMachine, *, paused: bool, answers: int) -> None:
    _open(machine)
    if paused:
        machine.hold_batch(paused=True)
    machine.lose_redis_and_rebuild("s", answers)


def _stop(machine: LedgerMachine, *, paused: bool, idle: bool, deadline: float) -> None:
    """Cancel the batch, or let a short deadline pass."""
    _open(machine, deadline=deadline, delay=10 * LONG if idle else 0)
    if paused:
        machine.hold_batch(paused=True)
    if deadline == LONG:
        machine.cancel_batch()
    else:
        machine.sweep("lost", 0.0, 600.0)


def _lose_object(machine: LedgerMachine, *, paused: bool) -> None:
    _open(machine)
    if paused:
        machine.hold_batch(paused=True)
    machine.miss_an_object(0, "gone")


def _fail(machine: LedgerMachine, *, paused: bool, answers: int) -> None:
    """With the second answer no task remains."""
    _open(machine)
    if paused:
        machine.hold_batch(paused=True)
    machine.answer_some("f" if answers == 1 else "s", answers)


def _close(machine: LedgerMachine, *, silent: bool) -> None:
    _reach(machine, "closing")
    if silent:
        machine.sweep("lost", 0.0, 110.0)
    else:
        machine.answer_some("s", 2)
