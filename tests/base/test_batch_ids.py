"""Batch ids become keys of Redis and S3 and parts of URLs: what does not fit there is refused."""

import pytest
from multidict import CIMultiDict

from pipeline.errors import BadRequestError
from pipeline.request import Event, batch_of, check_batch_id


@pytest.mark.parametrize("name", ["a", "7", "a.b", "a..b", "A_b-c.9", "x" * 64, "opened", "doctors", "OPEN", "open."])
def test_a_batch_id_is(name: str) -> None:
    assert check_batch_id(name) == name


NOT_IDS = (
    *("", ".", "..", "../a", "a/b", "/a", ".a", "-a", "_a", "a b", "a{b}", "{a}"),
    *("a:b", "a%2Fb", "ä", "٣", "x" * 65, "a\n", "\na", "a\x00", "open", "ended", "doctor", "\udcff"),
)


@pytest.mark.parametrize("name", NOT_IDS)
def test_a_batch_id_is_not(name: str) -> None:
    with pytest.raises(BadRequestError, match="is not a batch id: 1 to 64 letters"):
        check_batch_id(name)


def test_a_long_id_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequestError) as caught:
        check_batch_id("x" * 10_000)
    assert len(str(caught.value)) < 300


def event(query: dict[str, str], headers: dict[str, str]) -> Event:
    return Event(b"", CIMultiDict(headers), "GET", query, "/")


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ({"batch": "one"}, {}, "one"),
        ({}, {"x-batch-id": "two"}, "two"),
        ({"batch": "one"}, {"X-Batch-Id": "two"}, "one"),
        ({"batch": ""}, {"X-Batch-Id": "two"}, "two"),
    ],
)
def test_a_request_names_its_batch(query: dict[str, str], headers: dict[str, str], expected: str) -> None:
    assert batch_of(event(query, headers)) == expected


def test_a_request_without_a_batch_is_told_how_to_name_it() -> None:
    with pytest.raises(BadRequestError, match=r"^name the batch: \?batch=ID or the header X-Batch-Id$"):
        batch_of(event({}, {}))
    assert batch_of(event({}, {}), required=False) == ""


@pytest.mark.parametrize("required", [True, False])
def test_a_request_that_names_no_batch_id_is_refused(*, required: bool) -> None:
    with pytest.raises(BadRequestError, match="is not a batch id"):
        batch_of(event({"batch": "a\n"}, {}), required=required)
