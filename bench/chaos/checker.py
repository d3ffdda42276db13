"""The checker: a list of rules over the evidence of a run; each yields its violations."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.chaos.evidence import ENDED, Evidence
from bench.chaos.items import answer, can_succeed, word

Entry = dict[str, Any]
Rule = Callable[[Evidence], Iterable[str]]

NOT_RUN = "not run: "
# The beginnings of the errors of items whose task brought no answer.
NO_ANSWER = ("the task brought no answer", "the task was lost too often")
NOT_CALLED = "the task's time was up"
NO_REPLY = re.compile(r"no reply within (?P<seconds>[0-9.e+-]+) s")
BROKEN = "the connection broke"
TOLERANCE = 0.8
SERVER_ERROR = 500
SHOWN = 5


def check(run: Evidence) -> list[str]:
    """Return every violation, [] for a run without any."""
    return [f"{rule.__name__}: {text}" for rule in RULES for text in _few(rule(run))]


def ended(run: Evidence) -> Iterator[str]:
    """The batch ended, in a state that the plan allows, and the client met no problem."""
    yield from run.problems
    state = run.status.get("state")
    allowed = {"done", "cancelled"} if run.stopped else {"done"}
    allowed = {"cancelled"} if run.cancelled else allowed
    if state not in ENDED:
        yield f"the state is {state}"
    elif state not in allowed:
        yield f"the state is {state}: {run.status.get('reason')}"
    if run.summary is None:
        yield "there is no summary"


def every_item_once(run: Evidence) -> Iterator[str]:
    """Results and failures together are the input's rows, no more and no less."""
    rows, listed = Counter(run.rows), Counter(_items(run, "results") + _items(run, "failures"))
    for item, times in (rows - listed).items():
        yield f"{item!r} is missing {times} times"
    for item, times in (listed - rows).items():
        yield f"{item!r} is {times} times too often"


def input_order(run: Evidence) -> Iterator[str]:
    """Each list is in input order."""
    for name in ("results", "failures"):
        rest = iter(run.rows)
        # `in` consumes the iterator up to the match: a list in order matches to its end.
        wrong = next((item for item in _items(run, name) if item not in rest), None)
        if wrong is not None:
            yield f"{name}: {wrong!r} is out of order"


def counts(run: Evidence) -> Iterator[str]:
    """The counts are the lengths of the lists, and the status agrees with the summary."""
    if run.summary is None:
        return
    for name in ("results", "failures"):
        part = run.summary[name]
        if part["count"] != len(part["results"]):
            yield f"{name}: the count is {part['count']}, the list has {len(part['results'])}"
    succeeded, failures = run.summary["results"]["results"], run.summary["failures"]["results"]
    ran = [entry for entry in failures if not _never_ran(entry)]
    expected = {"items": len(run.rows), "succeeded": len(succeeded), "failed": len(ran)}
    counted = {name: run.status.get(name) for name in expected}
    if counted != expected:
        yield f"the status has {counted}, the summary {expected}"


def true_results(run: Evidence) -> Iterator[str]:
    """Each result is the model's answer to its item, and the model was called for the item under this call id."""
    called = set(run.calls)
    for entry in _entries(run, "results"):
        item = entry[run.column]
        # An object that is not there is no JSON either.
        stored = run.objects[entry["resultRef"]] or b"null" if entry.get("resultRef") else b""
        result = json.loads(stored) if stored else entry["result"]
        if result != answer(item):
            yield f"{item!r} has the result {result!r}"
        if entry["statusCode"] != 200:  # noqa: PLR2004
            yield f"{item!r} is a result with status {entry['statusCode']}"
        if (entry["callId"], item) not in called:
            yield f"{item!r} was never called as {entry['callId']}"
        if (entry.get("encoding") == "base64") != (word(item) == "binary" and not entry.get("resultRef")):
            yield f"{item!r} has the encoding {entry.get('encoding')}"


