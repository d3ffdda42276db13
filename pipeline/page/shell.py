"""The page's shell: one HTML document with its style and scripts inline, and its headers.

The policy allows only these inline blocks, by their digests: no other script, no other host, no frame around the page
(Content Security Policy Level 3, Trusted Types). The document has no data in it, so it is the same for everybody.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template

# In the order of execution: classic scripts, which share one global scope.
SCRIPTS = (
    *("text.js", "dom.js", "api.js", "feed.js", "token.js", "dialogs.js"),
    *("chart.js", "failures.js", "notices.js", "sql.js", "outputs.js", "actions.js", "batch.js", "list.js", "main.js"),
)


@dataclass(frozen=True)
class Shell:
    """The document in UTF-8, and its headers."""

    document: bytes
    headers: Mapping[str, str]


def read_shell() -> Shell:
    """Assemble the document from the files of this folder."""
    folder = files("pipeline.page")
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    page = Template((folder / "index.html").read_text(encoding="utf-8"))
    document = page.substitute(style=style, script=script).encode()
    return Shell(document, _headers(document, style, script))


def _headers(document: bytes, style: str, script: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": _source(script),
        "style-src": _source(style),
        "connect-src": "'self'",
        # The icon; without it a browser would ask the gateway for one.
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(document).hexdigest()[:32]}"',
        # The same address answers with JSON or a stream if the request asks for it.
        "Vary": "Accept, X-Mode",
    }


def _source(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
