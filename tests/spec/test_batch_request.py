"""The body of a submission: the key of an input, a JSON specification, or the input itself."""

import gzip
from typing import Any

import pytest
from multidict import CIMultiDict

from pipeline.batch.read_submission import read_request
from pipeline.errors import BadRequestError, PipelineError, TooLargeError
from pipeline.request import Event
from pipeline.settings.environment import Settings, read_settings
from pipeline.spec.batch_spec import BatchSpec, parse_spec
from pipeline.spec.submission import Submission

SETTINGS = {"s3_bucket": "rows", "model_function": "default", "task_timeout": "50"}


def settings(**changed: str) -> Settings:
    return read_settings(SETTINGS | changed)


def read(body: bytes, content_type: str = "", query: dict[str, str] | None = None) -> tuple[BatchSpec, bytes | None]:
    event = Event(body, CIMultiDict({"Content-Type": content_type}), "POST", query or {}, "/")
    return read_request(event, settings(), "batch-1")


KEY = {"input": "data/rows.csv", "function": "default"}
OWN = {"input": "batch-1/input.csv", "function": "default"}
COLUMNS = {"input": "k", "function": "default", "columns": ["a,b"]}
GZIPPED = gzip.compress(b"[]", mtime=0)
OPTIONS = {"function": "other", "chunk": "7", "timeout": "2.5", "chunk_call": "true", "column": "x"}
TYPED_OPTIONS = {"function": "other", "chunk": 7, "timeout": 2.5, "chunk_call": True, "column": "x"}


def own(form: str) -> dict[str, Any]:
    return {"input": f"batch-1/input.{form}", "function": "default"}


READ: dict[str, tuple[tuple[bytes, str, dict[str, str]], dict[str, Any], bytes | None]] = {
    "a key": ((b"data/rows.csv", "", {}), KEY, None),
    "a key as a form": ((b"data/rows.csv", "application/x-www-form-urlencoded", {}), KEY, None),
    "a key in white space": ((b" data/rows.csv\n", "text/plain", {}), KEY, None),
    "a key with options": ((b"data/rows.csv", "", OPTIONS), KEY | TYPED_OPTIONS, None),
    "chunk auto": ((b"data/rows.csv", "", {"chunk": "auto"}), KEY | {"chunk": "auto"}, None),
    "JSON": ((b' {"input": "data/rows.csv"}', "", {}), KEY, None),
    "JSON with a function": ((b'{"input": "k", "function": "f"}', "", {}), {"input": "k", "function": "f"}, None),
    "JSON takes no options from the query": ((b'{"input": "data/rows.csv"}', "", {"chunk": "7"}), KEY, None),
    "a CSV": ((b"url\na\n", "text/csv", {}), OWN, b"url\na\n"),
    "a CSV with a charset": ((b"url\na\n", "Text/CSV; charset=utf-8", {}), OWN, b"url\na\n"),
    "a CSV with options": ((b"url\na\n", "application/csv", OPTIONS), OWN | TYPED_OPTIONS, b"url\na\n"),
    "a CSV never names its own place": ((b"", "text/csv", {"input": "elsewhere"}), OWN, b""),
    "a TSV": ((b"url\n", "text/tab-separated-values", {}), own("tsv"), b"url\n"),
    "NDJSON": ((b"{}\n", "application/x-ndjson", {}), own("ndjson"), b"{}\n"),
    "NDJSON by its second name": ((b"{}\n", "application/ndjson", {}), own("ndjson"), b"{}\n"),
    "NDJSON by its third name": ((b"{}\n", "application/jsonl; charset=utf-8", {}), own("ndjson"), b"{}\n"),
    "Parquet": ((b"PAR1", "application/vnd.apache.parquet", {}), own("parquet"), b"PAR1"),
    "a JSON array": ((b'["k"]', "application/json", {}), own("json"), b'["k"]'),
    "a JSON array without a type": ((b" \n[{}]", "", {}), own("json"), b" \n[{}]"),
    "a JSON array with a mark": ((b"\xef\xbb\xbf[]", "", {}), own("json"), b"\xef\xbb\xbf[]"),
    "a packed JSON array": ((GZIPPED, "application/json", {}), own("json"), GZIPPED),
    "a large JSON array": ((b"[" + b" " * 300_000, "", {}), own("json"), b"[" + b" " * 300_000),
    "a body whose format is said again": ((b"", "text/csv", {"format": "csv"}), OWN, b""),
    "columns": ((b"", "text/csv", {"columns": "a,b c"}), OWN | {"columns": ["a", "b c"]}, b""),
    "columns in JSON": ((b'{"input": "k", "columns": ["a,b"]}', "", {}), COLUMNS, None),
    "a large CSV": ((b"x" * 300_000, "text/csv", {}), OWN, b"x" * 300_000),
}


@pytest.mark.parametrize(("request_parts", "fields", "csv"), READ.values(), ids=READ)
def test_submission_is_read(
    request_parts: tuple[bytes, str, dict[str, str]], fields: dict[str, Any], csv: bytes | None
) -> None:
    assert read(*request_parts) == (BatchSpec.model_validate(fields), csv)


