"""The dialect of a file of text: how its lines are divided into cells, and its bytes into letters."""

import codecs
from typing import Any

import msgspec

from pipeline.spec.input_format import DELIMITERS, Format

DETECTED = (",", ";", "\t", "|")
NAMED_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}


class Dialect(msgspec.Struct, frozen=True):
    """How a CSV file is written.

    `delimiter` is one character, and `encoding` a name that Python knows; `auto` is to be detected. `quote` and
    `escape` are one character each, or empty for none. `header` tells whether the first line has the names of the
    columns, or gives the names. `skip` is a number of lines before the header.
    """

    delimiter: str = "auto"
    quote: str = '"'
    escape: str = ""
    header: bool | list[str] = True
    encoding: str = "auto"
    skip: int = 0

    def problem(self, form: Format) -> str:
        """Return why a file of this format cannot be written so, '' if it can."""
        delimiters = DETECTED if self.delimiter == "auto" else (self.delimiter,)
        marks = [*delimiters, *filter(None, [self.quote, self.escape])]
        if len(set(marks)) < len(marks):
            return "delimiter, quote and escape are three different characters"
        chosen = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(Dialect(), name)]
        fitting = {"encoding"} if form in {"ndjson", "json"} else set(chosen) if form in DELIMITERS else set()
        other = next((name for name in chosen if name not in fitting), None)
        return f"{other} does not fit an input of the format {form}" if other else ""


def one_character(value: Any) -> Any:
    """Refuse what cannot divide cells or quote them: a text of several characters, and the end of a line."""
    if isinstance(value, str) and (len(value) > 1 or value in {"\r", "\n", "\0"}):
        raise ValueError("expected one character, and no end of a line")
    return value


def checked_delimiter(value: Any) -> Any:
    """Return the character that a name such as `tab` stands for."""
    if value == "auto":
        return value
    if value in {"", '"'}:
        raise ValueError(f"expected auto, one character, or one of {', '.join(NAMED_DELIMITERS)}")
    return one_character(NAMED_DELIMITERS.get(value, value))


def checked_encoding(value: str) -> str:
    """Refuse an encoding that Python does not know, or that takes time in the square of the length."""
    try:
        "".encode("utf-8" if value == "auto" else value)
        is_slow = value != "auto" and codecs.lookup(value).name in {"idna", "punycode"}
    except (LookupError, ValueError):
        is_slow = True
    if is_slow:
        raise ValueError("expected auto, or an encoding such as utf-8, utf-16, latin-1, windows-1252")
    return value


def boolean_text(value: Any) -> Any:
    """Return the boolean that a text in a query or on the command line is."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
