"""The checker: rules over the evidence of a run, each of which yields its violations. No code of the pipeline helps."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from bench.chaos.evidence import COLUMN, OK, Entry, Evidence, Seen, never_ran
from bench.chaos.model import answer, can_succeed, word
from bench.chaos.promises import (
    nothing_after_deletion,
    one_webhook_id_an_end,
    redrive_runs_again,
    true_outputs,
    tuned_window,
)

NOT_RUN = "not run: "
# The beginnings of the errors of items whose task brought no answer.
NO_ANSWER = ("the task brought no answer", "the task was lost too often")
NOT_CALLED = "the task's time was up"
NO_REPLY = re.compile(r"no reply within (?P<seconds>[0-9.e+-]+) s")
BROKEN = "the connection broke"
TOLERANCE = 0.8
SERVER_ERROR = 500
SHOWN = 5
# Seconds of processor time: more than the fuzzing allows, since the faults of a run keep the machine busy.
LONGEST = 0.25


def check(run: Evidence) -> list[str]:
    """Return the violations, of each rule the first and how many more there are; [] for a run without any."""
    broken = []
    for rule in (*(() if run.lost_rows or run.summary is None else RULES_OF_ITEMS), *OTHER_RULES):
        texts = [f"{rule.__name__}: {text}" for text in rule(run)]
        more = [f"{rule.__name__}: and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
        broken += [*texts[:SHOWN], *more]
    return broken


def ended(run: Evidence) -> Iterator[str]:
    """The batch ended, in a state that the plan allows, and the client met no problem."""
    yield from run.problems
    # More failures than are tolerated may come after a cancel, or be those of a run before a redrive.
    ends = {"failed"} if run.too_many_failed else {"done"}
    allowed = {"cancelled"} if run.cancelled else {"done", "cancelled"} if run.stopped else ends
    if run.too_many_failed and (run.stopped or run.begun):
        allowed = allowed | ends | ({"done"} if run.begun else set())
    if run.state not in allowed and not run.lost_rows:
        yield f"the state is {run.state}: {run.status.get('reason')}"
    if run.summary is None and not run.lost_rows:
        yield "there is no summary"


def every_item_once(run: Evidence) -> Iterator[str]:
    """Results and failures together are the input's rows, no more and no less."""
    rows, listed = Counter(run.rows), Counter(run.items("results") + run.items("failures"))
    for item, times in (rows - listed).items():
        yield f"{item!r} is missing {times} times"
    for item, times in (listed - rows).items():
        yield f"{item!r} is {times} times too often"


def input_order(run: Evidence) -> Iterator[str]:
    """Each list is in input order."""
    for name in ("results", "failures"):
        rest = iter(run.rows)
        # `in` consumes the iterator up to the match: a list in order matches to its end.
        wrong = next((item for item in run.items(name) if item not in rest), None)
        if wrong is not None:
            yield f"{name}: {wrong!r} is out of order"


def counts(run: Evidence) -> Iterator[str]:
    """The counts are the lengths of the lists, and the status agrees with the summary."""
    if run.summary is None:
        return
    for name in ("results", "failures"):
        if run.summary[name]["count"] != len(run.entries(name)):
            yield f"{name}: the count is {run.summary[name]['count']}, the list has {len(run.entries(name))}"
    ran = [entry for entry in run.entries("failures") if not never_ran(entry)]
    expected = {"items": len(run.rows), "succeeded": len(run.entries("results")), "failed": len(ran)}
    counted = {name: run.status.get(name) for name in expected}
    if counted != expected:
        yield f"the status has {counted}, the summary {expected}"


def true_results(run: Evidence) -> Iterator[str]:
    """Each result is the model's answer to its item, and the model was called for the item under this call id."""
    called = set(run.calls)
    for entry in run.entries("results"):
        item = entry[COLUMN]
        # An object that is not there is no JSON either.
        stored = run.objects[entry["resultRef"]] or b"null" if entry.get("resultRef") else b""
        result = json.loads(stored) if stored else entry["result"]
        if result != answer(item):
            yield f"{item!r} has the result {result!r}"
        if entry["statusCode"] != OK:
            yield f"{item!r} is a result with status {entry['statusCode']}"
        if (entry["callId"], item) not in called:
            yield f"{item!r} was never called as {entry['callId']}"
        as_bytes = word(item) == "binary" and not entry.get("resultRef") and not run.options.get("chunk_call")
        if (entry.get("encoding") == "base64") != as_bytes:
            yield f"{item!r} has the encoding {entry.get('encoding')}"


