"""A small server with OpenAI's API that fails for real in every way, and an engine that is connected to it."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stages.lib.engines.openai import OpenAIEngine
from stages.lib.engines.request import RequestConfig
from stages.lib.generation.conversations import Conversation, run_conversations
from stages.lib.models.catalogue import Model
from stages.lib.models.sampling import Sampling
from stages.lib.settings.runtime import Runtime, ServerLimits

SERVER_CONFIG = RequestConfig(sampling=Sampling(temperature=0.5), max_tokens=10, window=40, seed=1)
LIMITS = ServerLimits(retry_seconds=20, timeout_seconds=20)
SECRET = "-".join(["planted", "key", "0815"])  # in parts, for this file is in clones that are searched for it


class FakeServer(ThreadingHTTPServer):
    """Has OpenAI's API: a token is a word, a reply repeats the last message. `faults` come before any answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), FakeHandler)
        self.faults: list[Any] = []  # a status, (a status, its headers), "reset", "page" or seconds of silence
        self.refuses_more_than_the_window = True
        self.has_system_role = True
        self.message_fields: dict[str, Any] = {}  # besides role and content
        self.finish_reason = self.owner = ""
        self.reply_to: Callable[[str], str] = "You said: {}".format
        self.key, self.model, self.window = "", "wise", 40
        self.seconds_per_reply = 0.0
        self.requests: list[dict[str, Any]] = []  # the bodies, that of the engine's first check among them
        self.times: list[float] = []  # of the requests
        self.headers: list[dict[str, str]] = []  # of the requests, their names in lower case
        self.running = self.most_running = 0
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
        """Print nothing: the client has gone."""


class FakeHandler(BaseHTTPRequestHandler):
    """Answers one request to it."""

    server: FakeServer

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def send(self, status: int, content: Any, **headers: str) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        kind = "text/html" if isinstance(content, str) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str, **headers: str) -> None:
        self.send(status, {"error": {"message": message, "code": None, "type": "x"}}, **headers)

    def is_authorized(self) -> bool:
        if not self.server.key or self.headers["Authorization"] == f"Bearer {self.server.key}":
            return True
        self.refuse(401, f"Incorrect API key provided: {self.headers['Authorization']}")
        return False

    def do_GET(self) -> None:
        if self.is_authorized():
            about = {"id": self.server.model, "max_model_len": self.server.window, "owned_by": self.server.owner}
            self.send(200, {"object": "list", "data": [about]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.times.append(time.monotonic())
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.server.running += 1
            self.server.most_running = max(self.server.most_running, self.server.running)
            fault = self.server.faults.pop(0) if self.server.faults and len(self.server.requests) > 1 else None
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
            self.send(200, "<html>Welcome</html>")
        elif fault:
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            self.refuse(status, f"cannot answer {body['messages'][-1]['content']}", **headers)
        elif self.is_authorized():
            time.sleep(self.server.seconds_per_reply)
            self.complete(body)

    def complete(self, body: dict[str, Any]) -> None:
        if body["model"] != self.server.model:
            return self.refuse(404, "no such model")
        if body["messages"][0]["role"] == "system" and not self.server.has_system_role:
            return self.refuse(400, "System role not supported")
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        max_tokens = body.get("max_tokens")
        needed = prompt + (max_tokens or 1) if self.server.refuses_more_than_the_window else prompt + 1
        if needed > self.server.window:
            return self.refuse(400, f"This model's maximum context length is {self.server.window} tokens")
        room = min(max_tokens or self.server.window, self.server.window - prompt)
        words = self.server.reply_to(body["messages"][-1]["content"]).split()
        message = {"role": "assistant", "content": " ".join(words[:room]), **self.server.message_fields}
        finish = self.server.finish_reason or ("stop" if len(words) < room else "length")
        completion = min(len(words) + 1, room)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 2},
        }
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self.send(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "wise", "choices": [choice],
                        "usage": usage})  # fmt: skip


def model_at(address: str, name: str = "wise") -> Model:
    """A model on a server, of which the catalogue says a window of 40 tokens."""
    return Model(
        id="m", name="M", location=address, kind="server", commit="c", parameters_billions=1.0, context_window=40,
        served_name=name,
    )  # fmt: skip


def connect(
    server: FakeServer, config: RequestConfig = SERVER_CONFIG, max_concurrent: int = 8, **limits: Any
) -> "closing[OpenAIEngine]":
    """An engine that is connected to a server."""
    runtime = Runtime(max_concurrent=max_concurrent, server=LIMITS.model_copy(update=limits))
    return closing(OpenAIEngine(model_at(server.address), config, runtime))


def talk(server: FakeServer, *users: str, config: RequestConfig = SERVER_CONFIG, **limits: Any) -> Conversation:
    """A finished conversation of these user messages with a server."""
    with connect(server, config, **limits) as engine:
        return next(run_conversations(engine, [Conversation("h", list(users))], config, 8))


def many(number: int, *users: str) -> list[Conversation]:
    """Conversations 0, 1, ... of these user messages, or of one."""
    return [Conversation(str(name), list(users or ("Hi?",))) for name in range(number)]


def answer(engine: OpenAIEngine, conversations: list[Conversation], max_concurrent: int = 8) -> Iterator[Conversation]:
    """The conversations in the order in which the engine finishes them."""
    return run_conversations(engine, conversations, SERVER_CONFIG, max_concurrent)
