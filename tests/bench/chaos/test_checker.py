"""Each rule of the chaos runs' checker finds what is planted for it, and nothing in a run that kept all promises."""

import copy
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.checker import OTHER_RULES, RULES_OF_ITEMS, check
from bench.chaos.evidence import Evidence, Notice, Seen
from bench.chaos.model import answer
from bench.chaos.promises import SQL

ROWS = ["good 0", "fail 422 1", "good 2", "big 3 3", "binary 4", "flaky 2 5", "good 2", "die 7"]
FAILED = {"fail 422 1": 422, "die 7": 502}
NOTICES = (Notice("first", "notify", ("done", 1, 5.0)),)
REPORT = {"state": "done", "items": 8, "succeeded": 6, "failed": 2, "not_run": 0}
Summary = dict[str, Any]


def entry(index: int, item: str) -> dict[str, Any]:
    status = FAILED.get(item, 200)
    found = {"item": item, "result": "as asked" if item in FAILED else answer(item), "statusCode": status}
    return {**found, "callId": f"call-{index}", **({"encoding": "base64"} if item.startswith("binary") else {})}


def kept() -> Evidence:
    """A run of all kinds of items in which everything went as promised."""
    entries = [entry(index, item) for index, item in enumerate(ROWS)]
    results = [one for one in entries if one["statusCode"] == 200]
    failures = [one for one in entries if one["statusCode"] != 200]
    summary = {
        "failures": {"count": len(failures), "results": failures},
        "results": {"count": len(results), "results": results},
    }
    return Evidence(
        rows=ROWS,
        options={"attempts": 2, "timeout": 1, "outputs": [], "notify": ["receiver"]},
        status={"state": "done", "generation": 1, "items": 8, "succeeded": 6, "failed": 2, "ended": 5.0},
        summary=summary,
        later=copy.deepcopy(summary),
        calls=[(f"call-{index}", item) for index, item in enumerate(ROWS)],
        seen=[Seen("call", one["callId"], one["item"], "", one["statusCode"], 0.1) for one in entries],
        notices=NOTICES,
        outputs={folder + "report.json": json.dumps(REPORT).encode() for folder in ("", "1/")},
    )


def planted(change: Callable[[Summary], None]) -> Evidence:
    """The same run with something changed in its summary, which is all that it has written."""
    run = kept()
    run = run.but(outputs={}, status={**run.status, "notes": ["no outputs"]})
    summary = copy.deepcopy(run.summary)
    assert summary is not None
    change(summary)
    return run.but(summary=summary, later=copy.deepcopy(summary))


def ended_as(run: Evidence, state: str, **counts: int) -> Evidence:
    """The same run with another end, which its notification and its report say too."""
    report = json.dumps(REPORT | {"state": state} | counts).encode()
    status = {**run.status, "state": state}
    end = Notice("first", "notify", (state, status["generation"], status["ended"]))
    return run.but(status=status, notices=(end,), outputs=dict.fromkeys(run.outputs, report))


def rules_broken(run: Evidence) -> set[str]:
    return {violation.partition(":")[0] for violation in check(run)}


def results(summary: Summary) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = summary["results"]["results"]
    return found


def failures(summary: Summary) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = summary["failures"]["results"]
    return found


def lose_one(summary: Summary) -> None:
    del results(summary)[0]
    summary["results"]["count"] -= 1


def repeat_one(summary: Summary) -> None:
    results(summary).append(results(summary)[-1])
    summary["results"]["count"] += 1


def swap_two(summary: Summary) -> None:
    found = results(summary)
    found[0], found[1] = found[1], found[0]


def list_as_both(summary: Summary) -> None:
    failures(summary).append(entry(7, "die 7") | {"item": "good 0"})
    summary["failures"]["count"] += 1


def never_run(summary: Summary) -> None:
    failures(summary)[0] |= {"statusCode": None, "callId": None, "result": "not run: cancelled on request"}


