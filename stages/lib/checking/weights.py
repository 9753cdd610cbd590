"""What is wrong with a folder of weights, as far as it shows without reading them: each costs milliseconds."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from stages.lib.checking.tensors import COPY_AGAIN, LFS, LFS_PROBLEM, read_header
from stages.lib.console.faults import Fault, list_names
from stages.lib.core.types import Json
from stages.lib.models.catalogue import Entry

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "tekken.json", "*tiktoken*")
TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")


def find_weights_faults(entry: Entry, file: str) -> Iterator[Fault]:
    """Yield what is wrong with the folder that an entry names as `path`; `file` is the entry's own."""
    folder = Path(entry.path)
    if not folder.is_dir():
        yield Fault(file, ("path",), f"{folder} is a file: name the folder of the weights")
        return
    yield from find_tensor_faults(folder, file)
    yield from find_config_faults(entry, folder, file)
    if not any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        yield Fault(file, ("path",), f"{folder} has no tokenizer (tokenizer.json or tokenizer.model): copy it there")
    elif problem := json_problem(folder / "tokenizer.json"):
        yield Fault(str(folder / "tokenizer.json"), (), problem)
    if not entry.chat_template and not has_template(folder):
        yield Fault(
            file,
            ("path",),
            f"{folder} has no chat template: write one to a file and name it as `chat_template` here, such as "
            f"dgms/templates/chatml.jinja",
        )


def has_template(folder: Path) -> bool:
    """Tell whether a folder brings a chat template along."""
    configuration = folder / "tokenizer_config.json"
    is_inside = configuration.is_file() and b'"chat_template"' in configuration.read_bytes()
    return is_inside or any((folder / name).exists() for name in TEMPLATES)


def find_config_faults(entry: Entry, folder: Path, file: str) -> Iterator[Fault]:
    """Yield what is wrong with the config.json of a folder, and a window that is larger than its own."""
    path = folder / "config.json"
    if not path.is_file():
        yield Fault(file, ("path",), f"{folder} has no config.json: copy all files of the model there")
        return
    if problem := json_problem(path):
        yield Fault(str(path), (), problem)
        return
    config = json.loads(path.read_bytes())
    own = own_window(config) if isinstance(config, dict) else 0
    if own and entry.context_window > own:
        yield Fault(
            file, ("context_window",), f"{entry.context_window} is more than the model's own, {own} in {path}: lower it"
        )


def own_window(config: Json) -> int:
    """Return the window that a configuration names; 0 where it is stretched, or not named."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else ""
    window = next((config[name] for name in WINDOWS if isinstance(config.get(name), int)), 0)
    return window if kind == "default" else 0


def json_problem(path: Path) -> str:
    """Say why a JSON file cannot be read; empty if it can, or is not there."""
    if not path.is_file():
        return ""
    content = path.read_bytes()
    if content.startswith(LFS):
        return LFS_PROBLEM
    try:
        json.loads(content)
    except ValueError as error:
        return f"is not valid JSON ({error}): {COPY_AGAIN}"
    return ""


def find_tensor_faults(folder: Path, file: str) -> Iterator[Fault]:
    """Yield what is wrong with the safetensors files of a folder, and with the index that lists their tensors."""
    shards = sorted(folder.glob("*.safetensors"))
    if not shards and not (folder / INDEX).exists():
        other = next((path.name for path in sorted(folder.glob("*")) if path.suffix in {".bin", ".pt", ".gguf"}), "")
        hint = f"it has {other}: convert it" if other else "copy the weights there"
        yield Fault(file, ("path",), f"{folder} has no safetensors file; {hint}")
        return
    tensors = dict[str, set[str]]()
    for shard in shards:
        header = read_header(shard)
        if isinstance(header, str):
            yield Fault(str(shard), (), header)
        else:
            tensors[shard.name] = {*header} - {"__metadata__"}
    names = {shard.name for shard in shards}
    if (folder / INDEX).exists():
        yield from find_index_faults(folder / INDEX, names, tensors)
    else:
        missing = [name for name in expected_shards(names) if name not in names]
        if missing:
            yield Fault(file, ("path",), f"{folder} lacks {list_names(missing)}: copy them there")


def expected_shards(names: set[str]) -> list[str]:
    """Return the names of all shards of which some are there: `model-00001-of-00004.safetensors` says how many."""
    found = [(name, match) for name in sorted(names) if (match := SHARD.search(name))]
    return list(
        dict.fromkeys(
            f"{name[: match.start()]}-{number:05}-of-{match[2]}.safetensors"
            for name, match in found
            for number in range(1, int(match[2]) + 1)
        )
    )


def find_index_faults(index: Path, names: set[str], tensors: dict[str, set[str]]) -> Iterator[Fault]:
    """Yield the shards that an index names and that are not there, and the tensors that are not in theirs."""
    if problem := json_problem(index):
        yield Fault(str(index), (), problem)
        return
    content = json.loads(index.read_bytes())
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict):
        yield Fault(str(index), (), f"has no weight_map: {COPY_AGAIN}")
        return
    if missing := sorted({*weight_map.values()} - names):
        yield Fault(str(index), (), f"names {list_names(missing)}, which {index.parent} lacks: copy them there")
    lost = [tensor for tensor, shard in weight_map.items() if shard in tensors and tensor not in tensors[shard]]
    if lost:
        yield Fault(
            str(index), (), f"names {lost[0]} in {weight_map[lost[0]]}, which lacks it: the files are of two models"
        )
