"""A small server with OpenAI's API that fails for real in every way."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeServer(ThreadingHTTPServer):
    """Speaks OpenAI's API: a token is a word, a reply says the last message back. `faults` come before any answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), FakeHandler)
        self.faults: list[Any] = []  # a status, (a status, its headers), "reset", or seconds of silence
        self.refuses_more_than_the_window = True
        self.more: dict[str, Any] = {}  # of the message
        self.finish_reason = ""
        self.says: Callable[[str], str] = "You said: {}".format
        self.key, self.model, self.window = "", "wise", 40
        self.seconds = 0.0
        self.asked: list[dict[str, Any]] = []  # the bodies, the one of the start among them
        self.moments: list[float] = []
        self.running = self.most = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def start(self) -> "FakeServer":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client has gone: nothing to say."""


class FakeHandler(BaseHTTPRequestHandler):
    """One request to it."""

    server: FakeServer

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def give(self, status: int, content: Any, **headers: str) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        kind = "text/html" if isinstance(content, str) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str, **headers: str) -> None:
        self.give(status, {"error": {"message": message, "code": None, "type": "x"}}, **headers)

    def is_let_in(self) -> bool:
        if not self.server.key or self.headers["Authorization"] == f"Bearer {self.server.key}":
            return True
        self.refuse(401, f"Incorrect API key provided: {self.headers['Authorization']}")
        return False

    def do_GET(self) -> None:
        if self.is_let_in():
            self.give(200, {"object": "list", "data": [{"id": self.server.model, "max_model_len": self.server.window}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.moments.append(time.monotonic())
            self.server.running += 1
            self.server.most = max(self.server.most, self.server.running)
            fault = self.server.faults.pop(0) if self.server.faults and len(self.server.asked) > 1 else None
        try:
            self.answer(body, fault)
        finally:
            with self.server.lock:
                self.server.running -= 1

    def answer(self, body: dict[str, Any], fault: Any) -> None:
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(fault, float):
            time.sleep(fault)
        elif fault == "page":
            self.give(200, "<html>Welcome</html>")
        elif fault:
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            self.refuse(status, f"cannot answer {body['messages'][-1]['content']}", **headers)
        elif self.is_let_in():
            time.sleep(self.server.seconds)
            self.complete(body)

    def complete(self, body: dict[str, Any]) -> None:
        if body["model"] != self.server.model:
            return self.refuse(404, "no such model")
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        asked = body.get("max_tokens")
        needed = prompt + (asked or 1) if self.server.refuses_more_than_the_window else prompt + 1
        if needed > self.server.window:
            return self.refuse(400, f"This model's maximum context length is {self.server.window} tokens")
        room = min(asked or self.server.window, self.server.window - prompt)
        words = self.server.says(body["messages"][-1]["content"]).split()
        message = {"role": "assistant", "content": " ".join(words[:room]), **self.server.more}
        finish = self.server.finish_reason or ("stop" if len(words) < room else "length")
        completion = min(len(words) + 1, room)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 2},
        }
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self.give(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "wise", "choices": [choice],
                        "usage": usage})  # fmt: skip