def fails_hastily(summary: Summary) -> None:
    moved = results(summary).pop(0)
    failures(summary).insert(0, moved | {"statusCode": 503, "result": "chaos"})
    summary["results"]["count"] -= 1
    summary["failures"]["count"] += 1


def succeeds_against_its_nature(summary: Summary) -> None:
    results(summary).append(failures(summary).pop() | {"statusCode": 200, "result": {"length": 5}})
    summary["results"]["count"] += 1
    summary["failures"]["count"] -= 1


def test_a_run_that_kept_all_promises_has_no_violation() -> None:
    assert check(kept()) == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lose_one, {"every_item_once", "counts"}),
        (repeat_one, {"every_item_once", "input_order", "counts"}),
        (swap_two, {"input_order"}),
        (list_as_both, {"every_item_once", "input_order", "counts", "failures_explained"}),
        (lambda s: s["results"].update(count=5), {"counts"}),
        (lambda s: s["failures"].update(count=1), {"counts"}),
        (lambda s: results(s)[0].update(result={"length": 7}), {"true_results"}),
        (lambda s: results(s)[0].update(callId="call-2"), {"true_results"}),
        (lambda s: results(s)[0].update(statusCode=201), {"true_results"}),
        (lambda s: results(s)[0].update(encoding="base64"), {"true_results"}),
        (lambda s: results(s)[3].pop("encoding"), {"true_results"}),
        (lambda s: failures(s)[0].update(statusCode=500), {"failures_explained"}),
        (lambda s: failures(s)[0].update(callId="call-7"), {"failures_explained"}),
        (lambda s: failures(s)[0].update(result="no reply within 2 s", statusCode=504), {"failures_explained"}),
        (lambda s: failures(s)[0].update(result="the task was lost too often"), {"failures_explained"}),
        (never_run, {"failures_explained", "counts"}),
        (succeeds_against_its_nature, {"no_hasty_failures", "counts"}),
    ],
)
def test_what_is_wrong_with_a_summary_is_found(change: Callable[[Summary], None], broken: set[str]) -> None:
    assert rules_broken(planted(change)) == broken


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"status": {"state": "running", "generation": 1}, "over": False}, {"ended", "counts", "true_outputs"}),
        ({"problems": ("it hangs after 60 s",)}, {"ended"}),
        ({"later": None}, {"stays_ended"}),
        ({"left": ("upload left: chaos-1/0/summary.json",)}, {"nothing_left"}),
        ({"callbacks": ("0.300 s: <Task>",)}, {"quick_callbacks"}),
        ({"callbacks": ("0.200 s: <Task>",)}, set()),
        ({"remains": ("chaos-1/refs/3 is left after the deletion",)}, {"nothing_after_deletion"}),
        ({"redriven": frozenset({("die 7", "call-7")})}, {"redrive_runs_again"}),
        ({"window": 4}, {"tuned_window"}),
        ({"errors": ("unexpected error: KeyError",)}, {"expected_errors"}),
        ({"notices": ()}, {"one_webhook_id_an_end"}),
        ({"notices": (*NOTICES, Notice("second", "notify", NOTICES[0].end))}, {"one_webhook_id_an_end"}),
        ({"notices": (*NOTICES, Notice("first", "notify", ("cancelled", 1, 6.0)))}, {"one_webhook_id_an_end"}),
    ],
)
def test_what_is_wrong_beside_the_summary_is_found(changes: dict[str, Any], broken: set[str]) -> None:
    assert rules_broken(kept().but(**changes)) == broken


@pytest.mark.parametrize("name", ["items", "succeeded", "failed"])
def test_a_status_that_tells_otherwise_is_found(name: str) -> None:
    run = kept()
    assert rules_broken(run.but(status={**run.status, name: 3})) == {"counts"}


def test_a_batch_without_a_summary_is_found() -> None:
    assert rules_broken(kept().but(summary=None, later=None)) == {"ended"}


