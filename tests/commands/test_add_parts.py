"""The parts of `add`: what a model's files say, its warnings, anchors, and the judge's rounds."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from commands.add import choices, suitability
from commands.add.choices import stand
from commands.add.entry import collect_facts, find_family, find_window, format_lines, make_id
from commands.add.field import Sample
from commands.add.likeness import build_grid, choose_anchors, measure_similarity
from commands.add.page import build_page
from commands.add.placement import Placement, answer, describe_sample
from commands.add.screen import describe
from commands.add.source import Source, open_source
from commands.add.suitability import suit_bases
from commands.add.template import warn_of_ends, warn_of_template, warn_of_thoughts
from commands.pilot.quality import Quality
from stages.lib.console.errors import UserError
from stages.lib.core.costs import Cost
from stages.lib.core.sections import PARAMS
from stages.lib.judging.judge import Judged
from stages.lib.judging.judge_replies import JudgeReply
from stages.lib.models.chat_template import Template
from stages.lib.models.reply_format import describe_replies
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Judge, Styling, Suitability
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.distances import measure_distances
from stages.lib.style.features import StyleGrid
from stages.lib.style.markup import FEATURES
from stages.lib.validation.verdicts import VerdictCounts
from tests.support.families import FAMILIES, tokenizer_of
from tests.support.hub import COMMIT, serve
from tests.support.project import ROOT


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 131072),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 2.0}}, 8192),
        (
            {
                "max_position_embeddings": 65536,
                "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16384},
            },
            65536,
        ),
        ({}, 0),
    ],
)
def test_the_window_is_the_one_that_vllm_takes(config: dict[str, Any], window: int) -> None:
    assert find_window(config) == window


@pytest.mark.parametrize(
    ("name", "kind", "family"),
    [
        ("Qwen2.5-3B-Instruct", "qwen2", "qwen-2.5"),  # of the catalogue
        ("SmolLM2-135M", "llama", "smollm-2"),
        ("Muse-1B", "qwen3", "qwen-3"),
        ("Muse-1B", "gemma3_text", "gemma-3"),
        ("Muse-1B", "", ""),
    ],
)
def test_the_family_is_one_of_the_catalogue_or_the_type_of_the_model(
    name: str, kind: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert find_family(name, kind)[0] == family


def test_an_id_is_named_as_those_of_the_catalogue() -> None:
    assert [make_id(name) for name in ("Qwen2.5-7B-Instruct", "glm_4 (chat)")] == ["qwen2-5-7b-instruct", "glm_4-chat"]


LICENSES = {
    "license: apache-2.0": ("Apache-2.0", ""),
    "license: other\nlicense_name: qwen": ("qwen", ""),
    "license: other\nlicense_name: muse\nlicense_link: https://muse.ai/terms": ("muse https://muse.ai/terms", ""),
    "license: openrail": ("openrail https://huggingface.co/lab/muse", ""),
    "language: en": ("", "licence: its card (README.md) names none: `license` in dgms/muse.yaml names one"),
    "license: [": ("", "licence: its card (README.md) names none: `license` in dgms/muse.yaml names one"),
}


@pytest.mark.parametrize("card", LICENSES)
def test_the_licence_is_that_of_the_card_or_empty_and_said(card: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "muse", "max_position_embeddings": 512}')
    (tmp_path / "chat_template.jinja").write_text("")
    (tmp_path / "README.md").write_text(f"---\n{card}\n---\n")
    facts = collect_facts(Source("lab/muse", "", tmp_path, []), Path("dgms/muse.yaml"))
    name, unknown = LICENSES[card]
    found = [value for key, value, _ in facts.lines if key == "license"]
    assert (found, facts.unknown) == ([name] if name else [], [unknown] if unknown else [])


def test_a_model_without_a_template_is_told_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512, "auto_map": {"AutoModel": "x"}}')
    facts = collect_facts(Source("lab/muse", "", tmp_path, []), Path("dgms/muse.yaml"))
    assert facts.unknown == [
        "licence: it has no card (README.md): `license` in dgms/muse.yaml names one",
        "no chat template: write one to a file and name it as `chat_template` in dgms/muse.yaml, such as "
        "dgms/templates/chatml.jinja",
        "it brings code of its own, which is not run unless dgms/muse.yaml says `trust_remote_code: true`",
    ]
    assert list(format_lines(facts)) == [
        "name: muse",
        "repository: lab/muse",
        "revision: main",
        "context_window: 512                   # config.json",
    ]


def test_of_a_repository_only_the_small_files_are_downloaded(tmp_path: Path) -> None:
    files = {
        "config.json": b'{"model_type": "llama", "max_position_embeddings": 2048}',
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"x",
        "README.md": b"---\nlicense: mit\n---\n",
        "model.safetensors": b"weights",
    }
    (tmp_path / "dgms").mkdir()
    (tmp_path / "params.yaml").write_text("mix: {}\n")
    with serve({"models/lab/Muse-1B": files}) as hub:
        output = hub.run(tmp_path, "commands.add", "lab/Muse-1B", code=1)
        missing = hub.run(tmp_path, "commands.add", "lab/nosuch", code=1)
    assert f"muse-1b: is pinned to {COMMIT}" in output
    text = (tmp_path / "dgms/muse-1b.yaml").read_text()
    assert f"repository: lab/Muse-1B\nrevision: {COMMIT}\n" in text and "license: MIT " in text
    assert not any("safetensors" in path or "tokenizer.json" in path for path in hub.requests)
    assert missing.startswith("add: lab/nosuch: the hub did not describe it (Client error '404 Not Found'")
    assert missing.endswith("); is the name right, and can you reach the hub?\n") and missing.count("\n") == 1


def test_a_repository_in_a_folder_of_copies_is_read_there_and_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "lab" / "Muse-1B"
    copy.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (copy / name).write_text("{}")
    monkeypatch.setenv("REWILD_MODELS", str(tmp_path))
    source = open_source("lab/Muse-1B", "muse-1b")
    assert (source.repository, source.path, source.commit, source.folder) == ("lab/Muse-1B", "", "", copy)
    with pytest.raises(UserError, match="has no folder lab/other or other and no cache of lab/other at main"):
        open_source("lab/other", "other")


def grid_of(**chars: int) -> StyleGrid:
    """Models whose replies differ in their length alone, on two turns."""
    values = {name: np.zeros((2, len(FEATURES))) for name in chars}
    for name, number in chars.items():
        values[name][:, FEATURES.index("chars")] = number
    return StyleGrid(np.array([0, 1]), values)


def test_anchors_span_the_styles_of_the_dgms_whatever_the_new_model_is() -> None:
    grid = grid_of(new=500, a=1, b=10, c=11, d=100, e=10_000)
    assert choose_anchors(grid, ["e", "d", "c", "b", "a"], 3) == ["d", "e", "a"]
    assert choose_anchors(grid_of(a=1, b=10, c=11, d=100, e=10_000), ["a", "b", "c", "d", "e"], 3) == ["d", "e", "a"]
    assert choose_anchors(grid, ["b", "a"], 3) == ["a", "b"]


WARNINGS = {
    "thoughts that the template opens": [
        "it asks for thoughts (<think>), and replies keep them: `thinking: strip` in dgms/m.yaml removes them"
    ],
    "today's date": [
        "its template asks for the date, and gets 26 July 2024 every day",
        "<|eot_id|> ends its replies, which its own files do not say",
    ],
    "no system role": [
        "its template takes no system message: prompts that have one are not asked, and are dropped",
        "<end_of_turn> ends its replies, which its own files do not say",
    ],
    "a default system prompt": ["<|im_end|> ends its replies, which its own files do not say"],
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_template_warns_of_dates_system_messages_thoughts_and_ends(name: str) -> None:
    family = FAMILIES[name]
    template = Template(tokenizer_of(family), family.model)
    found = describe_replies(template)
    lines = [*warn_of_template(template), *warn_of_thoughts(template), *warn_of_ends(template, found)]
    assert lines == WARNINGS[name]


def sample(name: str, *replies: str) -> Sample:
    """A model that gave these first replies, each to a prompt of its own."""
    rows = {
        f"p{number}": {
            "conversation_hash": f"p{number}",
            "turns": [{"user": "?", "assistant": reply, "finish_reason": "stop"}],
        }
        for number, reply in enumerate(replies)
    }
    return Sample(name, name, rows, Quality(), VerdictCounts(), {}, {})


class LongerIsBetter:
    """A judge that prefers the longer reply, shown first or second; it keeps the prompts that it was asked."""

    asked: ClassVar[list[str]] = []

    def __init__(self, *_: object) -> None:
        self.asked.clear()

    def __enter__(self) -> "LongerIsBetter":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, rows: list[dict[str, Any]]) -> Judged:
        """Choose for each row."""
        self.asked.extend(row["prompt"] for row in rows if row["prompt"] not in self.asked)
        return Judged([JudgeReply(self.choose(row["prompt"]), "") for row in rows], Cost())

    @staticmethod
    def choose(prompt: str) -> str:
        """Return A, B, or C for replies of one length."""
        first, second = (len(text) for text in prompt.split("|")[1:3])
        return f"[[{'A' if first > second else 'B' if second > first else 'C'}]]"


def test_the_judge_sees_both_orders_until_a_dgm_is_decided_or_the_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pair.txt").write_text("{{ users[0] }}|{{ first[0] }}|{{ second[0] }}")
    monkeypatch.setattr(choices, "AskedJudge", LongerIsBetter)
    judge, runtime = load(Judge, ROOT / PARAMS), load(Runtime, ROOT / PARAMS)
    judge = judge.model_copy(update={"prompts": str(tmp_path)})
    own = sample("new", *(f"long {number}" for number in range(60)))
    short, same = sample("short", *(["s"] * 60)), sample("same", *(f"same {number}" for number in range(60)))
    worse, tied = stand(own, [short, same], 160, 0.1, judge, runtime)
    assert (worse["verdict"], worse["why"], worse["share"], worse["asked"]) == ("better", "decided", 1.0, 20)
    assert (tied["verdict"], tied["share"]) == ("not decided", 0.5)
    assert (tied["why"], worse["asked"] + tied["asked"]) == ("all questions asked", 80)
    assert len(LongerIsBetter.asked) == 160
    assert LongerIsBetter.asked[:2] == ["?|long 0|s", "?|s|long 0"]
    spent = stand(own, [short, same], 41, 0.1, judge, runtime)
    assert [(each["asked"], each["why"]) for each in spent] == [(10, "budget spent"), (10, "budget spent")]


def test_a_base_model_reads_the_new_replies_and_ranks_them_among_what_it_read_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[list[str]] = []

    def measure(chats: dict[str, Any], base: str, settings: Suitability) -> dict[str, Any]:
        measured.append([base, *chats])
        cell = {"value": 2.0, "ci95": [1.0, 3.0]}
        return {dgm: {"ratio": cell, "place": cell, "conversations": 1} for dgm in chats}

    monkeypatch.setattr(suitability, "find_read", lambda field, *_: field[:1])
    monkeypatch.setattr(suitability, "load_model", lambda base: base)
    monkeypatch.setattr(suitability, "measure_suitability", measure)
    settings = load(Suitability, ROOT / PARAMS).model_copy(update={"bases": ["small", "large"]})
    rows = suit_bases(sample("new"), [sample("read"), sample("unread")], settings)
    assert measured == [["small", "new", "read"], ["large", "new", "read"]]
    assert [(row["base"], row["dgms"], row["place"]["value"]) for row in rows] == [("small", 1, 2.0), ("large", 1, 2.0)]


def test_a_model_without_dgms_to_compare_it_with_stands_alone() -> None:
    own = sample("new", "Yes.", "No.")
    own.costs.update(
        seconds_per_1000_kept={"value": None, "ci95": None}, money_per_1000_kept={"value": None, "ci95": None}
    )
    styling = load(Styling, ROOT / PARAMS)
    grid = build_grid([own], styling)
    bootstrap = Bootstrap(grid.questions, styling.resamples, styling.seed)
    assert measure_similarity(own, [], use_synonyms=False) == {} == measure_distances("new", grid, bootstrap)
    assert choose_anchors(grid, [], 5) == []
    placement = Placement(
        own=describe_sample(own, grid), commit="c", profile="demo", prompts=2, dgms=[], similarity={}, style={},
        judge="", calls=400, standings=[], no_judge="there is no DGM to compare it with", samples=[own],
        add_to={"dgms": "", "compare": "so that it is judged"},
    )  # fmt: skip
    assert answer(placement) == "new stands alone: no DGM of the profile has answered these prompts."
    assert list(describe(placement))[-3:] == [
        "dgms: it is there",
        "to `compare` of params.yaml, so that it is judged:",
        "- new",
    ]
    assert "Nobody judged it: there is no DGM to compare it with." in build_page(placement)