REFUSED: dict[str, tuple[bytes, dict[str, str], type[PipelineError], str]] = {
    "an empty body": (b" \n", {}, BadRequestError, "the body is empty"),
    "a body that is not UTF-8": (b"\xff", {}, BadRequestError, "the body is not UTF-8"),
    "a CSV without its type": (b"url\na\n", {}, BadRequestError, "a CSV is sent with Content-Type: text/csv"),
    "a large body without a type": (b"x" * 262_145, {}, TooLargeError, "at most 262144 bytes"),
    "broken JSON": (b'{"input": ', {}, BadRequestError, "starts like JSON but is none"),
    "a field twice": (b'{"input": "a", "input": "b"}', {}, BadRequestError, "'input' is given more than once"),
    "an unknown option": (b"k", {"chunks": "1"}, BadRequestError, "its fields are: input, function"),
    "an option of too many digits": (b"k", {"chunk": "9" * 5000}, BadRequestError, "is not valid"),
    "an option that is no number": (b"k", {"window": "many"}, BadRequestError, "is not valid"),
}


@pytest.mark.parametrize(("body", "query", "error", "reason"), REFUSED.values(), ids=REFUSED)
def test_malformed_submission_is_refused(
    body: bytes, query: dict[str, str], error: type[PipelineError], reason: str
) -> None:
    with pytest.raises(error) as caught:
        read(body, "", query)
    assert reason in str(caught.value)


def test_format_must_match_the_content_type() -> None:
    with pytest.raises(BadRequestError, match=r"^the body is CSV, and format says 'tsv': leave it out$"):
        read(b"url", "text/csv", {"format": "tsv"})


@pytest.mark.parametrize("given", ["elsewhere", "s3://elsewhere/k", "s3://rows", "s3://", "s3://rows/", "s3://r!/k"])
def test_input_in_another_bucket_must_be_allowed(given: str) -> None:
    refused = {"s3://rows", "s3://", "s3://rows/", "s3://r!/k"} | ({given} if "/k" in given else set())
    assert bool(forbidden({"input": given})) == (given in refused)
    assert bool(forbidden({"input": given}, allowed_buckets="else*")) == (given in refused - {"s3://elsewhere/k"})


def test_refused_bucket_lists_the_allowed_ones() -> None:
    for settings, allowed in (({}, "rows"), ({"allowed_buckets": "data-*,raw"}, "rows, data-*, raw")):
        with pytest.raises(BadRequestError) as caught:
            parse_spec(KEY | {"input": "s3://other/k"}, read_settings(SETTINGS | settings))
        problem = f"input: the bucket 'other' is not allowed; allowed are: {allowed} (setting allowed_buckets)"
        assert caught.value.problems == (problem,)
    assert parse_spec(KEY | {"input": "s3://rows/k"}, read_settings(SETTINGS)).input == "s3://rows/k"


def test_function_is_required_without_a_default() -> None:
    event = Event(b"k", CIMultiDict[str](), "POST", {}, "/")
    with pytest.raises(BadRequestError) as caught:
        read_request(event, settings(model_function=""), "batch-1")
    assert caught.value.problems == ("function: is needed",)


def forbidden(fields: dict[str, Any], **settings: str) -> list[str]:
    try:
        parse_spec({"input": "k", "function": "model"} | fields, read_settings(SETTINGS | settings))
    except BadRequestError as error:
        return [problem.split(":")[0] for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({}, []),
        ({"timeout": 50}, []),
        ({"timeout": 50.1}, ["timeout"]),
        (
            {"timeout": 50.1, "chunk": 0, "colum": "x", "function": "pipeline.fn"},
            ["function", "chunk", "chunk", "timeout", "colum"],
        ),
        ({"function": "pipeline"}, ["function"]),
        ({"function": "pipeline", "timeout": 51}, ["function", "timeout"]),
        ({"function": "other", "timeout": 51, "chunk": 0}, ["function", "chunk", "chunk", "timeout"]),
    ],
)
def test_violated_settings_are_named(fields: dict[str, Any], problems: list[str]) -> None:
    assert forbidden(fields, allowed_functions="default, model, pipeline*") == problems


def test_refused_function_lists_the_allowed_ones() -> None:
    settings = read_settings(SETTINGS | {"allowed_functions": "default,model-*"})
    with pytest.raises(BadRequestError) as caught:
        parse_spec({"input": "k", "function": "model"}, settings)
    assert caught.value.problems == ("function: 'model' is not allowed; allowed are: default, model-*",)


def test_accepted_specification_is_valid_under_later_settings() -> None:
    accepted = parse_spec({"input": "k", "function": "model"}, read_settings(SETTINGS))
    again = Submission(accepted.model_dump(exclude_defaults=True), "", 0, "").spec
    assert again == accepted


def test_only_an_explicit_timeout_can_be_too_long() -> None:
    assert forbidden({}, task_timeout="5") == []
    assert forbidden({"timeout": 30}, task_timeout="5") == ["timeout"]
