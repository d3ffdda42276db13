"""The tally counts the items of a batch by status, and groups all failures by kind."""

import msgspec

from pipeline.answers.failure_kinds import OTHER_KINDS
from pipeline.answers.outcome import Outcome
from pipeline.outputs.tally import MOST_GROUPS, Tally
from tests.rigs.s3.outcomes import outcome


def failed(index: int, text: str, status: int = 500) -> Outcome:
    return msgspec.structs.replace(
        outcome(index, "failed", result=msgspec.json.encode(text)), status_code=status, item="x" * 500
    )


def test_items_are_counted_by_status() -> None:
    tally = Tally()
    tally.add([outcome(0), None, outcome(2, "failed")])
    tally.add([outcome(3), None, None])
    assert (tally.succeeded, tally.failed, tally.not_run) == (2, 1, 3)


def test_failures_that_differ_in_numbers_are_one_kind() -> None:
    tally = Tally()
    tally.add([failed(0, "no row 7", 404), failed(1, "took 5 s"), outcome(2)])
    tally.add([failed(3, "took 17 s"), failed(4, "took 17 s", 504)])
    found = [(group.kind, group.status_code, group.count, group.example.index) for group in tally.groups()]
    assert found == [("took # s", 500, 2, 1), ("no row #", 404, 1, 0), ("took # s", 504, 1, 4)]
    example = tally.groups()[0].example
    assert (example.result, example.call_id, len(example.item)) == ("took 5 s", "call-1", 120)


def test_kinds_beyond_a_hundred_are_counted_together() -> None:
    tally = Tally()
    names = [f"{'abcdefghij'[n // 26]}{chr(ord('a') + n % 26)}-kind" for n in range(MOST_GROUPS + 20)]
    tally.add([failed(n, name) for n, name in enumerate(names)])
    tally.add([failed(1000, names[0]), failed(1001, names[-1])])
    groups = tally.groups()
    assert len(groups) == MOST_GROUPS + 1
    assert (groups[0].kind, groups[0].status_code, groups[0].count) == (OTHER_KINDS, None, 21)
    assert groups[0].example.index == MOST_GROUPS
    assert (groups[1].kind, groups[1].count) == (names[0], 2)
    assert sum(group.count for group in groups) == tally.failed == MOST_GROUPS + 22
