"""The status document of a batch, from its ledger."""

from typing import Any, cast
from urllib.parse import quote

import msgspec
import orjson

from pipeline.answers.failure_kinds import FailureDetail
from pipeline.ledger.measures import Measures, read_measures
from pipeline.ledger.notices import notices_of
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED
from pipeline.settings.environment import Settings
from pipeline.spec.input_address import Address
from pipeline.status.fields import Example, FailureKind, Links, Notification, Status
from pipeline.store.keys import output, summary
from pipeline.units import MICROSECONDS


def status_url(settings: Settings, batch: str) -> str:
    """Return the address at which a batch's status is read."""
    base = settings.public_url or settings.gateway_url
    return f"{base}/function/{settings.function_name}/status?batch={quote(batch)}"


def status_document(settings: Settings, batch: str, state: State) -> dict[str, Any]:
    """Describe a batch by the fields of `Status`."""
    started, ended = state.seconds("started"), state.seconds("ended")
    items, tasks = state.number("batch_size"), state.number("tasks")
    succeeded, failed = state.number("succeeded"), state.number("failed")
    elapsed = (ended or state.now) - started if started else 0.0
    rate = _rate(state, succeeded + failed)
    running = state["state"] not in ENDED
    left = items - succeeded - failed
    measures = measured(read_measures(state))
    document: Status = {
        "batch_id": batch,
        "state": state["state"],
        "reason": state["reason"] or None,
        "trouble": state["trouble"] or None,
        "function": state["function"],
        "generation": state.number("generation"),
        "window": state.number("window"),
        "rate_limit": float(state["rate"]) if state["rate"] else None,
        "items": items,
        "succeeded": succeeded,
        "failed": failed,
        "retried": state.number("retried"),
        "tasks": tasks,
        "released": state.number("next"),
        "in_flight": state.in_flight,
        "settled": tasks - state.remaining if running else state.number("settled"),
        "rate": round(rate, 3),
        "eta": round(left / rate, 1) if running and rate else None,
        "created": state.seconds("created"),
        "started": started,
        "completed": state.seconds("completed"),
        "ended": ended,
        "elapsed": round(elapsed, 3),
        "links": _links(settings, batch, state),
        "notes": _said(state, "notes"),
        "throughput": measures["throughput"],
        "latency": measures["latency"],
        "failures": _failures(state),
        "notifications": cast("list[Notification]", notices_of(state)),
        "sql": orjson.loads(state["sql"]) if state["sql"] else None,
    }
    return {**document}


def _links(settings: Settings, batch: str, state: State) -> Links:
    bucket, ended = settings.s3_bucket, state.seconds("ended")
    return {
        "status": status_url(settings, batch),
        "summary": str(Address(bucket, summary(batch))) if ended and state.seconds("started") else None,
        "outputs": str(Address(bucket, output.folder(batch))) if ended and _said(state, "outputs") else None,
    }


def _said(state: State, name: str) -> list[str]:
    """Return texts that the end of the batch left in the ledger."""
    return msgspec.json.decode(state[name] or "[]", type=list[str])


def measured(measures: Measures) -> dict[str, Any]:
    """Describe the run over time: items settled in each slot, and what share of the tasks took at most how long."""
    quantiles = {f"p{share}": measures.quantile(share / 100) for share in (50, 90, 99)} | {"max": measures.quantile(1)}
    return {
        "throughput": {"width": measures.width, "counts": measures.slots},
        "latency": {"tasks": measures.tasks, **quantiles} if measures.tasks else None,
    }


def _failures(state: State) -> list[FailureKind]:
    """Describe each kind of failure, the newest first; texts are whatever the model function wrote."""
    kinds: list[FailureKind] = []
    for kind, text in state.failures.items():
        given_up, retryable, again, at, example = text.split(b" ", maxsplit=4)
        newest = msgspec.json.decode(example, type=FailureDetail)
        kinds.append(
            {
                "kind": kind,
                "status_code": newest.status_code,
                "count": int(given_up) + int(retryable),
                "retried": int(again),
                "at": int(at) / MICROSECONDS,
                "example": cast("Example", msgspec.structs.asdict(newest.example) | {"generation": newest.generation}),
            }
        )
    return sorted(kinds, key=lambda group: group["at"], reverse=True)


def _rate(state: State, outcomes: int) -> float:
    """Return the items a second of the present run: a redrive does not make the batch slower than it was."""
    run_at = state.seconds("run_at")
    worked = (state.seconds("completed") or state.now) - run_at if run_at else 0.0
    return max(0, outcomes - state.number("run_settled")) / worked if worked > 0 else 0.0
