"""Evalchemy's command as it should be: seeded, without downloads, with notes of judge's answers and prompts cut short.

Runs in `.venv-evalchemy`, in the root of a clone, as `python -m <this module> <seed> <its arguments>`. The environment
names the file for the notes, the judge's model as its server calls it, and a folder of alpaca_eval's data.
"""

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from stages.lib.core.process import end_with_the_stage

TOKENS = ("prompt_tokens", "completion_tokens")


def write_note(notes: Path, what: str, **more: int) -> None:
    """Append a line to the notes."""
    with notes.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"what": what, **more}) + "\n")


def no_verdict() -> Any:  # noqa: ANN401  (openai's)
    """An answer that says nothing, which each of the three tasks takes for no verdict."""
    from openai.types.chat import ChatCompletion

    silence = {"token": "", "logprob": 0.0, "top_logprobs": []}
    choice = {
        "index": 0,
        "finish_reason": "content_filter",
        "message": {"role": "assistant", "content": ""},
        "logprobs": {"content": [silence]},
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    named = {"id": "", "object": "chat.completion", "created": 0, "model": ""}
    return ChatCompletion.model_validate({**named, "choices": [choice], "usage": usage})


def note_judge(notes: Path, model: str) -> None:
    """Let every request for a chat completion ask `model`, and note that it was asked, and answered.

    Evalchemy knows its judges by a few names; whatever it asks for, the server is asked for its own model. A request
    that the server refuses (400: too long for it, or a filter) is no verdict; MixEval would take a random one for its.
    """
    import openai
    from openai.resources.chat.completions import Completions

    ask = Completions.create

    def create(self: Completions, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (openai's)
        write_note(notes, "asked")
        try:
            completion = ask(self, *args, **kwargs | {"model": model})
        except openai.BadRequestError as error:
            print("the judge refuses a request:", error, flush=True)
            completion = no_verdict()
        usage = completion.usage
        write_note(notes, "answered", **({name: getattr(usage, name) for name in TOKENS} if usage else {}))
        return completion

    Completions.create = create  # type: ignore[method-assign]


def note_cut_prompts(notes: Path) -> None:
    """Note how many prompts lm-eval cuts at their beginning to fit the window, of which it says nothing."""
    from lm_eval.models.huggingface import HFLM

    encode = HFLM.tok_batch_encode

    def tok_batch_encode(self: Any, strings: list[str], *args: Any, left_truncate_len: int = 0, **options: Any) -> Any:  # noqa: ANN401
        ids, mask = encode(self, strings, *args, **options)
        if left_truncate_len:
            if cut := int((mask.sum(dim=1) > left_truncate_len).sum()):
                write_note(notes, "cut", prompts=cut)
            ids, mask = ids[:, -left_truncate_len:], mask[:, -left_truncate_len:]
        return ids, mask

    HFLM.tok_batch_encode = tok_batch_encode


def read_alpaca_data(folder: Path) -> None:
    """Give alpaca_eval its data from files; else `datasets` would run a script that it downloads."""
    import datasets
    import huggingface_hub

    def load_dataset(_repository: str, name: str, **_options: object) -> dict[str, Any]:
        rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return {"eval": datasets.Dataset.from_list(rows)}

    def hf_hub_download(*, filename: str, **_options: object) -> str:
        return str(folder / filename)

    datasets.load_dataset = load_dataset
    huggingface_hub.hf_hub_download = hf_hub_download  # type: ignore[assignment]


def seed_all(seed: int) -> None:
    """Seed what MTBench and alpaca_eval sample with, which Evalchemy does not."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def main() -> None:
    """Run Evalchemy."""
    threading.Thread(target=end_with_the_stage, daemon=True).start()
    seed, *sys.argv[1:] = sys.argv[1:]
    if "MixEval" in sys.argv:
        import nltk

        nltk.download = lambda *_args, **_options: True  # it asks for data that it does not use
    if folder := os.environ.get("REWILD_ALPACA_DATA"):
        read_alpaca_data(Path(folder))
    from eval.eval import cli_evaluate

    notes = Path(os.environ["REWILD_NOTES"])
    note_judge(notes, os.environ["REWILD_JUDGE_MODEL"])
    note_cut_prompts(notes)
    seed_all(int(seed))
    cli_evaluate()


if __name__ == "__main__":
    main()
