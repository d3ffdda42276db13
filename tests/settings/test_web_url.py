"""URLs that a batch may name: under an allowed prefix, and in one spelling."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from pipeline.errors import BadRequestError
from pipeline.settings.environment import Settings, read_settings
from pipeline.settings.web_url import is_under, origin, web_url
from pipeline.spec.batch_spec import parse_spec

PREFIXES = "https://hooks.example.org/in, http://127.0.0.1:9000"


def allowing(prefixes: str = PREFIXES) -> Settings:
    return read_settings({"s3_bucket": "rows", "allowed_urls": prefixes})


REFUSED = (
    "//hooks.example.org/in",
    "https:/hooks.example.org/in",
    "https:///in",
    "https://",
    "https://:443/in",
    "javascript://hooks.example.org/in",
    "file:///etc/passwd",
    "ftp://hooks.example.org/in",
    "https://user@hooks.example.org/in",
    "https://user:secret@hooks.example.org/in",
    "https://:@hooks.example.org/in",
    "https://hooks.example.org\\@evil.example/in",
    "https://hooks.example.org/in\\..\\out",
    "https://hooks.example.org/in/../out",
    "https://hooks.example.org/in/..",
    "https://hooks.example.org/./in",
    "https://hooks.example.org/in/..;/out",
    "https://hooks.example.org/in/%2e%2e/out",
    "https://hooks.example.org/in/.%2E/out",
    "https://hooks.example.org/in/%252e%252e/out",
    "https://hooks.example.org/in%2fout",
    "https://hooks.example.org/in%5C..%5Cout",
    "https://hooks.example.org/in%00",
    "https://hooks.example.org/in%0a",
    "https://hooks.example.org/in\t",
    "ht\ttps://hooks.example.org/in",
    "https://hooks.example.org/in\r\nX-Evil: 1",
    " https://hooks.example.org/in",
    "https://hooks.example.org/in x",
    "https://hooks.example.org/in\u200b",
    "https://hooks\u200d.example.org/in",
    "https://hooks.example.org/in%",
    "https://hooks.example.org/in%zz",
    "https://hooks.example.org/in\u2028",
    "https://hooks.example.org/in\ud800",
    "https://hooks.example.org/in#there",
    "https://hooks.example.org/in#",
    "https://hooks.example.org:0/in",
    "https://hooks.example.org:65536/in",
    "https://hooks.example.org:port/in",
    "https://hooks%2eexample.org/in",
    "https://hooks.example.org,evil.example/in",
    "https://*.example.org/in",
    "https://-hooks.example.org/in",
    "https://[fe80::1%25eth0]/in",
    "https://[::1/in",
    "https://hooks.example.org/" + "x" * 2048,
)
OUTSIDE = (
    "http://hooks.example.org/in",
    "https://hooks.example.org/",
    "https://hooks.example.org/inside",
    "https://hooks.example.org//in",
    "https://hooks.example.org/IN",
    "https://hooks.example.org:8443/in",
    "https://hooks.example.org./in",
    "https://hooks.example.org.evil.example/in",
    "https://evil.example/in?https://hooks.example.org/in",
    "https://xn--hoks-5qa.example.org/in",
    "http://127.0.0.1/",
    "http://127.0.0.1:90/",
    "http://127.1:9000/",
    "http://2130706433:9000/",
    "http://0x7f.0.0.1:9000/",
    "http://[::ffff:127.0.0.1]:9000/",
    "http://localhost:9000/",
    "http://169.254.169.254/latest/meta-data",
    "http://gateway.openfaas:8080/system/functions",
)
INSIDE = {
    "https://hooks.example.org/in": "https://hooks.example.org/in",
    "https://hooks.example.org/in/": "https://hooks.example.org/in/",
    "https://hooks.example.org/in/a/b?c=../d": "https://hooks.example.org/in/a/b?c=../d",
    "HTTPS://Hooks.Example.ORG:443/in": "https://hooks.example.org/in",
    "https://@hooks.example.org/in": "https://hooks.example.org/in",
    "https://hooks.example.org/%69n": "https://hooks.example.org/in",
    "https://\uff48ooks.example.org/in": "https://hooks.example.org/in",
    "http://127.0.0.1:9000": "http://127.0.0.1:9000",
    "http://127.0.0.1:9000/a..b/...": "http://127.0.0.1:9000/a..b/...",
}


def problems(url: str, given_settings: Settings) -> tuple[str, ...]:
    fields: dict[str, Any] = {"input": "rows.csv", "function": "model", "notify": [url]}
    try:
        parse_spec(fields, given_settings)
    except BadRequestError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("url", REFUSED, ids=range(len(REFUSED)))
def test_ambiguous_url_is_refused(url: str) -> None:
    (problem,) = problems(url, allowing())
    assert problem.startswith("notify.0: ")
    assert "secret" not in problem


@pytest.mark.parametrize("url", OUTSIDE, ids=range(len(OUTSIDE)))
def test_url_outside_the_allowed_prefixes_is_refused(url: str) -> None:
    (problem,) = problems(url, allowing())
    assert problem.endswith("allowed are: https://hooks.example.org/in, http://127.0.0.1:9000") or "host" in problem


@pytest.mark.parametrize("url", INSIDE, ids=range(len(INSIDE)))
def test_url_under_a_prefix_is_normalized(url: str) -> None:
    spec = parse_spec({"input": "rows.csv", "function": "model", "notify": url}, allowing())
    assert spec.notify == (INSIDE[url],)


def test_no_url_is_allowed_by_default() -> None:
    (problem,) = problems("https://hooks.example.org/a-secret", read_settings({"s3_bucket": "rows"}))
    assert problem == (
        "notify.0: this URL of https://hooks.example.org is not allowed; allowed are: none, as long as the setting "
        "allowed_urls has none"
    )


def test_prefix_without_a_path_allows_the_host_and_a_trailing_slash_is_ignored() -> None:
    for prefix in ("https://h.example/a/", "https://h.example/a"):
        allowed = allowing(prefix)
        assert [allowed.allows_url(f"https://h.example{path}") for path in ("/a", "/a/", "/a/b", "/ab", "/")] == [
            *(True, True, True),
            *(False, False),
        ]


def test_host_may_be_internationalized() -> None:
    assert allowing("https://b\u00fccher.example").allows_url(str(web_url("https://B\u00dcCHER.example/x")))
    assert str(web_url("https://b\u00fccher.example/x")) == "https://xn--bcher-kva.example/x"


def test_only_the_origin_of_a_url_is_shown() -> None:
    assert origin(web_url("https://Hooks.example.org:8443/a-secret?and=another")) == "https://hooks.example.org:8443"


PIECES = st.sampled_from(
    [
        "/",
        "..",
        ".",
        "%2e",
        "%2f",
        "%5c",
        "\\",
        ";",
        "?",
        "#",
        "@",
        ":",
        "in",
        "out",
        "%",
        "%25",
        "\t",
        "//",
        "\u3002",
        "a",
    ]
)


@settings(derandomize=True, max_examples=2_000, deadline=None, database=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_any_allowed_url_is_under_the_prefix(rest: str) -> None:
    """Compared with another reader of the URL, which resolves dots and decodes escapes repeatedly."""
    allowed = allowing("https://hooks.example.org/in")
    for text in (f"https://hooks.example.org/in{rest}", f"https://hooks.example.org{rest}", f"https://{rest}/in"):
        if problems(text, allowed):
            continue
        url = web_url(text)
        assert (url.scheme, url.host, url.port, url.user) == ("https", "hooks.example.org", 443, None)
        path = url.raw_path
        for _ in range(3):
            path = URL.build(scheme="https", host="h", path=path).path.replace("\\", "/")
        assert path.split("/")[1] == "in"
        assert is_under(web_url(str(url)), web_url("https://hooks.example.org/in"))
        assert str(web_url(str(url))) == str(url)