def failures_explained(run: Evidence) -> Iterator[str]:
    """The model really answered a call with each failure, or its task brought no answer as often as it may."""
    answered, no_answers = _answered(run), _task_failures(run)
    for entry in _entries(run, "failures"):
        item, text = entry[run.column], str(entry["result"])
        if _never_ran(entry):
            if run.status.get("state") == "done" or not text.startswith(NOT_RUN) or entry["callId"] is not None:
                yield f"{item!r} never ran in a batch that is {run.status.get('state')}: {text}"
        elif text.startswith(NO_ANSWER):
            if not no_answers[entry["callId"]]:
                yield f"{item!r}: {text}, but its message {entry['callId']} was answered"
        elif not time_was_up(entry, run.options["timeout"]) and not _was_answered(entry, item, answered):
            yield f"{item!r} failed with {entry['statusCode']} {text[:60]!r}, which call {entry['callId']} never got"


def no_hasty_failures(run: Evidence) -> Iterator[str]:
    """An item that can succeed later fails only after all generations, unless the batch was stopped before."""
    last = run.status.get("generation", 0) + 1 - run.begun >= run.options["attempts"]
    for entry in _entries(run, "failures"):
        item = entry[run.column]
        passing = not _never_ran(entry) and (entry["statusCode"] in {408, 429} or entry["statusCode"] >= SERVER_ERROR)
        if passing and can_succeed(item, run.options["timeout"]) and not last and not run.stopped:
            yield f"{item!r} failed with {entry['statusCode']} in generation {run.status.get('generation')}"
    for entry in _entries(run, "results"):
        if not can_succeed(entry[run.column], run.options["timeout"]):
            yield f"{entry[run.column]!r} cannot succeed, but it is a result"


def nothing_left(run: Evidence) -> Iterator[str]:
    """No multipart upload, mark, index entry or key without a TTL is left."""
    yield from run.left


def stays_ended(run: Evidence) -> Iterator[str]:
    """Late answers change nothing after the end."""
    if run.later != run.summary:
        yield "the summary changed after the batch had ended"


RULES: tuple[Rule, ...] = (
    *(ended, every_item_once, input_order, counts, true_results),
    *(failures_explained, no_hasty_failures, nothing_left, stays_ended),
)


def _entries(run: Evidence, name: str) -> list[Entry]:
    return list(run.summary[name]["results"]) if run.summary else []


def _items(run: Evidence, name: str) -> list[str]:
    return [entry[run.column] for entry in _entries(run, name)]


def _never_ran(entry: Entry) -> bool:
    return entry["statusCode"] is None


def time_was_up(entry: Entry, timeout: float) -> bool:
    """Return whether an item failed because it, or its task, had no time left, as when S3 or the machine is slow.

    The model need not have been called then, and a replica without processor time for a second misses an answer that
    the gateway gave in time. The report counts these.
    """
    late = NO_REPLY.match(str(entry["result"]))
    return str(entry["result"]).startswith(NOT_CALLED) or (late is not None and float(late["seconds"]) <= timeout)


def _answered(run: Evidence) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Return statuses and seconds of the model's calls at the gateway, by call id and item."""
    calls = defaultdict(list)
    for seen in run.seen:
        if seen.kind == "call":
            calls[seen.call_id, seen.item].append((seen.status, seen.seconds))
    return calls


def _task_failures(run: Evidence) -> Counter[str]:
    """Return how often the message of a task, or its callback, failed, by call id."""
    failed = (s.call_id for s in run.seen if s.kind in {"message", "callback"} and (s.fault or s.status != 200))  # noqa: PLR2004
    return Counter(failed)


def _was_answered(entry: Entry, item: str, answered: dict[tuple[str, str], list[tuple[int, float]]]) -> bool:
    answers = answered.get((entry["callId"], item), [])
    if late := NO_REPLY.match(str(entry["result"])):
        # The gateway's clock starts a little later than the replica's.
        return any(seconds > TOLERANCE * float(late["seconds"]) for _, seconds in answers)
    if str(entry["result"]).startswith(BROKEN):
        # The replica's own connection broke: a fault point, or the gateway was never reached.
        return True
    return any(status == entry["statusCode"] for status, _ in answers)


def _few(violations: Iterable[str]) -> list[str]:
    """Return the first violations of a rule, and how many more there are."""
    texts = list(violations)
    return texts if len(texts) <= SHOWN else [*texts[:SHOWN], f"and {len(texts) - SHOWN} more"]
