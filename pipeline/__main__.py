"""Start the function: `python -m pipeline`, behind of-watchdog in mode http."""

import asyncio
import logging
import os
import signal
import sys

import uvloop
from aiohttp import web
from prometheus_client import disable_created_metrics

from pipeline import logs
from pipeline.errors import ConfigurationError
from pipeline.server import SHUTDOWN_TIMEOUT, create_app
from pipeline.settings.environment import read_settings
from pipeline.settings.secrets import read_secrets

# Not __name__, which is "__main__" here.
log = logging.getLogger("pipeline")


def main() -> None:
    """Serve until SIGTERM, then finish the requests in flight."""
    try:
        settings = read_settings(os.environ)
        read_secrets(settings.secret_mount_path)
    except ConfigurationError as error:
        sys.exit(str(error))
    logs.configure(settings.log_level)
    # The time at which each series began: a third of all series, and not needed.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    # The watchdog passes SIGTERM on at once, but also new requests until its failing health check is noticed.
    loop.add_signal_handler(signal.SIGTERM, _drain, loop, settings.drain_delay)
    loop.add_signal_handler(signal.SIGINT, _stop)
    web.run_app(
        create_app(settings),
        host="127.0.0.1",
        port=settings.port,
        loop=loop,
        access_log=None,
        print=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        handle_signals=False,
    )


def _drain(loop: asyncio.AbstractEventLoop, delay: float) -> None:
    log.info("asked to stop: requests are taken for a while", extra={"seconds": delay})
    loop.call_later(delay, _stop)


def _stop() -> None:
    raise web.GracefulExit


if __name__ == "__main__":
    main()
