"""Every key of the bucket is made and parsed in one file, from one table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline
from pipeline.request import RESERVED_IDS
from pipeline.store import keys
from pipeline.store.keys import CONTENT_TYPES, KEYS, SUMMARY, Key, Segment, belongs_to, is_readable, key_of

PACKAGE = Path(pipeline.__file__).parent
BESIDE_THE_FUNCTION = {"cli", "client", "docs", "local"}
FRAGMENTS = {text for key in KEYS for text in re.split(r"<\w+>", key.pattern) if re.search(r"/\w|\w/", text)}
NAMES = {SUMMARY, *CONTENT_TYPES, *FRAGMENTS, *(text.removeprefix("/") for text in FRAGMENTS if not text.endswith("."))}
# The query's process writes files of these names into a folder; the store is above it.
ELSEWHERE = {"sql/child.py": {"sql.parquet", "sql.csv", "sql.json"}}
EXAMPLES = {
    keys.open_mark("pipeline", "b"): "open/pipeline/b",
    keys.ended_mark("pipeline", "b"): "ended/pipeline/b",
    keys.deleted_mark("pipeline", "b"): "deleted/pipeline/b",
    keys.owner("b"): "owners/b",
    keys.trial("pipeline", "0f"): "doctor/pipeline/0f",
    keys.spec("b"): "b/spec.json",
    keys.body("b", "tsv"): "b/input.tsv",
    keys.manifest("b", 2): "b/input/2.json",
    keys.part("b", 2, 7): "b/input/2/000007.parquet",
    keys.result("b", 7, 1, 3, "0f"): "b/refs/7.1.3.0f",
    keys.segment("b", 2, 7, "0f", 3, 9, 1): "b/segments/2/000007.0f.3-9.1.ndjson",
    keys.generation_summary("b", 2): "b/2/summary.json",
    keys.generation_output("b", 2, "results.csv"): "b/2/results.csv",
    keys.output("b", "results.csv"): "b/results.csv",
    keys.summary("b"): "b.json",
    keys.status("b"): "b/status.json",
}


def test_each_kind_of_key_parses_its_own_keys() -> None:
    assert list(EXAMPLES) == list(EXAMPLES.values())
    assert {key_of(key) for key in EXAMPLES} == {*KEYS}
    for key in EXAMPLES:
        kind = key_of(key)
        assert kind is not None
        parts = kind.parse(key)
        assert parts is not None
        assert kind.folder(*parts.values()) == key.rpartition("/")[0] + "/"
        assert [other for other in KEYS if other.parse(key)] == [kind]


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.pattern)
def test_every_kind_of_key_has_a_description_and_its_writers(kind: Key[...]) -> None:
    assert kind.holds.endswith(".")
    assert "\n" not in kind.holds
    assert kind.writers
    assert [room for room in kind.writers if not (PACKAGE / room / "__init__.py").exists()] == []


def test_segment_parses_its_key() -> None:
    segment = Segment("b", 2, 7, "0f", 3, 9, 1)
    assert Segment.parse(segment.key) == segment
    assert Segment.parse("b/segments/2/000007.0f.3-9.ndjson") is None
    assert segment.is_since("f")
    assert not segment.is_since("10")


def test_only_keys_of_the_pipeline_belong_to_a_batch() -> None:
    own = [key for key in EXAMPLES if key.startswith("b")]
    assert [key for key in EXAMPLES if belongs_to(key, "b")] == own
    assert all(belongs_to(key, "b") for key in ("b/segments/x", "b/input/0/x", "b/refs/x"))
    assert not any(belongs_to(key, "bb") for key in EXAMPLES)
    strangers = ["b", "b/", "b/notes.txt", "b/0", "b/0/notes.txt", "b/input.txt", "b/segments", "b.csv", "bb.json"]
    assert not any(belongs_to(key, "b") for key in strangers)


def test_outputs_and_input_of_a_batch_are_readable() -> None:
    assert [key for key in EXAMPLES if is_readable(key)] == ["b/input.tsv", "b/2/results.csv", "b/results.csv"]


def test_prefixes_of_marks_are_reserved_ids() -> None:
    assert {key.pattern.partition("/")[0] for key in KEYS if not key.pattern.startswith("<batch>")} == RESERVED_IDS


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the keys, and parts of keys, that are literals in the code, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
            yield node.lineno, node.value
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "<part>" for part in node.values)
            first = ast.unparse(node.values[0]) if isinstance(node.values[0], ast.FormattedValue) else ""
            of_a_batch = re.search(r"\b(batch|name)\b", first) and re.match(r"<part>(/|\.json)", text)
            if of_a_batch or any(part in text for part in FRAGMENTS):
                yield node.lineno, text


@pytest.mark.parametrize(
    "code",
    [
        'f"{batch}/spec.json"',
        'f"{self.batch}/{name}"',
        'f"{batch}.json"',
        '"open/" + name',
        '"failures.csv"',
        'f"{a}/refs/{b}"',
    ],
)
def test_key_in_code_is_found(code: str) -> None:
    assert list(literals(ast.parse(code)))


def test_no_key_is_made_outside_of_keys() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in BESIDE_THE_FUNCTION]
    made = {str(path.relative_to(PACKAGE)): list(literals(ast.parse(path.read_text()))) for path in files}
    assert made.pop("store/keys.py")
    elsewhere = {
        path: [(line, text) for line, text in found if text not in ELSEWHERE.get(path, set())]
        for path, found in made.items()
    }
    assert {path: found for path, found in elsewhere.items() if found} == {}
