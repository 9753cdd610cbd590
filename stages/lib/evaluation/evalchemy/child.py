"""The process that runs one task of Evalchemy: seeded, without downloads, with events of the judge and of cut prompts.

Runs in `.venv-evalchemy`, in the root of a clone, as `python -m <this module> <seed> <Evalchemy's arguments>`. The
environment names the file of events, the judge's model as its server calls it, and the data of alpaca_eval (see
protocol.py).
"""

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from stages.lib.core.process import exit_with_parent
from stages.lib.evaluation.protocol import (
    ANSWERED,
    DATA_VARIABLE,
    EVENTS_VARIABLE,
    JUDGE_MODEL_VARIABLE,
    REQUESTED,
    TRUNCATED,
    write_event,
)

TOKENS = ("prompt_tokens", "completion_tokens")


def empty_completion() -> Any:
    """Make an empty answer, which each of the three tasks counts as no verdict."""
    from openai.types.chat import ChatCompletion

    silence = {"token": "", "logprob": 0.0, "top_logprobs": []}
    choice = {
        "index": 0,
        "finish_reason": "content_filter",
        "message": {"role": "assistant", "content": ""},
        "logprobs": {"content": [silence]},
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    header = {"id": "", "object": "chat.completion", "created": 0, "model": ""}
    return ChatCompletion.model_validate({**header, "choices": [choice], "usage": usage})


def redirect_judge(events_path: Path, model: str) -> None:
    """Patch openai so that every chat completion asks `model`, and write an event for each request and answer.

    Evalchemy knows its judges by a few names; whatever it asks for, the server is asked for its own model. A request
    that the server refuses (400: too long for it, or a filter) gives no verdict; MixEval would draw a random one.
    """
    import openai
    from openai.resources.chat.completions import Completions

    original = Completions.create

    def create(self: Completions, *args: Any, **kwargs: Any) -> Any:
        write_event(events_path, REQUESTED)
        try:
            completion = original(self, *args, **kwargs | {"model": model})
        except openai.BadRequestError as error:
            print("the judge refuses a request:", error, flush=True)
            completion = empty_completion()
        usage = completion.usage
        write_event(events_path, ANSWERED, **({name: getattr(usage, name) for name in TOKENS} if usage else {}))
        return completion

    Completions.create = create  # type: ignore[method-assign]


def count_cut_prompts(events_path: Path) -> None:
    """Patch lm-eval to write an event when it cuts off the beginnings of prompts to fit the window, silently."""
    from lm_eval.models.huggingface import HFLM

    encode = HFLM.tok_batch_encode

    def tok_batch_encode(self: Any, strings: list[str], *args: Any, left_truncate_len: int = 0, **options: Any) -> Any:
        ids, mask = encode(self, strings, *args, **options)
        if left_truncate_len:
            if num_cut := int((mask.sum(dim=1) > left_truncate_len).sum()):
                write_event(events_path, TRUNCATED, prompts=num_cut)
            ids, mask = ids[:, -left_truncate_len:], mask[:, -left_truncate_len:]
        return ids, mask

    HFLM.tok_batch_encode = tok_batch_encode


def read_alpaca_data_from(folder: Path) -> None:
    """Patch `datasets` and the hub's client to give alpaca_eval its files; else it runs a script that it downloads."""
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
    """Seed the generators with which MTBench and alpaca_eval sample; Evalchemy does not."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def main() -> None:
    """Run Evalchemy's command line."""
    threading.Thread(target=exit_with_parent, daemon=True).start()
    seed, *sys.argv[1:] = sys.argv[1:]
    if "MixEval" in sys.argv:
        import nltk

        nltk.download = lambda *_args, **_options: True  # it asks for data that it does not use
    if folder := os.environ.get(DATA_VARIABLE):
        read_alpaca_data_from(Path(folder))
    from eval.eval import cli_evaluate

    events_path = Path(os.environ[EVENTS_VARIABLE])
    redirect_judge(events_path, os.environ[JUDGE_MODEL_VARIABLE])
    count_cut_prompts(events_path)
    seed_all(int(seed))
    cli_evaluate()


if __name__ == "__main__":
    main()
