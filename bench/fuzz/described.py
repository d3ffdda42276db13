"""The operations of `pipeline/openapi.yaml`: requests that schemathesis makes for each, and what it says of answers."""

import functools
import json
import re
from typing import Any

import schemathesis
import yaml
from hypothesis import strategies as st
from requests import Response
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from bench.kit.machine import ROOT

Operation = APIOperation[Any, Any, Any, Any]

# A request without a valid mode is refused before any mode.
NO_MODE = "no mode"
BAD_REQUEST = 400
SERVER_ERROR = 500
# aiohttp itself refuses, in plain text, longer lines and bodies that it cannot unpack.
LONGEST_LINE = 8000
# Of a 503 while all services are up.
_CAUSES = re.compile(r"is being (opened|deleted).*: try again")
_CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

_TYPES = ("application/x-ndjson", "application/vnd.apache.parquet", "text/tab-separated-values", "*/*")


@schemathesis.serializer(*_TYPES)
def _as_text(_context: object, value: object) -> bytes:
    """Send text as it is, also where it is no row."""
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="surrogatepass")


@functools.cache
def description() -> dict[str, Any]:
    """Read the description."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "pipeline" / "openapi.yaml").read_text())
    return document


def resolve(reference: str) -> Any:
    """Follow a `#/...` reference."""
    return functools.reduce(lambda node, name: node[name], reference.removeprefix("#/").split("/"), description())


def modes() -> dict[str, Any]:
    """Return the description of each mode."""
    by_mode: dict[str, Any] = description()["paths"]["/"]["post"]["x-modes"]
    return by_mode


def fixed() -> set[str]:
    """Return the paths whose answer to GET does not depend on X-Mode."""
    return {path for path, methods in description()["paths"].items() if path != "/" and "get" in methods}


@functools.cache
def operations() -> dict[str, Operation]:
    """Return each mode, and each other operation by its method and path; NO_MODE is an unknown mode."""
    document = description()
    post = document["paths"]["/"]["post"]
    entries = {
        f"{method.upper()} {path}": (path, method, entry | {"security": []})
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
        if entry is not post
    }
    for mode, entry in modes().items():
        named = {*(("query", name) for name in entry["query"]), *(("header", name) for name in entry["headers"])}
        parameters = [
            {"$ref": f"#/components/parameters/{name}"}
            for name, parameter in document["components"]["parameters"].items()
            if (parameter["in"], parameter["name"]) in named - {("header", "X-Mode")}
        ]
        body = {"requestBody": post["requestBody"]} if mode == "batch" else {}
        entries[mode] = ("/", "post", {"parameters": parameters, "responses": entry["responses"], **body})
    unknown = {"name": "X-Mode", "in": "header", "required": True, "schema": {"type": "string", "pattern": "^no .*$"}}
    refused = {status: post["responses"][status] for status in ("400", "413")}
    entries[NO_MODE] = ("/", "post", {"parameters": [unknown], "responses": refused})
    return {
        name: schemathesis.openapi.from_dict({**document, "paths": {path: {method: entry}}})[path][method.upper()]
        for name, (path, method, entry) in entries.items()
    }


def cases(name: str) -> st.SearchStrategy[Case[Any]]:
    """Return requests of an operation: valid by the description, or wrong in some part."""
    operation = operations()[name]
    raw = operation.definition.raw
    kinds = list(GenerationMode) if name != NO_MODE and (raw.get("parameters") or "requestBody" in raw) else []
    return st.sampled_from(kinds or [GenerationMode.POSITIVE]).flatmap(
        lambda kind: operation.as_strategy(generation_mode=kind)
    )


def problems(name: str, answer: Response, *, authorized: bool = True) -> list[str]:
    """Return how an answer of an operation differs from the description, [] where it does not."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    # schemathesis reads YAML before it compares, but the description speaks of the text.
    used = [check for check in _CHECKS if kind != "application/yaml" or check != checks.response_schema_conformance]
    wrong = []
    try:
        operations()[name].Case().validate_response(answer, checks=used)
    except FailureGroup as group:
        wrong = [" ".join(f"{error.title}: {error.message}".split())[:400] for error in group.exceptions]
    if answer.status_code >= SERVER_ERROR and not _CAUSES.search(answer.text):
        wrong.append(f"{answer.status_code} with all services up: {answer.text[:200]}")
    sent = answer.request
    lines = [str(sent.url), *(f"{key}: {value!s}" for key, value in sent.headers.items())]
    if answer.status_code == BAD_REQUEST and kind == "text/plain" and max(map(len, lines)) < LONGEST_LINE:
        wrong += [f"refused as HTTP: {answer.text[:200]}"] * ("Content-Encoding" not in sent.headers)
    guarded = name in modes() and not modes()[name].get("signed")
    if guarded and not authorized and answer.status_code not in {400, 401, 413}:
        wrong.append(f"{answer.status_code} without a token")
    return wrong
