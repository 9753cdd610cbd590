"""A judge on this machine: an OpenAI-compatible server whose verdicts depend on the length of the text.

`python -m tests.support.judge <port> [broken] [mute] [refuses]`: shares of the requests that it answers with an error,
without a verdict, and with a refusal. It does not judge quality: it tests what Evalchemy and we do with verdicts.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


def verdict(messages):
    """The verdict that a benchmark asks for: a rating, an option, a score, or the letter of the better answer."""
    text = "\n".join(message["content"] for message in messages)
    if "[[rating]]" in text:
        return f"It has some length. Rating: [[{1 + len(text) // 97 % 10}]]"
    if "model_identifier" in text:
        return "m"
    if "[[A]]" in text:
        return f"[[{'ABCD'[len(text) % 2]}]]"
    return f"[[{len(text) % 11 / 10}]]"


def share_of(text):
    """A number from 0 to 1 that depends on the text only."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


class Judge(BaseHTTPRequestHandler):
    """Answers chat completions."""

    broken = mute = refuses = 0.0
    num_requests = after = 0  # `after` this many requests some are broken
    models: ClassVar[list[str]] = []  # that were requested

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Judge.num_requests += 1
        self.models.append(json.loads(body)["model"])
        share = share_of(body.decode())
        if Judge.num_requests > self.after and share_of(f"{share}{Judge.num_requests}") < self.broken:
            self.send_error(500)
            return
        if share < self.refuses:
            self.send_error(400)
            return
        content = "I would rather not." if share < self.mute else verdict(json.loads(body)["messages"])
        likely = [{"token": "m", "logprob": -0.5, "bytes": None}, {"token": "M", "logprob": -0.93, "bytes": None}]
        logprobs = {"content": [{**likely[0], "top_logprobs": likely}], "refusal": None}
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
        usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 8, "total_tokens": len(body) // 4 + 8}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "stub", "choices": [choice]}
        data = json.dumps(answer | {"usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def serve(port=0):
    """A server that answers in threads, not yet started."""
    return ThreadingHTTPServer(("127.0.0.1", port), Judge)


if __name__ == "__main__":
    Judge.broken, Judge.mute, Judge.refuses = map(float, [*sys.argv[2:], "0", "0", "0"][:3])
    serve(int(sys.argv[1])).serve_forever()
