"""The states of a batch, and every change of state with the script that makes it."""

from collections.abc import Collection
from typing import NamedTuple

ENDED = frozenset({"done", "cancelled", "failed"})
ENDED_OR_DELETING = ENDED | {"deleting"}
# Tasks run.
ACTIVE = frozenset({"running", "paused"})
# Answers of tasks are recorded.
SETTLING = ACTIVE | {"closing"}
PAUSABLE = ACTIVE | {"opening", "reducing"}
STATES = PAUSABLE | SETTLING | ENDED_OR_DELETING
# Redis has no ledger of the batch.
NONE = ""
# Stands for a script: the keys expire, or Redis loses its memory.
EXPIRY = "expiry"


class Change(NamedTuple):
    """One call of `script` takes a batch from any of the states `before` to the state `after`."""

    before: Collection[str]
    after: str
    script: str
    when: str


CHANGES = (
    Change((NONE,), "opening", "claim", "a new submission, or a batch that Redis has lost"),
    Change(("opening",), NONE, "abandon", "the opening is given up without a reason: the id is free again"),
    Change(("opening",), "failed", "abandon", "the opening cannot succeed"),
    Change(("opening",), "cancelled", "abandon", "the opening cannot succeed, and the batch was cancelled before"),
    Change(("opening",), "running", "begin", "generation 0"),
    Change(("opening",), "paused", "begin", "generation 0, and the batch was paused before"),
    Change(("opening",), "reducing", "begin", "generation 0 without tasks, or the batch was cancelled before"),
    Change(("opening",), "running", "restore", "a lost ledger is rebuilt"),
    Change(("opening",), "paused", "restore", "a lost ledger is rebuilt, and the batch was paused before"),
    Change(("opening",), "reducing", "restore", "a lost ledger is rebuilt, and no task is left to run"),
    Change(("running",), "paused", "hold", "pause"),
    Change(("paused",), "running", "hold", "resume"),
    Change(ACTIVE, "closing", "cancel", "tasks are in flight"),
    Change(ACTIVE, "closing", "repair", "the deadline has passed, and tasks are in flight"),
    Change(ACTIVE, "closing", "give_up", "an object that the batch needs is gone"),
    Change(ACTIVE, "closing", "settle", "the first calls all answered 404, or too many items failed"),
    Change(ACTIVE, "reducing", "cancel", "no task is in flight"),
    Change(ACTIVE, "reducing", "repair", "the deadline has passed, and no task is in flight"),
    Change(ACTIVE, "reducing", "settle", "the last task; or the batch stops, and no other task is in flight"),
    Change(("closing",), "reducing", "settle", "no other task is in flight"),
    Change(("closing",), "reducing", "repair", "no task is in flight, or those that are have been silent for too long"),
    Change(("reducing",), "running", "begin", "the next generation: items that failed run again"),
    Change(("reducing",), "paused", "begin", "the next generation, and the batch was paused before"),
    Change(("reducing",), "done", "finish", "the outputs are published"),
    Change(("reducing",), "cancelled", "finish", "the outputs of a cancelled batch are published"),
    Change(("reducing",), "failed", "finish", "the outputs of a batch that stopped by itself are published"),
    Change(ENDED, "reducing", "redrive", "the failed items are to run again"),
    Change(ENDED, "deleting", "delete", "on request, or once the retention has passed"),
    Change((NONE,), "deleting", "delete", "on request, for a batch that only S3 knows"),
    Change(("deleting",), NONE, "forget", "the objects of the batch are deleted"),
    Change(STATES, NONE, "disown", "Redis came back from an old copy: the batch is deleted, or its id another's"),
    Change(STATES, NONE, EXPIRY, "the keys expire, or Redis loses its memory"),
)
