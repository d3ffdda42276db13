"""A task's answer: an envelope with the counts that `collect` needs, then one line for each outcome."""

import msgspec

from pipeline.answers.failure_kinds import FailureGroup, group_failures
from pipeline.answers.outcome import Outcome

NOT_FOUND = 404


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The first line of an answer: the counts of the outcomes that follow.

    `first` and `last` are item indices, both inclusive; -1 in an answer without outcomes. `not_found` and `retryable`
    are parts of `failed`, and `failures` are the groups of it. `duplicate`: the task was settled already, or ran
    elsewhere, so that this answer says nothing about it.
    """

    succeeded: int
    failed: int
    not_found: int
    first: int
    last: int
    retryable: int = 0
    failures: tuple[FailureGroup, ...] = ()
    duplicate: bool = False


def encode_answer(outcomes: list[Outcome]) -> bytes:
    """Return the body of a task's answer; `outcomes` are in input order."""
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    envelope = Envelope(
        succeeded=len(outcomes) - failed,
        failed=failed,
        not_found=sum(outcome.status_code == NOT_FOUND for outcome in outcomes),
        first=outcomes[0].index if outcomes else -1,
        last=outcomes[-1].index if outcomes else -1,
        retryable=sum(outcome.retryable for outcome in outcomes),
        failures=group_failures(outcomes) if failed else (),
    )
    return b"\n".join([msgspec.json.encode(envelope), *map(msgspec.json.encode, outcomes)])


def decode_envelope(answer: bytes) -> tuple[Envelope, bytes]:
    """Return an answer's envelope, and its outcomes as undecoded lines."""
    head, _, lines = answer.partition(b"\n")
    return msgspec.json.decode(head, type=Envelope), lines


def encode_duplicate() -> bytes:
    """Return the body of the answer to a message that is a duplicate."""
    return msgspec.json.encode(Envelope(0, 0, 0, -1, -1, duplicate=True))
