"""A real HTTP server on loopback that says what a test tells it, and keeps what it saw."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]


def good(rows: int, *, scores: bool = False) -> bytes:
    outputs: list[dict[str, object]] = [{"name": "label", "datatype": "INT64", "shape": [rows], "data": [1] * rows}]
    if scores:
        outputs.append({"name": "scores", "datatype": "FP64", "shape": [rows, 2], "data": [0.25, 0.75] * rows})
    return json.dumps({"outputs": outputs}).encode()


class Web:
    """What a server saw, and what it says. ``drip``: seconds between two bytes of an answer."""

    def __init__(self) -> None:
        self.url = ""
        self.renewed()

    def renewed(self) -> Web:
        self.seen: list[tuple[str, dict[str, str], dict]] = []
        self.say: Callable[[str, dict], Reply] = lambda path, body: (200, {}, good(body["inputs"][0]["shape"][0]))
        self.close_after = False
        self.drip = 0.0
        return self

    @property
    def rows(self) -> int:
        return sum(body["inputs"][0]["shape"][0] for _, _, body in self.seen if body)


@contextmanager
def small_server() -> Iterator[Web]:
    web = Web()
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = json.loads(body) if body.startswith(b"{") else {}
            web.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, asked))
            status, headers, content = web.say(self.path, asked)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if "content-length" not in headers:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.write(content)
            self.close_connection = web.close_after

        do_GET = do_DELETE = do_POST

        def write(self, content: bytes) -> None:
            if not web.drip:
                self.wfile.write(content)
                return
            for byte in content:
                if stopped.wait(web.drip):
                    return
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{httpd.server_port}"
    yield web
    stopped.set()
    httpd.shutdown()
    httpd.server_close()
