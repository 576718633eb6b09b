"""An engine's API for tests: recorded answers, served at a Unix socket by this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
Answers = Mapping[str, Any]
"""Documents by path and query."""


def recorded(name: str, pids: Mapping[str, int] | None = None) -> dict[str, Any]:
    """A recording's answers.

    Args:
        pids: processes to put in the place of the recorded ones, by container.
    """
    answers: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    for path, document in answers.items():
        if path.startswith("/containers/") and path != "/containers/json?all=1":
            pid = (pids or {}).get(document["Name"][1:])
            document["State"]["Pid"] = document["State"]["Pid"] if pid is None else pid
    return answers


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # http.server's name
        document = self.server.answers.get(self.path)  # type: ignore[attr-defined]
        body = json.dumps(document or {"message": "page not found"}).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(path: Path, answers: Answers) -> Iterator[None]:
    """Serve answers at a socket for the length of a with block."""
    with ThreadingUnixStreamServer(str(path), _Answer) as server:
        server.answers = answers  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
