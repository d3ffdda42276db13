"""No page links to nothing, names a file or a test that is not there, or is out of reach; the README stays short."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.rigs.docs.pages import BENCH, GUARANTEES, README, Page, docs, pages
from tests.rigs.images import ROOT

NAMED = sorted({found for page in pages() for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.text)})
# A file of the project in a sentence: a folder of the project, then a name with an ending.
FILE = re.compile(r"(?:pipeline|bench|tests)/[\w./-]+\.(?:py|md|csv|json|yaml|lua|sql|svg|png)")
# The page of the benchmarks also names its files from its own folder, and the results from theirs.
NEAR = re.compile(r"[\w./-]+\.(?:py|md|csv|json|svg|txt|in)")
WITH_CHAPTERS = [README, *(page for page in pages() if page.path.parent != ROOT)]
POINTER = re.compile(r"((?:pipeline/docs|bench|tests)/\w+\.md), ['\"]([^'\"]+)['\"]")


def dead_links(page: Page) -> list[str]:
    """Return the links of a page that lead to no file and to no heading."""
    dead = []
    for line, link in page.links():
        target, _, anchor = unquote(link).partition("#")
        if re.match(r"https?:|mailto:", target):
            continue
        path = (page.path.parent / target).resolve() if target else page.path
        anchors = [one.anchor for one in Page(path).headings()] if path.suffix == ".md" and path.is_file() else []
        if not path.exists() or (anchor and anchor not in anchors):
            dead.append(f"{page.name}:{line}: {link}")
    return dead


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_link_is_dead(page: Page) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    page = Page(tmp_path / "page.md")
    (tmp_path / "other.md").write_text("# One\n\n## One\n\n## A `b`, and c\n")
    page.path.write_text("[a](other.md#one-1) [b](other.md#a-b-and-c) [c](#d) ![e](no.png)\n\n[f](other.md#b)\n")
    assert dead_links(page) == ["page.md:1: #d", "page.md:1: no.png", "page.md:3: other.md#b"]


def test_every_page_is_in_reach_of_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for _, link in README.links()}
    inner = {page.path for page in pages() if page.path.parent != ROOT}
    assert inner - linked == set()


@pytest.mark.parametrize("page", WITH_CHAPTERS, ids=lambda page: page.name)
def test_a_page_links_to_its_chapters_at_its_top(page: Page) -> None:
    chapters = [heading for heading in page.headings() if heading.level == 2]
    top = {link for line, link in page.links() if line < chapters[0].line}
    assert [heading.text for heading in chapters if f"#{heading.anchor}" not in top] == []


def test_the_readme_is_short() -> None:
    lines = README.text.splitlines()
    assert len(lines) <= 300
    assert [line for line in lines if len(line) > 120] == []


def test_every_guarantee_and_threat_names_its_test() -> None:
    guarantees = GUARANTEES.part("Guarantees").split("\n### ")[1:]
    threats = GUARANTEES.part("Security").split("\n- ")[1:]
    assert guarantees
    assert threats
    named = re.compile(r"`tests/[\w/]+\.py::\w+`\s*(\n### .*\s*)?$")
    assert [part for part in (*guarantees, *threats) if not named.search(part)] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_file_that_is_named_exists(page: Page) -> None:
    code = [(line, text) for line, text, _ in page.spans()]
    code += [(block.line, block.text) for block in page.blocks() if block.is_shell()]
    named = [(line, name) for line, text in code for name in FILE.findall(text)]
    assert [f"{page.name}:{line}: {name}" for line, name in named if not (ROOT / name).exists()] == []


def test_a_file_that_the_page_of_the_benches_names_exists() -> None:
    places = (ROOT, BENCH.path.parent, BENCH.path.parent / "results")
    named = [(line, text) for line, text, _ in BENCH.spans() if NEAR.fullmatch(text) and "results." not in text]
    lost = [(line, name) for line, name in named if not any((place / name).exists() for place in places)]
    assert named
    assert lost == []


def test_errors_and_comments_point_to_chapters_that_exist() -> None:
    sources = [ROOT / "stack.yml", *(ROOT / "pipeline").rglob("*.py")]
    pointers = [(path, *found) for path in sources for found in POINTER.findall(path.read_text())]
    assert pointers
    lost = [
        (path.name, page, heading)
        for path, page, heading in pointers
        if heading not in {one.text for one in Page(ROOT / page).headings()}
    ]
    assert lost == []
    assert docs("deploy.md").path in {ROOT / page for _, page, _ in pointers}