def failures_explained(run: Evidence) -> Iterator[str]:
    """The model really answered a call with each failure, or its task brought no answer as often as it may."""
    calls = [seen for seen in run.seen if seen.kind == "call"]
    # A direct call is the delivery of a message.
    kinds = {"message", "callback", "call" if run.options.get("direct") else ""}
    deliveries = [seen for seen in run.seen if seen.kind in kinds]
    unanswered = {seen.call_id for seen in deliveries if seen.fault or seen.status != OK}
    for entry in run.entries("failures"):
        item, text, call_id = entry[COLUMN], str(entry["result"]), entry["callId"]
        if never_ran(entry):
            if run.state == "done" or not text.startswith(NOT_RUN) or call_id is not None:
                yield f"{item!r} never ran in a batch that is {run.state}: {text}"
        elif text.startswith(NO_ANSWER):
            if call_id not in unanswered:
                yield f"{item!r}: {text}, but its message {call_id} was answered"
        elif not time_was_up(entry, run.options["timeout"]):
            answers = [seen for seen in calls if (seen.call_id, seen.item) == (call_id, item)]
            if not _was_answered(entry, answers):
                yield f"{item!r} failed with {entry['statusCode']} {text[:60]!r}, which call {call_id} never got"


def no_hasty_failures(run: Evidence) -> Iterator[str]:
    """An item that can succeed later fails only after all generations, unless the batch was stopped before."""
    timeout, generation = run.options["timeout"], run.status.get("generation", 0)
    last = generation + 1 - run.begun >= run.options["attempts"]
    stopped = run.stopped or run.state == "failed"
    for entry in run.entries("failures"):
        passing = not never_ran(entry) and (entry["statusCode"] in {408, 429} or entry["statusCode"] >= SERVER_ERROR)
        if passing and can_succeed(entry[COLUMN], timeout) and not last and not stopped:
            yield f"{entry[COLUMN]!r} failed with {entry['statusCode']} in generation {generation}"
    for item in run.items("results"):
        if not can_succeed(item, timeout):
            yield f"{item!r} cannot succeed, but it is a result"


def nothing_left(run: Evidence) -> Iterator[str]:
    """No multipart upload, mark, index entry or key without a TTL is left."""
    yield from run.left


def stays_ended(run: Evidence) -> Iterator[str]:
    """Late answers change nothing after the end."""
    if run.later != run.summary:
        yield "the summary changed after the batch had ended"


def quick_callbacks(run: Evidence) -> Iterator[str]:
    """No callback of a replica's event loop takes long: it keeps all other requests waiting."""
    yield from (line for line in run.callbacks if float(line.split()[0]) > LONGEST)


def expected_errors(run: Evidence) -> Iterator[str]:
    """No replica meets an error that it has no answer for."""
    yield from (line[-300:] for line in run.errors)


RULES_OF_ITEMS: tuple[Callable[[Evidence], Iterable[str]], ...] = (
    *(every_item_once, input_order, counts, true_results, failures_explained, no_hasty_failures, true_outputs),
)
OTHER_RULES: tuple[Callable[[Evidence], Iterable[str]], ...] = (
    *(ended, nothing_left, stays_ended, quick_callbacks, expected_errors),
    *(one_webhook_id_an_end, redrive_runs_again, tuned_window, nothing_after_deletion),
)


def time_was_up(entry: Entry, timeout: float) -> bool:
    """Return whether an item failed because it, or its task, had no time left, as when S3 or the machine is slow.

    The model need not have been called then, and a replica without processor time for a second misses an answer that
    the gateway gave in time. The report counts these.
    """
    late = NO_REPLY.match(str(entry["result"]))
    return str(entry["result"]).startswith(NOT_CALLED) or (late is not None and float(late["seconds"]) <= timeout)


def _was_answered(entry: Entry, answers: list[Seen]) -> bool:
    text = str(entry["result"])
    if late := NO_REPLY.match(text):
        # The gateway's clock starts a little later than the replica's.
        return any(seen.seconds > TOLERANCE * float(late["seconds"]) for seen in answers)
    # The replica's own connection broke: a fault point, or the gateway was never reached.
    return text.startswith(BROKEN) or any(seen.status == entry["statusCode"] for seen in answers)
