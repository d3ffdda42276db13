"""Kinds of failure: their common part, and an example of each kind."""

from typing import Any

import msgspec
import orjson
import pytest

from pipeline.answers.failure_kinds import (
    ITEM_LENGTH,
    KIND_LENGTH,
    MOST_KINDS,
    OTHER_KINDS,
    RESULT_LENGTH,
    Example,
    FailureGroup,
    group_failures,
    kind_of,
)
from pipeline.answers.outcome import Outcome


def failed(index: int, result: Any = "no", **fields: Any) -> Outcome:
    defaults: dict[str, Any] = {
        "status": "failed",
        "status_code": 500,
        "item": f"row {index}",
        "call_id": f"call-{index}",
    } | fields
    return Outcome(index=index, attempts=1, duration=0.1, result=msgspec.Raw(orjson.dumps(result)), **defaults)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ("the picture cannot be decoded", "the picture cannot be decoded"),
        ("\n\n  no such row: 17\nTraceback", "no such row: #"),
        ("took 30.5 s, 7 tries", "took # s, # tries"),
        ("took 30.5017 s, 0.12345678 of it in 10.0.0.1234", "took # s, # of it in #"),
        ("10.12.0.7:8080 refused", "#:# refused"),
        ("id 0x7fe3a1 and 9b2d6c01-11aa-42ce-8d64-cafe00000001", "id # and #"),
        ("GET https://example.org/a?b=1 failed", "GET URL failed"),
        ("no column 'price' in \"rows\"", "no column '…' in '…'"),
        ("it   is\t late", "it is late"),
        ("", "no reason given"),
        (None, "no reason given"),
        ({"error": "no memory"}, "no memory"),
        ({"message": "", "detail": "no such model"}, "no such model"),
        ({"error": {"code": 7, "message": "quota"}}, "quota"),
        ({"status": "bad"}, "{'…':'…'}"),
        ({"error": {"code": 7}}, "{'…':{'…':#}}"),
        ([1, 2], "[#,#]"),
        (17, "#"),
        ("é" * 500, "é" * KIND_LENGTH),
        ("a" * 10_000 + "://", "a" * KIND_LENGTH),
    ],
)
def test_kind_is_the_common_part_of_similar_failures(result: Any, kind: str) -> None:
    assert kind_of(msgspec.Raw(orjson.dumps(result))) == kind


@pytest.mark.parametrize("raw", [b'"\\ud800"', b"{" * 5000, b'{"error": "\xff"}', b"[" * 5000 + b"]" * 5000])
def test_hostile_result_has_a_kind_that_can_be_encoded(raw: bytes) -> None:
    assert kind_of(msgspec.Raw(raw)).encode()


def test_failures_are_grouped_with_the_last_one_as_example() -> None:
    outcomes = [
        failed(3, "no row 3", retryable=True),
        failed(4, status="succeeded", status_code=200),
        failed(5, "no row 5", item="i" * 2000),
        failed(6, "r" * 2000, status_code=422),
    ]
    assert group_failures(outcomes) == (
        FailureGroup("500: no row #", 500, 1, 1, Example(5, "i" * (ITEM_LENGTH - 1) + "…", "no row 5", "call-5")),
        FailureGroup(
            "422: " + "r" * KIND_LENGTH, 422, 1, 0, Example(6, "row 6", "r" * (RESULT_LENGTH - 1) + "…", "call-6")
        ),
    )


def test_kinds_beyond_the_limit_are_counted_together() -> None:
    outcomes = [failed(index, chr(ord("a") + index)) for index in range(MOST_KINDS + 3)] + [failed(9, "a")]
    groups = group_failures(outcomes)
    assert [(group.kind, group.given_up) for group in groups] == [
        ("500: a", 2),
        *((f"500: {chr(ord('a') + index)}", 1) for index in range(1, MOST_KINDS)),
        (OTHER_KINDS, 3),
    ]


def test_example_at_the_length_limit_is_not_cut() -> None:
    (group,) = group_failures([failed(1, "r" * RESULT_LENGTH, item="i" * ITEM_LENGTH)])
    assert (group.example.item, group.example.result) == ("i" * ITEM_LENGTH, "r" * RESULT_LENGTH)
