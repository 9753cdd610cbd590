"""A small project for tests of the graph: the real dvc.yaml and stages, an echo engine, tiny data.

Only the two stages that need minutes (train, evaluate) are replaced, by ones that write small files which
depend on what the real ones depend on. `mix` runs without torch: transformers would import it with the tokenizer, and
that takes longer than all else in the stage. In `suitability` a stand-in reads the tokens: the models have no weights.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NO_TRAINING = {"REWILD_TRAIN_ENV": ""}  # no environment: `check` need not start DVC to look for one
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
IMPORTS = f"""
TOKENIZER = {TOKENIZER}
import hashlib
import json
import shutil
from pathlib import Path
from stages.lib.models.catalogue import Model, load_model, weights_digest
from stages.lib.core.costs import Cost, write_cost
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.files import new_folder, sha256_folder, write_json
from stages.lib.settings.reading import load_training, run
"""
NO_SEEDS = '{\n "seeds": {}\n}\n'  # as `check` writes it
TASK = """
task: demo_knowledge
dataset_path: json
dataset_kwargs: {data_files: {test: demo/tasks/demo_knowledge.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
"""
FAKES = {
    "train": """
def fake_train(key: str) -> None:
    params = read_yaml(PARAMS)
    training = load_training(key)
    base = load_model(training.base)
    mix, settings = sha256_folder(Path("data/mixes") / training.run), params["train"] | {"seed": training.seed}
    made = hashlib.sha256(json.dumps([mix, base.commit, settings]).encode())
    with new_folder(Path("models") / key) as folder:
        (folder / "model.safetensors").write_bytes(made.digest())
        for name in ("config.json", *TOKENIZER):
            shutil.copyfile(Path(base.location) / name, folder / name)
        (folder / "loss.csv").write_text("step,epoch,loss\\n1,0.5,2.0\\n2,1.0,1.5\\n")
        (folder / "mask.txt").write_text("Question 1.0? [Question 1.0?]\\n")
        counts = {"rows": 7, "tokens": 70, "trained_tokens": 40, "trained_share": 0.57, "dropped_too_long": 0}
        losses = {"steps": 2, "epochs": 1.0, "first_loss": 2.0, "last_loss": 1.5, "mean_loss": 1.75}
        versions = {"axolotl": "0.19.0", "torch": "2.13.0", "transformers": "5.16.1"}
        own = {"base": base.id, "base_commit": base.commit}
        write_json(folder / "summary.json", counts | losses | versions | own)
        own = base.model_dump() | {"id": key, "kind": "local", "location": f"models/{key}", "sampling": base.sampling}
        write_json(folder / "model.json", Model(**(own | {"commit": weights_digest(folder)})).model_dump())
    write_cost("train", key, Cost(7200.0, "H100 x2"))
""",
    "evaluate": """
def fake_evaluate(model: str) -> None:
    digest = hashlib.sha256(json.dumps([load_model(model).commit, read_yaml(PARAMS)["evaluate"]]).encode()).digest()
    score = digest[0] / 255
    with new_folder(Path("data/evaluations") / model) as folder:
        scores = {"demo_knowledge": round(score, 4), "average": round(score, 4)}
        write_json(folder / "summary.json", {"scores": scores, "n": {"demo_knowledge": 1}, "conditions": []})
        average = {"columns": [], "value": score, "missing": []}
        write_json(folder / "results.json", {"tasks": {}, "averages": {"average": average}, "conditions": []})
    write_cost("evaluate", model, Cost(60.0, "x86_64 CPU x2"))
""",
}


def conversation(number: int, turns: int, **changes: Any) -> dict[str, Any]:
    """One row in WildChat's schema."""
    messages = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"Question {number}.{turn}?"})
        messages.append({"role": "assistant", "content": f"Reference {number}.{turn}."})
    row = {
        "conversation_hash": f"{number:032x}",
        "conversation": messages,
        "language": "English",
        "toxic": False,
    }
    return {**row, **changes}


