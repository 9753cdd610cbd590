"""Where Evalchemy is, what it can run, and who judges."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stages.lib.core.process import main_checkout
from stages.lib.models.api_keys import NO_KEY, key_for
from stages.lib.models.catalogue import Model

COMMIT = "6ed674159b37f740f2353a86f596f49f6ac13c19"  # of github.com/mlfoundations/evalchemy; `make evalchemy` reads it
OPENAI = "https://api.openai.com/v1"
PROBE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Judge:
    """The server that judges. Its key is never shown."""

    model: str
    address: str
    key: str = field(repr=False)

    @property
    def host(self) -> str:
        """The server, without what may be secret in its address."""
        parts = urlsplit(self.address)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def hide(self, text: str) -> str:
        """A text without the key."""
        return text.replace(self.key, "[key]") if len(self.key) > len("EMPTY") else text


@dataclass(frozen=True, slots=True)
class Place:
    """The clone, the interpreter, and the judge."""

    home: Path
    python: Path
    judge: Judge


def find_place(model: Model, judge: Judge | None) -> Place | str:
    """What a run needs, or in one line why this model cannot be evaluated here and what to do."""
    if model.kind in {"import", "server"}:
        return f"{model.id} has no weights here"
    if model.quantization != "none":
        return f"{model.id} is quantized ({model.quantization}), which Evalchemy's transformers cannot run"
    if model.trust_remote_code:
        return f"{model.id} runs code of its own (trust_remote_code), which is not passed on to Evalchemy"
    home, python = find_home(), find_python()
    if home is None or python is None:
        missing = "clone" if home is None else "environment"
        return f"the {missing} of Evalchemy is missing: run `make evalchemy`"
    if git(home, "cat-file", "-e", f"{COMMIT}^{{commit}}").returncode:
        return f"the clone of Evalchemy has no commit {COMMIT[:12]}: run `make evalchemy`"
    if judge is None:
        return "there is no judge: set OPENAI_API_KEY, or OPENAI_BASE_URL to a server of your own"
    return Place(home, python, judge)


def find_home() -> Path | None:
    """The clone: $EVALCHEMY_HOME, or .evalchemy of this or the main checkout."""
    return find("EVALCHEMY_HOME", ".evalchemy", ".git")


def find_python() -> Path | None:
    """The interpreter of $REWILD_EVALCHEMY_ENV, or of .venv-evalchemy of this or the main checkout."""
    found = find("REWILD_EVALCHEMY_ENV", ".venv-evalchemy", "bin/python")
    return found / "bin/python" if found else None


def find(variable: str, name: str, file: str) -> Path | None:
    """The folder that a variable names, or one of this name in this or the main checkout, if it has a file."""
    if variable in os.environ:
        roots = [Path(os.environ[variable])]
    else:
        roots = [Path(name)] if (Path(name) / file).exists() else [main_checkout() / name]
    return next((root.absolute() for root in roots if (root / file).exists()), None)


def git(home: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Ask git about the clone."""
    command = ["git", "-C", str(home), *words]
    return subprocess.run(command, capture_output=True, check=False)


def find_judge(name: str, judge: Model | None) -> Judge | None:
    """The judge: a model behind a server, else `name` at $OPENAI_BASE_URL, else at OpenAI's if there is a key.

    OpenAI's own key goes to no other address than OpenAI's; another server's is $REWILD_API_KEY.
    """
    if judge is not None:
        return Judge(judge.served_name, judge.location, key_for(judge.location))
    address = os.environ.get("OPENAI_BASE_URL", "")
    if not address and key_for(OPENAI) == NO_KEY:
        return None
    return Judge(name, address or OPENAI, key_for(address or OPENAI))


def check_judge(judge: Judge) -> None:
    """Raise ValueError unless the judge answers one small request: Evalchemy would ask a dead one for hours."""
    import openai

    client = openai.OpenAI(base_url=judge.address, api_key=judge.key, max_retries=1, timeout=PROBE_SECONDS)
    try:
        client.chat.completions.create(
            model=judge.model, messages=[{"role": "user", "content": "Say: [[5]]"}], max_tokens=8, temperature=0
        )
    except openai.OpenAIError as error:
        code = f" {error.status_code}" if isinstance(error, openai.APIStatusError) else ""
        why = f"{type(error).__name__}{code}"  # not its words, which may repeat a part of the key
        raise ValueError(f"the judge {judge.model} at {judge.host} does not answer ({why}): is it running?") from None
