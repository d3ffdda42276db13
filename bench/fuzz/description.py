"""The description of the API, and whether an answer is one that it allows."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import yaml
from openapi_schema_validator import OAS31Validator

from bench.kit.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.fuzz.wire import Answer

PATH = ROOT / "pipeline" / "openapi.yaml"
# A request without a valid mode is refused before any mode.
NO_MODE = "no mode"
HTTP_LAYER = "text/plain"


@functools.cache
def description() -> dict[str, Any]:
    """Read the description."""
    document: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return document


def resolve(reference: str) -> Any:
    """Follow a `#/...` reference."""
    node: Any = description()
    for name in reference.removeprefix("#/").split("/"):
        node = node[name]
    return node


def modes() -> dict[str, Any]:
    """Return the description of each mode."""
    by_mode: dict[str, Any] = description()["paths"]["/"]["post"]["x-modes"]
    return by_mode


def fixed() -> set[str]:
    """Return the paths whose answer to GET does not depend on X-Mode."""
    return {path for path, methods in description()["paths"].items() if path != "/" and "get" in methods}


def responses(mode: str) -> Mapping[str, Any]:
    """Return the responses of a mode, each with its reference followed; without a mode there is only a refusal."""
    if mode in fixed():
        by_status: dict[str, Any] = description()["paths"][mode]["get"]["responses"]
        return by_status
    if mode == NO_MODE:
        names = {"400": "BadRequest", "413": "TooLarge"}
        return {status: resolve(f"#/components/responses/{name}") for status, name in names.items()}
    return {status: resolve(response["$ref"]) for status, response in modes()[mode]["responses"].items()}


def problems(mode: str, answer: Answer) -> list[str]:
    """Return how an answer in a mode differs from the description, [] where it does not."""
    response = responses(mode).get(str(answer.status))
    if response is None:
        return [f"{mode} does not answer {answer.status}"]
    differences = [
        f"the header {name} of {answer.status} is {value!r}"
        for name, header in response.get("headers", {}).items()
        if (value := answer.headers.get(name)) is None or list(_validator(header["schema"]).iter_errors(value))
    ]
    if not answer.has_body:
        return differences
    content = response["content"].get(answer.content_type)
    if content is None:
        return [*differences, f"{answer.status} has the content type {answer.content_type!r}"]
    try:
        value = json.loads(answer.body) if answer.content_type == "application/json" else answer.body.decode()
    except ValueError as error:
        return [*differences, f"the body of {answer.status} is not {answer.content_type}: {error}"]
    errors = _validator(content["schema"]).iter_errors(value)
    return differences + [
        f"the body of {answer.status}: {'.'.join(map(str, e.path))}: {e.message[:300]}" for e in errors
    ]


def _validator(schema: Mapping[str, Any]) -> Any:
    return _validator_of(json.dumps(schema))


@functools.cache
def _validator_of(schema: str) -> Any:
    # References point into the whole document, so it goes along.
    return OAS31Validator({**json.loads(schema), "components": description()["components"]})
