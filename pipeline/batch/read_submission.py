"""Read the request of a submission: a key, a JSON specification, or the input itself with options in the query."""

import json
from collections import Counter
from typing import Any

import orjson

from pipeline.errors import BadRequestError, TooLargeError
from pipeline.request import Event
from pipeline.settings.environment import Settings
from pipeline.spec.batch_spec import BatchSpec, parse_spec
from pipeline.spec.input_format import CONTENT_TYPES, PACKINGS, TITLES, Format
from pipeline.store.keys import body
from pipeline.units import KIB

SPEC_LIMIT = 256 * KIB


def read_request(event: Event, settings: Settings, name: str) -> tuple[BatchSpec, bytes | None]:
    """Return the specification, and the input where the body is one; raises BadRequestError, TooLargeError."""
    content_type = event.headers.get("Content-Type", "").split(";")[0].strip().lower()
    form = CONTENT_TYPES.get(content_type) or _json_dataset(event.body, content_type)
    if form is not None:
        return _inline_spec(event, settings, name, form), event.body
    if len(event.body) > SPEC_LIMIT:
        raise TooLargeError(
            f"a specification has at most {SPEC_LIMIT} bytes; a CSV is sent with Content-Type: text/csv, other inputs "
            "with their own"
        )
    try:
        text = event.body.decode().strip()
    except UnicodeDecodeError:
        raise BadRequestError(
            "the body is not UTF-8: expected a key, a JSON object, or text/csv or another input with its Content-Type"
        ) from None
    if not text:
        raise BadRequestError("the body is empty: expected the key of a CSV, a JSON specification, or text/csv")
    if text.startswith("{"):
        return parse_spec(_json_fields(text, settings), settings), None
    if "\n" in text:
        raise BadRequestError("the body has several lines: a CSV is sent with Content-Type: text/csv")
    return parse_spec({**_options(event, settings), "input": text}, settings), None


def _json_dataset(body: bytes, content_type: str) -> Format | None:
    """Return the format `json` if the body is an array of rows, plain or compressed, and None otherwise."""
    is_packed = content_type == "application/json" and body.startswith(tuple(PACKINGS))
    return "json" if is_packed or body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[" else None


def _inline_spec(event: Event, settings: Settings, name: str, form: Format) -> BatchSpec:
    """Return the specification for a body that is the input, which is stored under a key that names its format."""
    options = _options(event, settings)
    if options.setdefault("format", form) != form:
        raise BadRequestError(f"the body is {TITLES[form]}, and format says {options['format']!r}: leave it out")
    del options["format"]
    return parse_spec({**options, "input": body(name, form)}, settings)


def _json_fields(text: str, settings: Settings) -> dict[str, Any]:
    try:
        fields = orjson.loads(text)
        json.loads(text, object_pairs_hook=_refuse_repeated)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body starts like JSON but is none: {error}") from None
    if not isinstance(fields, dict):
        raise BadRequestError("the specification is not valid: expected a JSON object")
    return _default_function(settings) | fields


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object with a repeated name: parsers disagree on which one counts."""
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise BadRequestError(f"the specification is not valid: {twice[0][:40]!r} is given more than once")


def _options(event: Event, settings: Settings) -> dict[str, Any]:
    """Return the fields of a specification in the query string; the schema reads numbers."""
    return _default_function(settings) | dict(event.query)


def _default_function(settings: Settings) -> dict[str, Any]:
    default = settings.model_function
    return {"function": default} if default else {}
