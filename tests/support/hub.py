"""A model hub on this machine: it resolves revisions to commits, and serves files."""

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
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        """The content that the hub has under a path."""
        parts = path.strip("/").split("/")
        self.requests.append(path)
        if parts[0] == "api":
            files = self.repositories.get("/".join(parts[1:4]))
            if files is None:
                return None
            if parts[4] == "tree":
                return json.dumps([
                    {"type": "file", "path": name, "size": len(content), "oid": sha1(content)}
                    for name, content in files.items()
                ]).encode()
            listed = [{"rfilename": name} for name in files]
            return json.dumps({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": listed}).encode()
        parts = parts if parts[0] == "datasets" else ["models", *parts]
        return self.repositories.get("/".join(parts[:3]), {}).get("/".join(parts[5:]))

    def run(self, root: Path, *arguments: str, code: int = 0) -> str:
        """Run a module in a folder with this hub; return its output."""
        env = {**os.environ, "HF_ENDPOINT": self.address, "HF_HOME": str(root / "hf"), "PYTHONPATH": str(ROOT)}
        env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@contextmanager
def serve(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = hub.answer(self.path.partition("?")[0])
            self.send_response(404 if content is None else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha1(content or b"")}"')
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
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
