"""What each environment must hold, where it is built, and whether the one that is there is whole.

`.venv` is a link to a folder whose name holds the digest of its locks. So two branches with different locks keep one
each, worktrees with equal locks share one, and a new one takes the place of another only when it is whole. A `.venv`
that is a folder of its own, made in another way, is taken as it is while it has the locks' content.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from requirements.failure import Failure

LOCKS = Path("requirements")
TORCH = "torch-cuda.txt"  # pins torch for the environments of a CPU, whose locks leave it out
NAMES = {".venv": "main", ".venv-train": "train", ".venv-evalchemy": "evalchemy"}
DEVICES = ("cpu", "gpu")
WHOLE = "lock"  # the copy of the lock, made last
SHARED = "REWILD_ENVS"
# GB on disk: those for a CPU measured, those for GPUs with what torch's CUDA libraries (4.1) and kernels add.
SIZES = {
    ("main", "cpu"): 3.6,
    ("train", "cpu"): 2.1,
    ("evalchemy", "cpu"): 2.0,
    ("main", "gpu"): 9.0,
    ("train", "gpu"): 7.0,
    ("evalchemy", "gpu"): 6.0,
}


@dataclass(frozen=True)
class Environment:
    """An environment of a checkout: its link, such as `.venv`, and the device that it is for."""

    link: Path
    device: str

    @property
    def name(self) -> str:
        """What it is: main, train or evalchemy."""
        return NAMES[self.link.name]

    @property
    def lock(self) -> Path:
        """The lock that it is built from."""
        if self.name == "evalchemy":
            return LOCKS / ("evalchemy-gpu.txt" if self.device == "gpu" else "evalchemy.txt")
        return LOCKS / f"{self.name}-{self.device}.txt"

    @property
    def copies(self) -> dict[str, Path]:
        """The locks that it holds copies of, by the copy's name in it."""
        return {WHOLE: self.lock, **({"math/lock": LOCKS / "math.txt"} if self.name == "main" else {})}

    @property
    def size(self) -> float:
        """About how many GB it takes on disk."""
        return SIZES[self.name, self.device]

    @property
    def key(self) -> str:
        """What its names in folders of environments begin with: equal locks have equal keys."""
        content = b"\0".join(path.read_bytes() for path in (*self.copies.values(), LOCKS / TORCH))
        return f"{self.name}-{self.device}-{short_digest(content)}"

    def find(self, folder: Path) -> Path | None:
        """Return a whole one in a folder of environments, or None."""
        return next((path for path in sorted(folder.glob(f"{self.key}-*")) if not self.fault(path)), None)

    def place(self, folder: Path, python: str) -> Path:
        """Return where it is built with a Python in a folder of environments.

        Other machines may see the folder at another path, or lack the Python: what they built is never in the way.
        """
        return folder / f"{self.key}-{short_digest(f'{folder} {python}'.encode())}"

    def fault(self, folder: Path | None = None) -> str:
        """Say why a folder, by default what the link leads to, is not this environment; empty when it is."""
        folder = folder or self.link
        if not folder.exists():
            return f"leads to {os.readlink(folder)}, which is not there" if folder.is_symlink() else "is not there"
        for copy, lock in self.copies.items():
            if not (folder / copy).exists():
                return "is half built"
            if (folder / copy).read_bytes() != lock.read_bytes():
                return f"was built from another {lock}"
        return broken_python(folder) or self._wrong_torch(folder)

    def _wrong_torch(self, folder: Path) -> str:
        pinned = pinned_torch()
        found = installed_torch(folder)
        return "" if found.partition("+")[0] == pinned else f"has torch {found or '(none)'} instead of {pinned}"


def short_digest(content: bytes) -> str:
    """Return the first digits of a sha256, in hex."""
    return hashlib.sha256(content).hexdigest()[:8]