@pytest.mark.parametrize(("state", "stopped", "fine"), [("cancelled", True, True), ("cancelled", False, False)])
def test_a_state_that_nobody_asked_for_is_found(state: str, *, stopped: bool, fine: bool) -> None:
    run = kept()
    judged = rules_broken(ended_as(run, state).but(stopped=stopped))
    assert judged == (set() if fine else {"ended"})


def test_a_cancel_that_was_promised_and_did_not_happen_is_found() -> None:
    assert rules_broken(kept().but(stopped=True, cancelled=True)) == {"ended"}


def test_a_failed_batch_is_found_even_if_it_was_stopped() -> None:
    run = kept()
    assert rules_broken(ended_as(run, "failed").but(stopped=True)) == {"ended"}


@pytest.mark.parametrize(
    ("tolerate", "state", "fine"),
    [(1, "failed", True), (1, "done", False), ("25%", "done", True), ("25%", "failed", False), ("24%", "failed", True)],
)
def test_batch_fails_when_more_items_fail_than_it_tolerates(tolerate: object, state: str, *, fine: bool) -> None:
    run = ended_as(kept(), state)
    assert (rules_broken(run.but(options={**run.options, "tolerate": tolerate})) == set()) == fine


def test_batch_that_names_its_lost_object_may_fail_without_its_items() -> None:
    run = ended_as(kept(), "failed").but(lost=("chaos-1/input/0.json",), summary=None, later=None)
    assert rules_broken(run) == {"ended"}
    run = run.but(status={**run.status, "reason": "the object 'chaos-1/input/0.' is gone"})
    assert rules_broken(run) == set()


def test_what_can_succeed_may_fail_in_the_last_generation_only() -> None:
    run = planted(fails_hastily)
    told = {**run.status, "succeeded": 5, "failed": 3}
    run = run.but(status=told, seen=[*run.seen, Seen("call", "call-0", "good 0", "refuse", 503)])
    assert rules_broken(run) == set()
    early = run.but(status={**told, "generation": 0}, over=False)
    assert rules_broken(early) == {"no_hasty_failures"}
    assert rules_broken(ended_as(early, "cancelled").but(stopped=True)) == set()


def test_what_never_ran_says_so() -> None:
    run = planted(never_run)
    stopped = ended_as(run.but(status={**run.status, "failed": 1}), "cancelled", failed=1, not_run=1).but(stopped=True)
    assert rules_broken(stopped) == set()
    assert stopped.summary is not None
    for wrong in ({"result": "gone"}, {"callId": "call-1"}):
        summary = copy.deepcopy(stopped.summary)
        failures(summary)[0] |= wrong
        assert rules_broken(stopped.but(summary=summary, later=summary)) == {"failures_explained"}


def test_a_task_without_an_answer_is_explained_by_what_became_of_its_messages() -> None:
    run = planted(lambda s: failures(s)[0].update(result="the task brought no answer in 2 attempts", callId="task-1"))
    assert rules_broken(run) == {"failures_explained"}
    for kind, fault, status, fine in (
        ("message", "", 502, True),
        ("message", "wipe", 0, True),
        ("callback", "drop", 0, True),
        ("callback", "lose", 503, True),
        ("message", "", 200, False),
        ("enqueue", "refuse", 500, False),
    ):
        seen = [*run.seen, Seen(kind, "task-1", "", fault, status)]
        assert (rules_broken(run.but(seen=seen)) == set()) == fine, (kind, fault, status)


def test_a_reply_that_took_longer_than_anyone_waits_is_not_explained_by_a_short_one() -> None:
    run = planted(lambda s: failures(s)[0].update(result="no reply within 2 s", statusCode=504))
    assert rules_broken(run.but(seen=[*run.seen, Seen("call", "call-1", "fail 422 1", "", 200, 2.2)])) == set()
    assert rules_broken(run.but(seen=[*run.seen, Seen("call", "call-1", "fail 422 1", "", 200, 0.5)])) == {
        "failures_explained"
    }


