"""Each rule of the chaos runs' checker finds what is planted for it, and nothing in a run that kept all promises."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.checker import RULES, Evidence, Seen, check
from bench.chaos.model import answer

ROWS = ["good 0", "fail 422 1", "good 2", "big 3 3", "binary 4", "flaky 2 5", "good 2", "die 7"]
FAILED = {"fail 422 1": 422, "die 7": 502}
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
        options={"attempts": 2, "timeout": 1},
        status={"state": "done", "generation": 1, "items": 8, "succeeded": 6, "failed": 2},
        summary=summary,
        later=copy.deepcopy(summary),
        calls=[(f"call-{index}", item) for index, item in enumerate(ROWS)],
        seen=[Seen("call", one["callId"], one["item"], "", one["statusCode"], 0.1) for one in entries],
    )


def planted(change: Callable[[Summary], None]) -> Evidence:
    """The same run with something changed in its summary."""
    run = kept()
    summary = copy.deepcopy(run.summary)
    assert summary is not None
    change(summary)
    return run.but(summary=summary, later=copy.deepcopy(summary))


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
        ({"status": {"state": "running"}}, {"ended", "counts"}),
        ({"problems": ("it hangs after 60 s",)}, {"ended"}),
        ({"later": None}, {"stays_ended"}),
        ({"left": ("upload left: chaos-1/0/summary.json",)}, {"nothing_left"}),
        ({"callbacks": ("0.300 s: <Task>",)}, {"quick_callbacks"}),
    ],
)
def test_what_is_wrong_beside_the_summary_is_found(changes: dict[str, Any], broken: set[str]) -> None:
    assert rules_broken(kept().but(**changes)) == broken


@pytest.mark.parametrize("name", ["items", "succeeded", "failed"])
def test_a_status_that_tells_otherwise_is_found(name: str) -> None:
    run = kept()
    assert rules_broken(run.but(status={**run.status, name: 3})) == {"counts"}


def test_a_batch_without_a_summary_is_found() -> None:
    assert {"ended", "every_item_once"} <= rules_broken(kept().but(summary=None, later=None))


@pytest.mark.parametrize(("state", "stopped", "fine"), [("cancelled", True, True), ("cancelled", False, False)])
def test_a_state_that_nobody_asked_for_is_found(state: str, *, stopped: bool, fine: bool) -> None:
    run = kept()
    judged = rules_broken(run.but(status={**run.status, "state": state}, stopped=stopped))
    assert judged == (set() if fine else {"ended"})


def test_a_cancel_that_was_promised_and_did_not_happen_is_found() -> None:
    assert rules_broken(kept().but(stopped=True, cancelled=True)) == {"ended"}


def test_a_failed_batch_is_found_even_if_it_was_stopped() -> None:
    run = kept()
    assert rules_broken(run.but(status={**run.status, "state": "failed"}, stopped=True)) == {"ended"}


def test_what_can_succeed_may_fail_in_the_last_generation_only() -> None:
    run = planted(fails_hastily)
    told = {**run.status, "succeeded": 5, "failed": 3}
    run = run.but(status=told, seen=[*run.seen, Seen("call", "call-0", "good 0", "refuse", 503)])
    assert rules_broken(run) == set()
    assert rules_broken(run.but(status={**told, "generation": 0})) == {"no_hasty_failures"}
    assert rules_broken(run.but(status={**told, "generation": 0, "state": "cancelled"}, stopped=True)) == set()


def test_what_never_ran_says_so() -> None:
    run = planted(never_run)
    stopped = run.but(status={**run.status, "state": "cancelled", "failed": 1}, stopped=True)
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
    assert rules_broken(run.but(status={**run.status, "generation": 0})) == set()


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
    assert [rule.__name__ for rule in RULES if f'"{rule.__name__}"' not in text] == []
