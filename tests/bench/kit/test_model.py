"""The model function of the benches fails as it is asked to."""

import pytest

from bench.kit.model import KINDS, fails, kind_of_failure


def test_a_tenth_fails_of_calls_or_of_items() -> None:
    items = [f"item-{number}".encode() for number in range(1_000)]
    assert sum(fails(item, 1, "calls") for item in items) == pytest.approx(100, abs=30)
    assert [fails(item, 1, "items") for item in items] == [fails(item, 2, "items") for item in items]
    assert [fails(item, 1, "calls") for item in items] != [fails(item, 2, "calls") for item in items]
    assert not any(fails(item, 1, "") for item in items)


def test_two_items_of_a_hundred_fail_in_forty_ways() -> None:
    kinds = [kind_of_failure(f"item-{number:07}".encode()) for number in range(10_000)]
    assert sum(bool(kind) for kind in kinds) == 200
    assert len(set(kinds) - {""}) == KINDS
