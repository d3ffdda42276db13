"""What stands between the markers of a page comes from rows, and nothing else is changed."""

import pytest

from bench.kit.errors import BenchError
from bench.kit.pages import fill

PAGE = """# Page

It takes <!-- rows: a.seconds -->old<!-- end --> s.

<!-- rows: a.table -->
| old |
<!-- end -->

After.
"""
EMPTY = {"a.seconds": "", "a.table": ""}


def test_blocks_are_renewed_and_the_rest_stays() -> None:
    page = fill(PAGE, {"a.seconds": "3.5", "a.table": "| new |\n", "b.other": "x"})

    assert "It takes <!-- rows: a.seconds -->3.5<!-- end --> s." in page
    assert "<!-- rows: a.table -->\n\n| new |\n\n<!-- end -->\n\nAfter.\n" in page
    assert "old" not in page
    assert fill(page, {"a.seconds": "3.5", "a.table": "| new |"}) == page
    assert fill(page, EMPTY) == fill(PAGE, EMPTY)


def test_a_block_that_nothing_renders_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"'a\.table'"):
        fill(PAGE, {"a.seconds": "3.5"})
