import os
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from requirements.install_torch import REGISTRY, Place, describe_shortage

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "requirements/install_torch.py"
LOCKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.txt")}


def write_wheel(folder, name, version, tag="py3-none-any"):
    """A wheel with one module, which pip and uv install like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Refusing(Quiet):
    def do_GET(self):
        self.send_error(403)


@pytest.fixture
def serve():
    """Start HTTP servers on this machine; each call returns an address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve_index(tmp_path, serve):
    """Start a package index that holds one wheel per (name, version)."""

    def start(*wheels):
        folder = tmp_path / f"index-{len(list(tmp_path.glob('index-*')))}"
        folder.mkdir()
        for name, version in wheels:
            write_wheel(folder / name.replace("_", "-"), name, version)
        return serve(partial(Quiet, directory=str(folder)))

    return start


@pytest.fixture
def silent():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed():
    """An address at which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class Environment:
    """A new environment that holds uv, and a package registry of our own in the place of the real one."""

    def __init__(self, folder, registry):
        self.folder, self.lock = folder / "env", folder / "torch-cuda.txt"
        self.lock.write_text("nvidia-cublas==13.1.1.3\ntorch==2.13.0\n", encoding="utf-8")
        venv.create(self.folder, symlinks=True)
        (self.folder / "bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
        self.variables = inherited | {"UV_CACHE_DIR": str(folder / "cache"), "UV_DEFAULT_INDEX": registry}

    def install(self, *find_links, index="", timeout=5):
        """Run the program; return its exit code, its lines, and its last error line."""
        links = [word for place in find_links for word in ("--find-links", str(place))]
        command = [self.folder / "bin/python", PROGRAM, self.lock, *links, "--index", index, "--timeout", str(timeout)]
        ended = subprocess.run(
            command, env=self.variables, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        return ended.returncode, ended.stdout.splitlines(), ended.stderr.splitlines()[-1:]

    @property
    def installed(self):
        return sorted(path.stem for path in self.folder.glob("lib/*/site-packages/*.dist-info"))


@pytest.fixture
def environment(tmp_path, serve_index):
    return Environment(tmp_path, serve_index(("torch", "2.13.0"), ("nvidia_cublas", "13.1.1.3")))


def cuda_line(*asked):
    places = f" ({', '.join(map(str, asked))})" if asked else ""
    return (
        "torch 2.13.0 with its CUDA libraries (2.5 GB to download, 4.1 GB on disk) from the package registry: "
        f"no CPU build could be reached{places}"
    )


FROM_REGISTRY = ["nvidia_cublas-13.1.1.3", "torch-2.13.0"]


def test_find_links_that_hold_the_wheel_come_before_the_index(environment, serve_index, tmp_path):
    write_wheel(tmp_path / "wheels", "torch", "2.13.0+cpu")
    index = serve_index(("torch", "2.13.0+cpu"))
    assert environment.install(tmp_path / "wheels", index=index) == (
        0, [f"torch 2.13.0+cpu from {tmp_path / 'wheels'}"], []
    )  # fmt: skip
    assert environment.installed == ["torch-2.13.0+cpu"]


def test_the_second_of_two_find_links_is_taken_where_the_first_is_not_there(environment, tmp_path):
    write_wheel(tmp_path / "wheels", "torch", "2.13.0+cpu")
    _, lines, _ = environment.install(tmp_path / "absent", tmp_path / "wheels")
    assert lines == [f"torch 2.13.0+cpu from {tmp_path / 'wheels'}"]


def test_find_links_may_be_a_page(environment, serve, tmp_path):
    write_wheel(tmp_path / "wheels", "torch", "2.13.0+cpu")
    page = serve(partial(Quiet, directory=str(tmp_path / "wheels")))
    assert environment.install(page) == (0, [f"torch 2.13.0+cpu from {page}"], [])
    assert environment.installed == ["torch-2.13.0+cpu"]


@pytest.mark.parametrize(
    ("version", "tag"),
    [("2.12.0+cpu", "py3-none-any"), ("2.13.0+cu130", "py3-none-any"), ("2.13.0+cpu", "cp310-cp310-linux_x86_64")],
)
def test_find_links_that_hold_only_other_wheels_leave_it_to_the_index(environment, serve_index, tmp_path, version, tag):
    write_wheel(tmp_path / "wheels", "torch", version, tag)
    index = serve_index(("torch", "2.13.0+cpu"))
    assert environment.install(tmp_path / "wheels", index=index) == (0, [f"torch 2.13.0+cpu from {index}"], [])
    assert environment.installed == ["torch-2.13.0+cpu"]


def test_without_find_links_the_index_is_taken(environment, serve_index):
    index = serve_index(("torch", "2.13.0+cpu"))
    assert environment.install(index=index) == (0, [f"torch 2.13.0+cpu from {index}"], [])
    assert environment.installed == ["torch-2.13.0+cpu"]


def test_an_index_that_uv_is_set_to_ask_first_does_not_hide_the_cpu_build(environment, serve_index, closed):
    environment.variables |= {"UV_INDEX": environment.variables["UV_DEFAULT_INDEX"], "UV_FIND_LINKS": closed}
    index = serve_index(("torch", "2.13.0+cpu"))
    assert environment.install(index=index) == (0, [f"torch 2.13.0+cpu from {index}"], [])
    assert environment.installed == ["torch-2.13.0+cpu"]


def test_where_a_cpu_build_is_found_the_registry_is_not_asked(environment, serve_index, silent, tmp_path):
    environment.variables["UV_DEFAULT_INDEX"] = silent
    (tmp_path / "empty").mkdir()
    index = serve_index(("torch", "2.13.0+cpu"))
    began = time.monotonic()
    assert environment.install(tmp_path / "empty", index=index, timeout=30) == (
        0, [f"torch 2.13.0+cpu from {index}"], []
    )  # fmt: skip
    assert time.monotonic() - began < 10


def test_an_index_that_never_answers_counts_as_absent_after_the_timeout(environment, silent):
    began = time.monotonic()
    assert environment.install(index=silent, timeout=1) == (0, [cuda_line(silent)], [])
    assert 1 < time.monotonic() - began < 10
    assert environment.installed == FROM_REGISTRY


def test_a_page_of_wheels_that_never_answers_counts_as_absent_after_the_timeout(environment, serve_index, silent):
    index = serve_index(("torch", "2.13.0+cpu"))
    began = time.monotonic()
    assert environment.install(silent, index=index, timeout=1) == (0, [f"torch 2.13.0+cpu from {index}"], [])
    assert 1 < time.monotonic() - began < 10


def test_where_nothing_listens_the_registry_is_taken(environment, closed, tmp_path):
    (tmp_path / "empty").mkdir()
    absent = cuda_line(tmp_path / "empty", closed)
    assert environment.install(tmp_path / "empty", index=closed) == (0, [absent], [])
    assert environment.installed == FROM_REGISTRY


def test_an_index_that_refuses_or_lacks_the_wheel_counts_as_absent(environment, serve, serve_index):
    for index in (serve(Refusing), serve_index(("torch", "2.12.0+cpu")), serve_index()):
        assert environment.install(index=index) == (0, [cuda_line(index)], [])
    assert environment.installed == FROM_REGISTRY


def test_without_any_place_the_registry_is_taken(environment):
    assert environment.install() == (0, [cuda_line()], [])


def test_where_the_registry_fails_too_one_line_says_what_to_do(environment, closed):
    environment.variables |= {"UV_DEFAULT_INDEX": closed, "UV_HTTP_RETRIES": "0"}
    assert environment.install(index=closed) == (2, [cuda_line(closed)], [
        "make: could not install torch from the package registry: run it again, or name a folder with the wheel "
        "(UV_FIND_LINKS=<folder>) or an index (make env TORCH_INDEX=<address>)"
    ])  # fmt: skip
    assert environment.installed == []


def test_a_disk_too_small_for_the_cuda_libraries_is_named_before_the_download():
    registry, other = Place(REGISTRY, ()), Place("/wheels", ())
    assert describe_shortage(registry, 5e9) == "" == describe_shortage(other, 1e9)
    assert describe_shortage(registry, 2e9) == (
        "torch takes 4.1 GB with its CUDA libraries, and the disk has 2.0 GB free"
    )


def test_a_password_in_an_address_is_not_shown(environment, serve_index):
    index = serve_index(("torch", "2.13.0+cpu"))
    _, lines, _ = environment.install(index=index.replace("//", "//me:secret@"))
    assert lines == [f"torch 2.13.0+cpu from {index}"]


# The locks.


def pins(lock):
    return dict(line.split("==") for line in LOCKS[lock].splitlines())


@pytest.mark.parametrize("lock", ["main-cpu", "train-cpu", "evalchemy"])
def test_a_cpu_lock_pins_what_torch_needs_but_neither_torch_nor_its_cuda_libraries(lock):
    assert not pins(lock).keys() & pins("torch-cuda").keys()
    assert {"filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions"} <= pins(lock).keys()


@pytest.mark.parametrize("lock", ["main-gpu", "train-gpu", "evalchemy-gpu"])
def test_torch_has_one_version_in_all_environments(lock):
    assert pins(lock)["torch"] == pins("torch-cuda")["torch"]
