"""How a server is asked whether it serves."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from stellar_emulator.promotion import serves


@pytest.fixture
def forgetful() -> Iterator[str]:
    """Address of a server that leaves the first request unanswered, as a busy machine does."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            if len(asked) == 1:
                self.connection.close()
                return
            self.rfile.read(int(self.headers["Content-Length"]))
            content = json.dumps({"predictions": [[1.0]]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_request_without_an_answer_is_asked_again(forgetful: str) -> None:
    assert serves._ask(forgetful, ["teff"], np.array([5000.0])) == (200, {"predictions": [[1.0]]})


def test_a_server_that_never_answers_has_no_status() -> None:
    assert serves._ask("http://127.0.0.1:9", ["teff"], np.array([5000.0])) == (0, None)
