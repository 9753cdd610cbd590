"""A model hub of one's own on this machine: it says what commit a revision is, and gives files."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.support.project import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@dataclass
class Hub:
    """Repositories (`models/a/b`, `datasets/c/d`) with their files, all at one commit."""

    repositories: dict[str, dict[str, bytes]]
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        """What the hub has under a path."""
        words = path.strip("/").split("/")
        self.asked.append(path)
        if words[0] == "api":
            files = self.repositories.get("/".join(words[1:4]))
            if files is None:
                return None
            if words[4] == "tree":
                return json.dumps([
                    {"type": "file", "path": name, "size": len(content), "oid": sha1(content)}
                    for name, content in files.items()
                ]).encode()
            return json.dumps({"id": "/".join(words[2:4]), "sha": COMMIT}).encode()
        words = words if words[0] == "datasets" else ["models", *words]
        return self.repositories.get("/".join(words[:3]), {}).get("/".join(words[5:]))

    def run(self, root: Path, *words: str, code: int = 0) -> str:
        """Run a command in a folder with this hub; what it says."""
        env = {**os.environ, "HF_ENDPOINT": self.address, "HF_HOME": str(root / "hf"), "PYTHONPATH": str(ROOT)}
        env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@contextmanager
def serve(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = hub.answer(self.path.partition("?")[0])
            self.send_response(404 if found is None else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha1(found or b"")}"')
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        do_HEAD = do_GET

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
