"""Servers of the tests: on a free port of this machine, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from algorithms.services.server import App, address_of, configuration, listen


@contextmanager
def serving(app: App) -> Iterator[str]:
    """The URL of a server, run as the jobs run it, that ends with the block."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(configuration(lambda: app))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started, "the server did not start; its traceback is above"
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join()
