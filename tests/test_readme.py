"""The README's tables and the code agree."""

import re
from pathlib import Path

import pytest

from pipeline.batchspec import BatchSpec
from pipeline.handler import MODES
from pipeline.metrics import Metrics
from pipeline.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def _table(heading: str) -> dict[str, str]:
    """Return the table whose first column is called `heading`: first cell to second cell, without backticks."""
    rows: dict[str, str] = {}
    lines = iter(README.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return rows
                names, value = (cell.strip() for cell in row.strip("|").split(" | ")[:2])
                rows |= dict.fromkeys(re.findall(r"`([^`]+)`", names), value.strip("`"))
    return rows


def test_every_setting_has_its_row() -> None:
    assert sorted(_table("setting")) == sorted(Settings.model_fields)


def test_every_field_of_a_specification_has_its_row() -> None:
    assert sorted(_table("field")) == sorted(BatchSpec.model_fields)


def test_every_mode_has_its_row() -> None:
    assert sorted(_table("`X-Mode`")) == sorted(MODES)


def test_every_secret_has_its_row() -> None:
    optional = ["pipeline-token", "s3-token"]
    assert sorted(_table("secret")) == sorted(["pipeline-key", "redis-password", "s3-key", "s3-secret", *optional])


def test_every_metric_has_its_row() -> None:
    metrics = Metrics()
    metrics.answered("status", 200, 0)
    text = metrics.exposition().decode()
    counted = {name for name in re.findall(r"^# TYPE (pipeline_\w+) ", text, re.MULTILINE) if "_created" not in name}
    rows = " ".join(f"`{name}`" for name in _table("metric"))
    assert set(re.findall(r"`(pipeline_\w+)", rows)) == counted
    asked = re.findall(r"\bpipeline_\w+", README.read_text())
    assert set(asked) == counted


@pytest.mark.parametrize(
    ("heading", "model", "in_words"),
    [
        (
            "setting",
            Settings,
            {"s3_bucket", "s3_endpoint", "s3_public_endpoint", "public_url", "model_function", "retention"},
        ),
        ("field", BatchSpec, {"input", "function", "column", "content_type", "headers", "rate", "tolerate"}),
    ],
)
def test_defaults_are_as_the_tables_say(
    heading: str, model: type[Settings] | type[BatchSpec], in_words: set[str]
) -> None:
    fields = {name: field for name, field in model.model_fields.items() if name not in in_words}
    defaults = {name: str(field.default) for name, field in fields.items()}
    expected = {name: value.lower() if value in {"True", "False"} else value for name, value in defaults.items()}
    table = _table(heading)
    assert {name: table[name] for name in fields} == expected


NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", README.read_text())))


def test_the_threats_name_their_tests() -> None:
    text = README.read_text()
    threats = text[text.index("## Security") : text.index("## When something is wrong")].split("\n- ")[1:]
    assert threats
    assert [threat for threat in threats if not re.search(r"`tests/[\w/]+\.py::\w+`\s*$", threat)] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    source = (README.parent / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"
