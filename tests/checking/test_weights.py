"""Folders of weights: what shows without reading them, and what is never held against one."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.lib.checking.weights import find_weights_faults
from stages.lib.models.catalogue import Entry

DATA = b"\0" * 8
HEADER = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
INDEX = "model.safetensors.index.json"


def tensors(header: Any = HEADER, data: bytes = DATA) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "m"
    model.mkdir()
    (model / "model.safetensors").write_bytes(tensors())
    (model / "config.json").write_text('{"max_position_embeddings": 2048}')
    (model / "tokenizer.json").write_text("{}")
    (model / "chat_template.jinja").write_text("{{ messages }}")
    return model


def lines(**options: Any) -> list[str]:
    entry = Entry(name="m", path="m", context_window=options.pop("context_window", 2048), **options)
    return [f"{fault.file}: {fault.problem}" for fault in find_weights_faults(entry, "dgms/m.yaml")]


def put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def shard(names: list[str], weight_map: dict[str, str] | None = None) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        for name in names:
            (folder / name).write_bytes(tensors())
        if weight_map is not None:
            (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    return damage


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (put("model.safetensors", tensors()[:-3]), "m/model.safetensors: is torn: it has 74 of 77 bytes; copy it again"),
    (put("model.safetensors", tensors() + b"0"), "m/model.safetensors: is torn: it has 78 of 77 bytes; copy it again"),
    (
        put("model.safetensors", tensors()[:40]),
        "m/model.safetensors: is torn or not a safetensors file: its header would end after the file's 40 bytes; "
        "copy it again",
    ),
    (
        put("model.safetensors", b""),
        "m/model.safetensors: is torn or not a safetensors file: its header would end after the file's 0 bytes; "
        "copy it again",
    ),
    (
        put("model.safetensors", struct.pack("<Q", 4) + b"abcd"),
        "m/model.safetensors: is torn or not a safetensors file: its header does not describe tensors; copy it again",
    ),
    (
        put("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
        "m/model.safetensors: is a pointer of Git LFS, not the file: run `git lfs pull` there",
    ),
    (remove("model.safetensors"), "dgms/m.yaml: m has no safetensors file; copy the weights there"),
    (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "dgms/m.yaml: m has no safetensors file; it has pytorch_model.bin: convert it",
    ),
    (shard([FIRST]), f"dgms/m.yaml: m lacks {SECOND}: copy them there"),
    (shard([FIRST], {"w": FIRST, "v": SECOND}), f"m/{INDEX}: names {SECOND}, which m lacks: copy them there"),
    (
        shard([FIRST, SECOND], {"w": FIRST, "v": SECOND}),
        f"m/{INDEX}: names v in {SECOND}, which lacks it: the files are of two models",
    ),
    (put(INDEX, b"{}"), f"m/{INDEX}: has no weight_map: copy it again"),
    (remove("config.json"), "dgms/m.yaml: m has no config.json: copy all files of the model there"),
    (
        put("config.json", b'{"a": '),
        "m/config.json: is not valid JSON (Expecting value: line 1 column 7 (char 6)): copy it again",
    ),
    (
        put("config.json", b'{"max_position_embeddings": 1024}'),
        "dgms/m.yaml: 2048 is more than the model's own, 1024 in m/config.json: lower it",
    ),
    (
        remove("tokenizer.json"),
        "dgms/m.yaml: m has no tokenizer (tokenizer.json or tokenizer.model): copy it there",
    ),
    (
        put("tokenizer.json", b"version https://git-lfs.github.com/spec/v1\n"),
        "m/tokenizer.json: is a pointer of Git LFS, not the file: run `git lfs pull` there",
    ),
    (
        remove("chat_template.jinja"),
        "dgms/m.yaml: m has no chat template: write one to a file and name it as `chat_template` here, such as "
        "dgms/templates/chatml.jinja",
    ),
]


@pytest.mark.parametrize(("damage", "line"), DAMAGES, ids=[line[-50:] for _, line in DAMAGES])
def test_damage_is_one_line_that_names_the_file(folder: Path, damage: Callable[[Path], object], line: str) -> None:
    assert lines() == []
    damage(folder)
    assert lines() == [line]


@pytest.mark.parametrize(
    "difference",
    [
        put("config.json", b'{"max_position_embeddings": 1024, "rope_scaling": {"rope_type": "yarn", "factor": 4}}'),
        put("config.json", b'{"model_type": "mamba"}'),
        put("model.safetensors", tensors({"__metadata__": {"format": "pt"}} | HEADER)),
        put("extra.bin", b"1"),
        shard([FIRST, SECOND], {"w": FIRST}),
        shard([FIRST, SECOND]),
        lambda folder: (folder / "tokenizer.json").rename(folder / "tokenizer.model"),
        lambda folder: (
            (folder / "chat_template.jinja").unlink(),
            (folder / "tokenizer_config.json").write_text('{"chat_template": "x"}'),
        ),
    ],
)
def test_a_folder_that_works_is_not_accused(folder: Path, difference: Callable[[Path], object]) -> None:
    difference(folder)
    assert lines() == []


def test_a_template_of_the_catalogue_stands_in_for_the_folders(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert lines(chat_template="dgms/templates/chatml.jinja") == []


def test_a_file_is_no_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = find_weights_faults(Entry(name="m", path="file", context_window=9), "dgms/m.yaml")
    assert [fault.problem for fault in found] == ["file is a file: name the folder of the weights"]
