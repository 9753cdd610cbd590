"""Remotes of DVC that are real servers on this machine: sshd, and S3 by rclone. Each has keys of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

import pytest

from tests.support.project import BIN, Project

START_SECONDS = 20
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile {folder}/pid
PasswordAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Remote:
    """A remote: its address, what `dvc remote modify` is told of it, and the environment that it needs."""

    name: str
    address: str
    folder: Path  # in which its server keeps the objects
    options: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)  # options for `--local`
    environment: dict[str, str] = field(default_factory=dict)
    caching: int = 0  # the server that remembers what is in its folders until it gets a SIGHUP

    def add_to(self, project: Project) -> None:
        """Make it the default remote of a checkout, as docs/share.md says."""
        project.run("dvc", "remote", "add", "-f", "-d", self.name, self.address)
        for key, value in {"verify": "true", **self.options}.items():
            project.run("dvc", "remote", "modify", self.name, key, value)
        self.unlock(project)

    def unlock(self, project: Project) -> None:
        """Give a checkout the keys, which git does not keep."""
        for key, value in self.secrets.items():
            project.run("dvc", "remote", "modify", "--local", self.name, key, value)

    def object(self, md5: str) -> Path:
        """The file in which the server keeps an object."""
        return self.folder / "files/md5" / md5[:2] / md5[2:]

    def lose(self, md5: str) -> None:
        """Delete an object behind the server's back."""
        self.object(md5).unlink()
        self._forget()

    def tear(self, md5: str) -> None:
        """Change one bit of an object behind the server's back, so that its size stays."""
        path = self.object(md5)
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        path.chmod(0o444)
        self._forget()

    def _forget(self) -> None:
        if self.caching:
            os.kill(self.caching, signal.SIGHUP)
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[int]:
    """Run a server until the block ends; yield its process id when its port is open."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            wait_for(server, port, log)
            yield server.pid
        finally:
            server.terminate()


def wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as opened:
            if opened.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


@contextmanager
def in_folder(folder: Path) -> Iterator[Remote]:
    yield Remote("folder", str(folder / "objects"), folder / "objects")


@contextmanager
def over_ssh(folder: Path) -> Iterator[Remote]:
    """An sshd with a host key and one client's key of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd is installed here (Debian's openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root asks for it
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder))
    with serving([program, "-D", "-e", "-f", str(folder / "sshd_config")], port, folder / "sshd.log"):
        objects = folder / "objects"
        address = f"ssh://{getuser()}@127.0.0.1:{port}{objects}"
        yield Remote("ssh", address, objects, secrets={"keyfile": str(folder / "client_key")})


@contextmanager
def over_s3(folder: Path) -> Iterator[Remote]:
    """A server of S3 that checks keys and keeps the objects of a bucket as files."""
    program = shutil.which("rclone", path=f"{BIN}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no rclone is installed here: `make env`")
    port, keys = free_port(), ("AKIDOFTHETEST", "secret-of-the-test")
    (folder / "served/bucket").mkdir(parents=True)
    command = [program, "serve", "s3", "--config", os.devnull, "--auth-key", ",".join(keys)]
    command += ["--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off", str(folder / "served")]
    with serving(command, port, folder / "rclone.log") as pid:
        environment = {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
        yield Remote(
            "s3",
            "s3://bucket/objects",
            folder / "served/bucket/objects",
            options={"endpointurl": f"http://127.0.0.1:{port}"},
            environment={**environment, "AWS_DEFAULT_REGION": "us-east-1"},
            caching=pid,
        )


KINDS = {"folder": in_folder, "ssh": over_ssh, "s3": over_s3}
