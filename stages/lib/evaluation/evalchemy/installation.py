"""Where Evalchemy is installed, which models it can run, and which judge it asks."""

import io
import os
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stages.lib.console.errors import DOCTOR
from stages.lib.core.process import find_installation
from stages.lib.models.api_keys import NO_KEY, key_for
from stages.lib.models.catalogue import Model

COMMIT = "6ed674159b37f740f2353a86f596f49f6ac13c19"  # of github.com/mlfoundations/evalchemy; `make evalchemy` reads it
OPENAI = "https://api.openai.com/v1"
PROBE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class JudgeServer:
    """The server that judges. Its key is never shown."""

    model: str
    address: str
    key: str = field(repr=False)

    @property
    def host(self) -> str:
        """The server's host and port, without what may be secret in its address."""
        parts = urlsplit(self.address)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def hide_key(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self.key, "[key]") if len(self.key) > len(NO_KEY) else text


@dataclass(frozen=True, slots=True)
class Installation:
    """A clone of Evalchemy, the interpreter of its environment, and the judge that it asks."""

    home: Path
    python: Path
    judge: JudgeServer


def find_evalchemy(model: Model, judge: JudgeServer | None) -> Installation | str:
    """Return what a run needs, or one line that says why this model cannot be evaluated here and what to do."""
    if model.kind in {"import", "server"}:
        return f"{model.id} has no weights here"
    if model.quantization != "none":
        return f"{model.id} is quantized ({model.quantization}), which Evalchemy's transformers cannot run"
    if model.trust_remote_code:
        return f"{model.id} runs code of its own (trust_remote_code), which is not passed on to Evalchemy"
    home = find_installation("EVALCHEMY_HOME", ".evalchemy", ".git")
    environment = find_installation("REWILD_EVALCHEMY_ENV", ".venv-evalchemy", "bin/python")
    if home is None or environment is None:
        missing = "clone" if home is None else "environment"
        return f"the {missing} of Evalchemy is missing: run `make evalchemy`; {DOCTOR}"
    if git(home, "cat-file", "-e", f"{COMMIT}^{{commit}}").returncode:
        return f"the clone of Evalchemy has no commit {COMMIT[:12]}: run `make evalchemy`; {DOCTOR}"
    if judge is None:
        return "there is no judge: set OPENAI_API_KEY, or OPENAI_BASE_URL to a server of your own"
    return Installation(home, environment / "bin/python", judge)


def git(home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a clone."""
    command = ["git", "-C", str(home), *arguments]
    return subprocess.run(command, capture_output=True, check=False)


def copy_clone(home: Path, commit: str, paths: Iterable[str], target: Path) -> None:
    """Copy paths of a clone at a commit into a folder.

    Other files of the clone are neither read nor written. Raises ValueError when git cannot read the clone.
    """
    archive = git(home, "archive", "--format=zip", commit, *paths)
    if archive.returncode:
        errors = archive.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"git could not read the clone of Evalchemy: {errors[-1] if errors else archive.returncode}")
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
        files.extractall(target)  # a name that leads out of the folder is written inside it


def find_judge(name: str, judge: Model | None) -> JudgeServer | None:
    """Return the judge: a model behind a server, else `name` at $OPENAI_BASE_URL, else at OpenAI's if there is a key.

    OpenAI's key is sent to OpenAI's address only; another server's is $REWILD_API_KEY.
    """
    if judge is not None:
        return JudgeServer(judge.served_name, judge.location, key_for(judge.location))
    address = os.environ.get("OPENAI_BASE_URL", "")
    if not address and key_for(OPENAI) == NO_KEY:
        return None
    return JudgeServer(name, address or OPENAI, key_for(address or OPENAI))


def check_judge(judge: JudgeServer) -> None:
    """Raise ValueError unless the judge answers one small request: Evalchemy would ask a dead one for hours."""
    import openai

    client = openai.OpenAI(base_url=judge.address, api_key=judge.key, max_retries=1, timeout=PROBE_SECONDS)
    try:
        client.chat.completions.create(
            model=judge.model, messages=[{"role": "user", "content": "Say: [[5]]"}], max_tokens=8, temperature=0
        )
    except openai.OpenAIError as error:
        code = f" {error.status_code}" if isinstance(error, openai.APIStatusError) else ""
        why = f"{type(error).__name__}{code}"  # not its message, which may repeat a part of the key
        raise ValueError(f"the judge {judge.model} at {judge.host} does not answer ({why}): is it running?") from None
