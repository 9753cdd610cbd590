"""The stage `generate`: what it writes."""

import json
from dataclasses import replace
from pathlib import Path

from stages.generate import write_responses
from tests.support.conversations import CONFIG, GivenRows, stored_row


def test_the_ledger_holds_how_the_model_was_asked_as_plain_values(folder: Path) -> None:
    config = replace(CONFIG, system_prompt="Be kind.", stop=("END",))
    write_responses(GivenRows([stored_row("a", "Hi?")], config=config), [])
    assert json.loads((folder / "data/ledger/m/.summary.json").read_text())["asked"] == {
        "sampling": {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
        "max_tokens": 100, "window": 400, "seed": 1, "history": "own", "trim": "never",
        "system_prompt": "Be kind.", "stop": ["END"], "thinking": "keep",
    }  # fmt: skip