def pinned_torch() -> str:
    """Return the version of torch that all environments pin."""
    lines = (LOCKS / TORCH).read_text(encoding="utf-8").splitlines()
    return next(line[len("torch==") :] for line in lines if line.startswith("torch=="))


def installed_torch(folder: Path) -> str:
    """Return the version of torch in an environment, as 2.13.0+cpu; empty: none."""
    found = sorted(folder.glob("lib/python3*/site-packages/torch-*.dist-info"))
    return found[0].name[len("torch-") : -len(".dist-info")] if found else ""


def broken_python(folder: Path) -> str:
    """Say why an environment's programs cannot start; empty when they can."""
    python = folder / "bin/python"
    if not python.exists():
        return f"has lost its Python ({os.path.realpath(python)})"
    pip = folder / "bin/pip"
    first = pip.read_bytes().partition(b"\n")[0].decode(errors="replace") if pip.exists() else ""
    if first.startswith("#!/") and not Path(first[2:].strip()).exists():
        return f"was moved: its programs start {first[2:].strip()}"
    return ""


def device_of(link: Path) -> str:
    """Return the device that an environment is for, by its lock; empty where there is none. CPU locks have no torch."""
    lock = link / WHOLE
    if not lock.exists():
        return ""
    return "gpu" if re.search(r"^torch==", lock.read_text(encoding="utf-8"), re.MULTILINE) else "cpu"


def choose(link: str, device: str) -> Environment:
    """Return the environment of a link; without a device, for that of the one that is there, of `.venv`, or the CPU."""
    path = Path(link)
    return Environment(path, device or device_of(path) or device_of(path.with_name(".venv")) or DEVICES[0])


def shared_folder() -> Path:
    """Return the folder of environments: $REWILD_ENVS, else `.venvs` of the main worktree, or of this checkout."""
    if given := os.environ.get(SHARED):
        return Path(given).expanduser().absolute()
    own = Path(".venvs").absolute()
    command = ["git", "rev-parse", "--show-toplevel", "--git-common-dir"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return own
    top, common = (Path(line).absolute() for line in ended.stdout.splitlines())
    main = common.parent
    if top != Path.cwd() or common.name != ".git" or not os.access(main, os.W_OK):
        return own
    return main / ".venvs"


def check_space(environment: Environment, folder: Path) -> None:
    """Raise Failure when the disk of a folder is too small for an environment."""
    free = shutil.disk_usage(existing(folder)).free / 1e9
    if free < environment.size:
        raise Failure(
            f"{environment.link} takes about {environment.size:.1f} GB, and the disk of {folder} has {free:.1f} GB "
            f"free: free some, or name a folder on another disk: {SHARED}=<folder>"
        )


def existing(path: Path) -> Path:
    """Return the nearest folder of a path that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def point(link: Path, folder: Path) -> None:
    """Let a link lead to a folder, at once; a folder of its own in its place is removed after that."""
    checkout = Path.cwd().resolve()
    target = folder.resolve()
    inside = checkout in target.parents
    private = Path(mkdtemp(prefix=f"{link.name}.", dir=link.parent))
    draft = private / "new"
    draft.symlink_to(target.relative_to(checkout) if inside else target)
    if link.is_dir() and not link.is_symlink():
        link.rename(private / "old")
    os.replace(draft, link)
    shutil.rmtree(private, ignore_errors=True)


def build_lock(folder: Path, key: str) -> Path:
    """Return the file that is locked while an environment of a key is built in a folder."""
    return folder / f".{key}.lock"


def unused(folder: Path) -> Iterator[Path]:
    """Yield the environments of a folder that no worktree of this repository links to."""
    command = ["git", "worktree", "list", "--porcelain"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    trees = [Path(line[len("worktree ") :]) for line in listed if line.startswith("worktree ")] or [Path.cwd()]
    used = {(tree / link).resolve() for tree in trees for link in NAMES}
    yield from (path for path in sorted(folder.glob("*-*")) if path.is_dir() and path.resolve() not in used)
