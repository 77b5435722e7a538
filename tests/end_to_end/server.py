"""A local server that speaks OpenAI's chat completions, and remembers what it was asked."""

import json
import re
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.end_to_end.worlds import TASTES, menu_line


class Served:
    """`requests` holds the bodies, `keys` the Authorization headers, in order of arrival."""

    def __init__(self, answer: Callable[[str], str | int], delay: float, error: str):
        self.answer, self.delay, self.error = answer, delay, error
        self.requests: list[dict] = []
        self.keys: list[str] = []
        self.done: list[dict] = []
        self.url = ""
        self.cached = 0  # prompt LM tokens of each answer but the first that are said to come from a cache

    def texts(self) -> list[str]:
        return [text_of(body) for body in self.requests]


def text_of(body: dict) -> str:
    return "\n".join(str(m["content"]) for m in body["messages"])


def sensible(text: str) -> str:
    """A sound answer that depends on nothing but the question."""
    asked = text.rsplit("[[ ## ", 20)
    pick = [TASTES[hash_of(text) % 6], TASTES[(hash_of(text) + 1 + hash_of(text) % 4) % 6]]
    if "menu line" in text:
        found = re.findall(r"\[\[ ## ingredients ## \]\]\n(\[.*?\])\n", text, re.S)
        return json.dumps({"line": menu_line(json.loads(found[-1]))}) if found else json.dumps({"line": asked[-1][:40]})
    return json.dumps({"likes" if "diner likes" in text else "taste": pick})


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


@contextmanager
def serving(answer: Callable[[str], str | int] = sensible, delay: float = 0.0, error: str = "scripted fault"):
    """Serve on 127.0.0.1; `answer(prompt)` is the message, or an HTTP error's number with `error` as its text."""
    served = Served(answer, delay, error)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append(body)
            served.keys.append(self.headers.get("Authorization", ""))
            time.sleep(served.delay)
            said = served.answer(text_of(body))
            if isinstance(said, int):
                return self._send(said, {"error": {"message": served.error, "type": "server_error"}})
            served.done.append(body)
            cached = {"prompt_tokens_details": {"cached_tokens": served.cached}} if len(served.done) > 1 else {}
            self._send(200, {
                "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, **cached},
            })  # fmt: skip

        def _send(self, status: int, document: dict) -> None:
            data = json.dumps(document).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # the client was killed meanwhile: that is what some tests do

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
