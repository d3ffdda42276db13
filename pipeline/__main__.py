"""Start the function: `python -m pipeline`, behind of-watchdog in mode http."""

import asyncio
import logging
import os
import sys

import uvloop
from aiohttp import web

from pipeline.errors import ConfigurationError
from pipeline.server import SHUTDOWN_TIMEOUT, create_app
from pipeline.settings import read_secrets, read_settings


def main() -> None:
    """Serve until SIGTERM, then finish what is in flight."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = read_settings(os.environ)
        read_secrets(settings.secret_mount_path)
    except ConfigurationError as error:
        sys.exit(str(error))
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(
        create_app(settings),
        host="127.0.0.1",
        port=settings.port,
        loop=loop,
        access_log=None,
        print=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        handler_cancellation=False,
    )


if __name__ == "__main__":
    main()
