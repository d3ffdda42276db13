"""The kinds of the values in a JSON column, and the column type that holds them all without loss."""

import json
from collections.abc import Iterable
from enum import Flag, auto
from typing import Any, NoReturn

import msgspec
import polars as pl

from pipeline.answers.reply import nest

# A float holds every whole number of so many characters exactly.
_EXACT_LENGTH = 15
_EXACT = 2**53
_INT64 = range(-(2**63), 2**63)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# Floats have no limit of digits.
STRICT_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_no_constant)


class Kind(Flag):
    """The kinds of the values of a column; a float would round a `LARGE` whole number, `OTHER` has no column type."""

    NULL = 0
    TEXT = auto()
    BOOLEAN = auto()
    WHOLE = auto()
    LARGE = auto()
    FRACTION = auto()
    OTHER = auto()


_KIND_BY_FIRST_BYTE = {
    ord(letter): kind
    for letters, kind in {
        '"': Kind.TEXT,
        "tf": Kind.BOOLEAN,
        "-0123456789": Kind.WHOLE,
        "n": Kind.NULL,
        "{[": Kind.OTHER,
    }.items()
    for letter in letters
}
_TYPES: dict[Kind, tuple[pl.DataType, msgspec.json.Decoder[Any]]] = {
    Kind.NULL: (pl.String(), msgspec.json.Decoder(list[str | None])),
    Kind.TEXT: (pl.String(), msgspec.json.Decoder(list[str | None])),
    Kind.BOOLEAN: (pl.Boolean(), msgspec.json.Decoder(list[bool | None])),
    Kind.WHOLE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.LARGE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.WHOLE | Kind.LARGE: (pl.Int64(), msgspec.json.Decoder(list[int | None])),
    Kind.FRACTION: (pl.Float64(), msgspec.json.Decoder(list[float | None])),
    Kind.WHOLE | Kind.FRACTION: (pl.Float64(), msgspec.json.Decoder(list[float | None])),
}


def has_type(kind: Kind) -> bool:
    """Return whether a column type holds all values of this kind; else their column is JSON text."""
    return kind in _TYPES


def kind_of(values: list[msgspec.Raw]) -> Kind:
    """Return the kinds of some values; raises msgspec.DecodeError or RecursionError for a value that cannot be sent."""
    texts = list(map(bytes, values))
    kind = Kind.NULL
    for first_byte in {text[0] for text in texts}:
        kind |= _KIND_BY_FIRST_BYTE[first_byte]
    if Kind.TEXT in kind:
        # A text may have an escape that is half of a pair.
        _TYPES[Kind.TEXT][1].decode(_array(text for text in texts if text[0] == ord('"')))
    if Kind.OTHER in kind:
        msgspec.json.decode(nest(_array(text for text in texts if text[0] in b"[{")))
    if Kind.WHOLE in kind:
        kind = kind & ~Kind.WHOLE | _kind_of_numbers(
            [text for text in texts if _KIND_BY_FIRST_BYTE[text[0]] is Kind.WHOLE]
        )
    return kind


def _kind_of_numbers(texts: list[bytes]) -> Kind:
    kind = Kind.NULL
    whole = [text for text in texts if not (b"." in text or b"e" in text or b"E" in text)]
    if len(whole) < len(texts):
        kind |= Kind.FRACTION
        fractions = [text for text in texts if b"." in text or b"e" in text or b"E" in text]
        try:
            _TYPES[Kind.FRACTION][1].decode(_array(fractions))
        except msgspec.ValidationError:
            # It is out of the range of a float.
            kind |= Kind.OTHER
    if whole:
        kind |= Kind.WHOLE
        if max(map(len, whole)) > _EXACT_LENGTH:
            kind |= _kind_of_large(whole)
    return kind


def _kind_of_large(texts: list[bytes]) -> Kind:
    try:
        numbers: list[int] = _TYPES[Kind.WHOLE][1].decode(_array(texts))
    except msgspec.ValidationError:
        return Kind.OTHER
    smallest, largest = min(numbers), max(numbers)
    if smallest not in _INT64 or largest not in _INT64:
        return Kind.OTHER
    return Kind.LARGE if max(-smallest, largest) > _EXACT else Kind.NULL


def make_column(kind: Kind, values: list[msgspec.Raw]) -> pl.Series:
    """Return the column of values of this kind."""
    if kind in _TYPES:
        dtype, decoder = _TYPES[kind]
        return pl.Series(values=decoder.decode(_array(values)), dtype=dtype)
    texts = [bytes(value).decode() for value in values]
    return pl.Series(values=[None if text == "null" else text for text in texts], dtype=pl.String)


def _array(values: Iterable[bytes | msgspec.Raw]) -> bytes:
    return b"[" + b",".join(values) + b"]"
