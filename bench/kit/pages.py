"""Pages in Markdown whose figures come from rows.

What stands between `<!-- rows: NAME -->` and `<!-- end -->` is the text that a bench renders under that name, such as
`load.fairness` of the bench `load`: a table or paragraphs, or within a line a few words.
"""

import re
import textwrap
from collections.abc import Mapping

from bench.kit.errors import BenchError

WIDTH = 120
_BLOCK = re.compile(r"<!-- rows: (?P<name>\S+) -->(?P<text>.*?)<!-- end -->", re.DOTALL)


def fill(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with its blocks renewed; raises BenchError for a name that no bench renders."""

    def renew(block: re.Match[str]) -> str:
        name, around = block["name"], "\n\n" if "\n" in block["text"] else ""
        if name not in blocks:
            raise BenchError(f"no rows give the text {name!r} that a page asks for")
        return f"<!-- rows: {name} -->{around}{blocks[name].strip()}{around}<!-- end -->"

    return _BLOCK.sub(renew, page)


def wrap(text: str, indent: str = "") -> str:
    """Return a paragraph in lines as long as those of the pages; lines after the first begin with `indent`."""
    return "\n".join(
        textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent)
    )


def bullets(*texts: str) -> str:
    """Return a list in Markdown."""
    return "\n".join(wrap(f"- {text}", "  ") for text in texts)
