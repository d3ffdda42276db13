"""The client of a peer, kept warm: `POST /` with `{"batch", "input", "chunk"}` runs one batch.

Serves on 127.0.0.1:$PORT; `input` is the key of a CSV, `chunk` the items a task.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from waitress import serve

from bench.compare.baselines.calls import read_items

if TYPE_CHECKING:
    from collections.abc import Callable

    # Takes the batch's id, its items and the chunk.
    Run = Callable[[str, list[str], int], None]


def drive(run: Run) -> None:
    """Serve `run`; its exceptions are a 500."""
    app = Flask(__name__)

    def start() -> Response:
        asked = request.get_json()
        run(asked["batch"], read_items(asked["input"]), asked["chunk"])
        return Response("OK")

    app.add_url_rule("/", view_func=start, methods=["POST"])
    app.add_url_rule("/_/health", view_func=lambda: Response("OK"), endpoint="health")
    serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), threads=4)
