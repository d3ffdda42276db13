"""The shell of the page: one document that a browser may run, and nothing else."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from multidict import CIMultiDict

from pipeline.access import Access
from pipeline.errors import BadRequestError, UnauthorizedError
from pipeline.handler import PAGE, handle, resolve_mode
from pipeline.page.shell import SCRIPTS, read_shell
from pipeline.request import Event

if TYPE_CHECKING:
    from pipeline.context import Context

FOLDER = Path(__file__).parents[2] / "pipeline" / "page"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SHELL = read_shell()
# Each of these turns text into code or markup; the policy blocks some of them too.
MARKUP_SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|srcdoc|DOMParser")


class Blocks(HTMLParser):
    """Collects the scripts, references and attributes of the document."""

    def __init__(self) -> None:
        super().__init__()
        self.text: dict[str, list[str]] = {"style": [], "script": []}
        self.attributes: list[tuple[str, str, str]] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag
        if tag in self.text:
            self.text[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._inside in self.text:
            self.text[self._inside][-1] += data

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""


@pytest.fixture
def blocks() -> Blocks:
    parsed = Blocks()
    parsed.feed(SHELL.document.decode())
    return parsed


def event(method: str = "GET", *, query: Mapping[str, str] | None = None, **headers: str) -> Event:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Event(b"", named, method, query or {}, "/")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_policy_allows_only_the_two_blocks_of_the_document(blocks: Blocks) -> None:
    (style,), (script,) = blocks.text["style"], blocks.text["script"]
    policy = dict(part.split(" ", 1) for part in SHELL.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src": digest(style),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_document_has_no_external_reference_and_no_code_in_attributes(blocks: Blocks) -> None:
    assert [
        one for one in blocks.attributes if one[1] in {"style", "src", "srcset", "action"} or one[1][:2] == "on"
    ] == []
    addresses = {value.partition(":")[0] for _, name, value in blocks.attributes if name in {"href", "xlink:href"}}
    assert addresses == {"#main", "?", "data"}
    assert b"http" not in SHELL.document.replace(b"http://www.w3.org/2000/svg", b"").replace(b'"http:"', b"").replace(
        b'"https:"', b""
    )


def test_every_source_is_in_the_document_and_creates_no_markup() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix not in {".py", ""}} == {
        *SCRIPTS,
        "index.html",
        "style.css",
    }
    for name in SCRIPTS:
        source = (FOLDER / name).read_text()
        assert source in SHELL.document.decode()
        assert MARKUP_SINKS.findall(source) == [], name
        assert len(source.splitlines()) < 250, name


def test_document_may_be_cached_but_is_revalidated() -> None:
    assert {name: SHELL.headers[name] for name in SHELL.headers if name not in {"Content-Security-Policy", "ETag"}} == {
        "Content-Type": "text/html; charset=utf-8",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "Vary": "Accept, X-Mode",
    }


CLOSED = Access((b"a-token-of-the-tests",))


class NoContext:
    """A context of a function without Redis and S3, which must not be used."""

    access = CLOSED


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", [{}, {"batch": "monday"}, {"batch": "../../nonsense"}])
async def test_shell_has_no_data_and_needs_no_token_and_no_service(method: str, query: dict[str, str]) -> None:
    given = event(method, query=query, Accept=BROWSER)
    response = await handle(given, cast("Context", NoContext()))
    assert (response.status, response.body, response.headers) == (200, SHELL.document, SHELL.headers)


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}'])
async def test_unchanged_shell_is_a_304(known: str) -> None:
    given = event(Accept=BROWSER, If_None_Match=known.format(SHELL.headers["ETag"]))
    response = await handle(given, cast("Context", NoContext()))
    assert (response.status, response.body) == (304, b"")
    other = event(Accept=BROWSER, If_None_Match='"another"')
    assert (await handle(other, cast("Context", NoContext()))).status == 200


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        (event(Accept=BROWSER), PAGE),
        (event(Accept="TEXT/HTML"), PAGE),
        (event(Accept="*/*"), "status"),
        (event(Accept="application/json"), "status"),
        (event(Accept="text/event-stream"), "status"),
        (event(Accept="text/event-stream, text/html"), "status"),
        (event(Accept=BROWSER, X_Mode="status"), "status"),
        (event("POST", Accept=BROWSER, X_Mode="cancel"), "cancel"),
        (event("POST", Accept=BROWSER, X_Connector="cron-connector"), "sweep"),
    ],
)
def test_page_is_served_to_a_browser(given: Event, mode: str) -> None:
    assert resolve_mode(given) == mode


@pytest.mark.parametrize("given", [event(X_Mode=PAGE), event("POST", Accept=BROWSER), event("PUT", Accept=BROWSER)])
def test_no_mode_and_no_other_method_serves_the_page(given: Event) -> None:
    with pytest.raises(BadRequestError):
        resolve_mode(given)


async def test_data_of_the_page_needs_the_token() -> None:
    with pytest.raises(UnauthorizedError):
        await handle(event(X_Mode="status", Accept="application/json"), cast("Context", NoContext()))