@pytest.mark.parametrize(
    "text",
    ["the task's time was up before this item could be called", "no reply within 0.3 s", "no reply within 1 s"],
)
def test_a_task_whose_time_was_up_explains_what_was_never_called(text: str) -> None:
    run = planted(lambda s: failures(s)[0].update(result=text, statusCode=504, callId="other"))
    assert rules_broken(run) == set()
    assert rules_broken(run.but(status={**run.status, "generation": 0}, over=False)) == set()


def test_a_result_that_is_referred_to_is_read() -> None:
    run = planted(lambda s: results(s)[2].update(result=None, resultRef="refs/3"))
    assert rules_broken(run.but(objects={"refs/3": b'"xxx"'})) == set()
    assert rules_broken(run.but(objects={"refs/3": b'"xx"'})) == {"true_results"}


def test_a_long_list_of_the_same_is_kept_short() -> None:
    run = kept()
    violations = check(run.but(calls=[]))
    assert violations[-1] == "true_results: and 1 more"
    assert len(violations) == 6


def test_no_rule_is_without_a_planted_violation() -> None:
    """A new rule gets a case in this module: they are named in it."""
    text = Path(__file__).read_text()
    assert [rule.__name__ for rule in (*RULES_OF_ITEMS, *OTHER_RULES) if f'"{rule.__name__}"' not in text] == []


def table() -> list[dict[str, Any]]:
    """The lines of the joined table of the same run, in the order of the input."""
    lines = []
    for index, item in enumerate(ROWS):
        one = entry(index, item)
        cells = {"status_code": one["statusCode"], "result": json.dumps(one["result"]), "call_id": one["callId"]}
        lines.append({"item": item, **cells, "result_ref": None})
    return lines


def as_csv(lines: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, lines[0])
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def with_output(name: str, content: bytes, **options: object) -> Evidence:
    """The same run with one more output."""
    run = kept()
    outputs = {**run.outputs, name: content, f"1/{name}": content}
    return run.but(options={**run.options, **options}, outputs=outputs)


def test_table_is_read_and_compared_with_the_summary() -> None:
    run = with_output("results.csv", as_csv(table()), outputs=["csv"])
    assert rules_broken(run) == set()
    for wrong in (table()[1:], [table()[0] | {"status_code": 503}, *table()[1:]], table()[::-1]):
        assert rules_broken(with_output("results.csv", as_csv(wrong))) == {"true_outputs"}
    lines = [json.dumps(line | {"result": json.loads(line["result"])}) for line in table()]
    assert rules_broken(with_output("results.ndjson", "\n".join(lines).encode())) == set()
    assert rules_broken(with_output("failures.csv", as_csv([{"item": item} for item in FAILED]))) == set()
    assert rules_broken(with_output("failures.csv", b"item\ndie 7\n")) == {"true_outputs"}


def test_output_that_is_missing_or_of_another_generation_is_found() -> None:
    run = kept()
    assert rules_broken(run.but(options={**run.options, "outputs": ["csv"]})) == {"true_outputs"}
    assert rules_broken(run.but(outputs={**run.outputs, "report.json": b"{}"})) == {"true_outputs"}
    assert rules_broken(run.but(outputs={})) == {"true_outputs"}
    assert rules_broken(run.but(outputs={}, status={**run.status, "notes": ["no outputs"]})) == set()


def test_documents_say_what_the_summary_says() -> None:
    run = kept()
    for name, right, wrong in (
        ("sql.json", [{"rows": 8, "succeeded": 6}], []),
        ("reduced.json", {"status_code": 200, "result": {"sum": 6}}, {"status_code": 500}),
        ("report.json", REPORT, REPORT | {"state": "cancelled"}),
    ):
        assert rules_broken(with_output(name, json.dumps(right).encode())) == set()
        assert rules_broken(with_output(name, json.dumps(wrong).encode())) == {"true_outputs"}
    assert rules_broken(run.but(options={**run.options, "sql": SQL})) == {"true_outputs"}
