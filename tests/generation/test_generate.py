"""The stage `generate`: what it writes."""

import json
from dataclasses import replace
from pathlib import Path

from stages.generate import write_responses
from stages.lib.core.files import read_json
from stages.lib.engines.echo import EchoEngine
from stages.lib.generation.store import Store
from stages.lib.models.reply_format import ReplyFormat
from tests.support.conversations import CONFIG, MODEL, GenerationOn, GivenRows, stored_row
from tests.support.generation import RUNTIME, make_prompt


def test_the_ledger_holds_how_the_model_was_asked_as_plain_values(folder: Path) -> None:
    config = replace(CONFIG, system_prompt="Be kind.", stop=("END",))
    write_responses(GivenRows([stored_row("a", "Hi?")], config=config), [])
    assert json.loads((folder / "data/ledger/m/.summary.json").read_text())["asked"] == {
        "sampling": {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
        "max_tokens": 100, "window": 400, "seed": 1, "history": "own", "trim": "never",
        "system_prompt": "Be kind.", "stop": ["END"], "thinking": "keep",
    }  # fmt: skip


def test_the_summary_holds_the_format_of_the_replies_and_the_ledger_what_ended_them(folder: Path) -> None:
    known = ReplyFormat(added_ends=("<|eot_id|>",), control_tokens=("<pad>",))
    config = replace(CONFIG, reply_format=known, thinking_tags=(("<muse>", "</muse>"),))
    source = GenerationOn(MODEL, config, "echo", Store(Path("store"), "m"), RUNTIME, running=EchoEngine(config))
    write_responses(source, [make_prompt("h", "Hi?")])
    about = {"added_ends": ["<|eot_id|>"], "control_tokens": ["<pad>"]}
    assert read_json(folder / "data/responses/m/.summary.json")["reply_format"] == about
    asked = read_json(folder / "data/ledger/m/.summary.json")["asked"]
    assert (asked["reply_format"], asked["thinking_tags"]) == (about, {"<muse>": "</muse>"})
