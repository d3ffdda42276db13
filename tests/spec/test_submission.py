"""The calls that follow from a specification, and the digest that identifies a submission."""

from typing import Any

import pytest

from pipeline.errors import BadRequestError
from pipeline.spec.batch_spec import parse_spec
from pipeline.spec.submission import Submission
from tests.rigs.function.fakes import spec

MINIMAL: dict[str, Any] = {"input": "data/rows.csv", "function": "model"}


def test_default_is_one_item_a_task() -> None:
    given = parse_spec(MINIMAL)
    assert (given.chunk, given.window, given.attempts, given.column) == (1, 128, 3, None)
    assert given.item_type(json=False) == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"chunk_call": True}, "application/json"),
        ({"chunk_call": True, "content_type": "application/json"}, "application/json"),
        ({"columns": ["a"]}, "application/json"),
        ({"columns": ["a"], "content_type": "application/geo+json"}, "application/geo+json"),
        ({"content_type": "image/png"}, "image/png"),
    ],
)
def test_content_type_of_a_call_follows_from_the_fields(fields: dict[str, Any], expected: str) -> None:
    assert parse_spec(MINIMAL | fields).item_type(json=False) == expected


def test_json_item_has_the_json_content_type_unless_given() -> None:
    assert parse_spec(MINIMAL).item_type(json=True) == "application/json"
    assert parse_spec(MINIMAL | {"content_type": "application/geo+json"}).item_type(json=True) == "application/geo+json"


def test_chunk_call_allows_only_json() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"chunk_call": True, "content_type": "text/plain"})
    assert caught.value.problems == ("chunk_call sends a JSON array, so content_type can only be application/json",)


@pytest.mark.parametrize("other", [{"chunk": 2}, {"chunk": "auto"}, {"chunk_call": True}])
def test_direct_call_allows_only_one_item(other: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"direct": True} | other)
    assert caught.value.problems == ("direct sends one item a message, so chunk can only be 1, without chunk_call",)


def test_direct_calls_allow_no_rate() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_spec(MINIMAL | {"direct": True, "rate": 5})
    assert caught.value.problems == ("direct lets the queue-workers call at their own pace, so there can be no rate",)
    assert parse_spec(MINIMAL | {"direct": True, "chunk": 1}).direct


SUBMISSION = Submission({"input": "a.csv", "function": "f", "chunk": 7}, "etag", 10, "source")


def test_digest_is_independent_of_the_field_order() -> None:
    again = Submission({"chunk": 7, "function": "f", "input": "a.csv"}, "another etag", 11, "source")
    assert again.digest == SUBMISSION.digest


@pytest.mark.parametrize(
    "other",
    [
        Submission({"input": "a.csv", "function": "f", "chunk": 8}, "etag", 10, "source"),
        Submission({"input": "a.csv", "function": "f"}, "etag", 10, "source"),
        Submission({"input": "a.csv", "function": "f", "chunk": 7}, "etag", 10, "another source"),
    ],
)
def test_other_specification_or_input_has_another_digest(other: Submission) -> None:
    assert other.digest != SUBMISSION.digest


def test_submission_returns_its_specification() -> None:
    given = spec(chunk="auto", headers={"X-A": "1"}, timeout=2.5)
    assert Submission(given.model_dump(exclude_defaults=True), "", 0, "").spec == given