def write_demo(root: Path, num_prompts: int) -> None:
    """Write the sources that the small project reads."""
    demo = root / "demo"
    demo.mkdir()
    rows = [conversation(number, 1 + number % 3) for number in range(num_prompts)]
    pq.write_table(pa.Table.from_pylist(rows), demo / "prompts.parquet")
    questions = [{"question": f"Q{n}?", "choices": ["a", "b"], "answer": n % 2} for n in range(6)]
    pq.write_table(pa.Table.from_pylist(questions), demo / "knowledge.parquet")
    lines = [{"question_id": n, "category": "c", "turns": [f"First {n}?", "Second?"]} for n in range(2)]
    (demo / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_judge(root)
    (demo / "tasks").mkdir()
    (demo / "tasks" / "demo_knowledge.yaml").write_text(TASK)
    (demo / "tasks" / "demo_knowledge.jsonl").write_text('{"question": "Q?", "answer": "A."}\n')


def write_judge(root: Path) -> None:
    """Write prompts for which an echo gives a verdict."""
    folder = root / "demo" / "judge"
    folder.mkdir(parents=True)
    (folder / "single.txt").write_text("{{ turns[-1].user }} {{ turns[-1].assistant }} [[7]]")
    (folder / "pair.txt").write_text("{{ users[-1] }} {{ first[-1] }} {{ second[-1] }} [[A]]")


def write_model(root: Path, name: str, temperature: float = 0.7) -> None:
    """Write a catalogue entry and the weights that it pins."""
    from stages.lib.models.catalogue import weights_digest

    weights = root / "demo" / "models" / name
    weights.mkdir(parents=True)
    header = json.dumps({"__metadata__": {"name": name}}).encode()
    (weights / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (weights / "config.json").write_text('{"model_type": "llama"}')
    for file in TOKENIZER:
        shutil.copy(ROOT / "demo/models/demo-rich" / file, weights)
    entry = {
        "name": name,
        "path": f"demo/models/{name}",
        "revision": weights_digest(weights),
        "context_window": 2000,
        "sampling": {"temperature": temperature},
    }
    (root / "dgms").mkdir(exist_ok=True)
    (root / "dgms" / f"{name}.yaml").write_text("\n".join(f"{key}: {json.dumps(v)}" for key, v in entry.items()) + "\n")


def small_params() -> dict[str, Any]:
    """The demo's params, made small: an echo engine, one auxiliary set, few rows."""
    params: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    params["auxiliary"] = {
        "knowledge": {"source": "demo/knowledge.parquet", "format": "multiple_choice", "license": "Apache-2.0"}
    }
    params["dgms"], params["bases"] = ["rich", "plain"], ["base"]
    params["generate"]["engine"] = params["answers"]["engine"] = params["judge"]["engine"] = "echo"
    params["judge"] |= {"model": "base", "max_tokens": 1000}
    params["pairwise"] = {"stop": "none", "pairs": "all"}
    params["suitability"] |= {"bases": ["base"], "num_conversations": 5}
    params["mix"] |= {
        "size": 4,
        "runs": {
            "blend": {"base": "base", "dgms": {"rich": 1.0, "plain": 1.0}, "auxiliary": {"knowledge": 3}},
            "only": {"base": "base", "dgms": {"plain": 1.0}, "auxiliary": {}},
        },
    }
    params["compare"] = ["base", "blend", "only"]
    params["evaluate"] |= {"tasks": {"demo_knowledge": "exact_match"}, "averages": {}}
    return params


WITHOUT_TORCH = """
    import sys

    sys.modules["torch"] = None  # as where it is not installed
    run(main)
"""


WITHOUT_WEIGHTS = """
    import sys

    import numpy as np

    from stages.lib.suitability import scores

    class TokenReader:
        def __init__(self, *_given):
            pass

        def read(self, encoding):
            ids = np.array([encoding.ids[place] for place in encoding.positions], dtype=float)
            return 1 + ids % 7, 1 + ids % 101

    scores.Student = TokenReader
    sys.modules["torch"] = None
    run(main)
"""


@dataclass
class Project:
    """A checkout, and how its commands are run."""

    root: Path

    def copy(self, root: Path) -> "Project":
        """Copy the project to a folder that is not there yet."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)

    def run(self, *words: str, code: int | Collection[int] = 0, **env: str) -> str:
        """Run a command; its output. The exit code must be the expected one, or among these."""
        done = subprocess.run(
            words,
            cwd=self.root,
            env={**NO_TRAINING, **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        expected = (code,) if isinstance(code, int) else code
        assert done.returncode in expected, f"{words} gave {done.returncode}:\n{done.stdout}"
        return done.stdout

    def repro(self, *words: str, code: int = 0) -> list[str]:
        """`dvc repro`: the stages that ran."""
        return ran(self.run("dvc", "repro", *words, code=code))

    def experiment(self, *overrides: str) -> list[str]:
        """`dvc exp run -S ...` in the workspace: the stages that ran."""
        flags = [word for override in overrides for word in ("-S", override)]
        return ran(self.run("dvc", "exp", "run", *flags))

    def params(self) -> dict[str, Any]:
        """What params.yaml holds."""
        content: dict[str, Any] = YAML(typ="safe").load((self.root / "params.yaml").read_text())
        return content

    def write_params(self, params: dict[str, Any]) -> None:
        """Replace params.yaml."""
        with (self.root / "params.yaml").open("w") as file:
            YAML().dump(params, file)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file."""
        file = self.root / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def json(self, path: str) -> Any:
        """Read a JSON file of the checkout."""
        return json.loads((self.root / path).read_text())

    def commit(self) -> None:
        """Commit everything."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "x", "--allow-empty")

    def clone_with_remote(self, folder: Path) -> "Project":
        """Commit everything, push the outs to a new remote in a folder, and clone the checkout beside it."""
        self.run("dvc", "remote", "add", "-d", "shared", str(folder / "remote"))
        self.commit()
        self.run("dvc", "push", "-q")
        clone = Project(folder / "clone")
        self.run("git", "clone", "-q", str(self.root), str(clone.root))
        return clone


def allow_doctor(project: Project) -> None:
    """Give a small project what the doctor looks at: how environments are built, and the environment itself."""
    if not (project.root / "requirements").exists():
        shutil.copytree(ROOT / "requirements", project.root / "requirements")
        (project.root / ".venv").symlink_to(BIN.parent)


def ran(output: str) -> list[str]:
    """The stages that really ran, in order; not those that were cached or skipped."""
    return re.findall(r"Running stage '([^']+)'", output)


def cached(output: str) -> list[str]:
    """The stages whose outs came from the run-cache."""
    return re.findall(r"Stage '([^']+)' is cached", output)


def make_project(root: Path, num_prompts: int = 12, models: Sequence[str] = ("rich", "plain", "base")) -> Project:
    """Make a committed checkout of the small project, not yet run."""
    root.mkdir(parents=True)
    for name in ("dvc.yaml", "Makefile", ".gitignore", ".dvcignore", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    for name in ("stages", "commands"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in FAKES.items():
        file = root / "stages" / f"{name}.py"
        head, _, _ = file.read_text().rpartition('\nif __name__ == "__main__":')
        file.write_text(f'{head}\n{IMPORTS}{code}\nif __name__ == "__main__":\n    run(fake_{name})\n')
    for name, main in {"mix": WITHOUT_TORCH, "suitability": WITHOUT_WEIGHTS}.items():
        head, start, _ = (root / "stages" / f"{name}.py").read_text().rpartition('if __name__ == "__main__":')
        (root / "stages" / f"{name}.py").write_text(f"{head}{start}{main}")
    for folder in sorted(path.parent for path in (ROOT / "metrics").rglob(".gitkeep")):
        (root / folder.relative_to(ROOT)).mkdir(parents=True)
        (root / folder.relative_to(ROOT) / ".gitkeep").touch()
    (root / "metrics" / "seeds.json").write_text(NO_SEEDS)
    write_demo(root, num_prompts)
    for name in models:
        write_model(root, name)
    project = Project(root)
    project.write_params(small_params())
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "init", "-q")
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots")
    project.commit()
    return project
