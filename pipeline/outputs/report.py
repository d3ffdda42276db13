"""The report of an ended batch: its specification, counts, timeline, and every kind of failure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from pipeline.ledger.measures import read_measures
from pipeline.ledger.replies import State
from pipeline.outputs.tally import Group, Tally
from pipeline.spec.headers import redact
from pipeline.spec.submission import Submission
from pipeline.status.document import measured
from pipeline.store.snapshot import Manifest


def make_report(batch: str, state: State, submission: Submission, manifests: Sequence[Manifest], tally: Tally) -> bytes:
    """Return the report of a batch as JSON; `manifests` are those of its generations, from 0 on.

    All times are the ledger's, in seconds since 1970, so that a second report has the same bytes.
    """
    document = {
        "batch_id": batch,
        "state": state["outcome"],
        "reason": state["reason"] or None,
        "function": state["function"],
        "specification": _redacted(submission.fields),
        "items": manifests[0].items,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "not_run": tally.not_run,
        "retried": state.number("retried"),
        "generations": [
            {"generation": number, "items": manifest.items, "tasks": manifest.tasks}
            for number, manifest in enumerate(manifests)
        ],
        "timeline": {name: state.seconds(name) for name in ("created", "started", "completed")}
        | measured(read_measures(state)),
        "errors": [_group_fields(group) for group in tally.groups()],
    }
    return orjson.dumps(document) + b"\n"


def _redacted(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a specification without the values of headers that may be secrets."""
    if "headers" not in fields:
        return fields
    return fields | {"headers": {name: redact(name, value) for name, value in fields["headers"].items()}}


def _group_fields(group: Group) -> dict[str, Any]:
    example = msgspec.structs.asdict(group.example)
    return {
        "kind": group.kind,
        "status_code": group.status_code,
        "count": group.count,
        "first_index": example["index"],
        "example": example,
    }
