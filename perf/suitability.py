"""The scores of conversations under a base model: ours, the public code of the Rank-Surprisal Ratio, and vLLM.

python -m perf.suitability MODEL CONVERSATIONS [--num 50] [--public FOLDER]

MODEL is a folder with weights and a chat template in ChatML, which the public code can read; CONVERSATIONS a parquet
file in WildChat's schema, whose replies are scored. FOLDER is a clone of github.com/UmeanNever/RankSurprisalRatio. All
three read the same conversations in float32 on the CPU; the table has their seconds and how far their numbers are from
ours at most.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from stages.lib.models.catalogue import Model, weights_digest
from stages.lib.records.chats import Message
from stages.lib.suitability.encoding import Encoder, Encoding
from stages.lib.suitability.scores import MAX_RANK, mean_rank
from stages.lib.suitability.student import Student

WINDOW = 2048


@dataclass(frozen=True)
class Scored:
    """The means of each conversation, [conversation], and the seconds before the first and for all."""

    ranks: Any
    surprisals: Any
    start: float
    seconds: float

    @property
    def ratio(self) -> float:
        """The Rank-Surprisal Ratio of all conversations."""
        return float(self.ranks.mean() / self.surprisals.mean())


def read_chats(path: Path, num: int) -> list[list[Message]]:
    """Read the first conversations, by their hashes."""
    table = pq.read_table(path, columns=["conversation_hash", "conversation"]).sort_by("conversation_hash")
    return [
        [{"role": message["role"], "content": message["content"]} for message in row["conversation"]]
        for row in table.slice(0, num).to_pylist()
    ]


def encode(model: Model, chats: Sequence[list[Message]]) -> tuple[list[list[Message]], list[Encoding]]:
    """Encode the chats that can be scored; return them too."""
    encoder = Encoder(model, WINDOW)
    encoded = [(chat, encoder.encode(chat)) for chat in chats]
    kept = [(chat, encoding) for chat, encoding in encoded if isinstance(encoding, Encoding)]
    return [chat for chat, _ in kept], [encoding for _, encoding in kept]


def score_ours(model: Model, encodings: Sequence[Encoding]) -> Scored:
    """Score them as the stage does."""
    began = time.monotonic()
    student = Student(model, "cpu")
    started = time.monotonic()
    found = [student.read(encoding) for encoding in encodings]
    ranks = np.array([mean_rank(scores.ranks) for scores in found])
    surprisals = np.array([scores.surprisals.mean() for scores in found])
    return Scored(ranks, surprisals, started - began, time.monotonic() - started)


def score_vllm(model: Model, encodings: Sequence[Encoding]) -> Scored:
    """Score them with vLLM's `prompt_logprobs`."""
    began = time.monotonic()
    from vllm import LLM, SamplingParams

    engine = LLM(model.location, dtype="float32", max_model_len=WINDOW + 1, enforce_eager=True, disable_log_stats=True)
    started = time.monotonic()
    asked: Any = [{"prompt_token_ids": encoding.ids} for encoding in encodings]
    outputs = engine.generate(asked, SamplingParams(max_tokens=1, prompt_logprobs=0), use_tqdm=False)
    ranks, surprisals = [], []
    for output, encoding in zip(outputs, encodings, strict=True):
        known: Any = output.prompt_logprobs
        own = [known[place][encoding.ids[place]] for place in encoding.positions]
        ranks.append(np.mean([min(token.rank, MAX_RANK) for token in own]))
        surprisals.append(-np.mean([token.logprob for token in own]))
    return Scored(np.array(ranks), np.array(surprisals), started - began, time.monotonic() - started)


def score_public(folder: Path, model: Model, chats: Sequence[list[Message]]) -> Scored:
    """Score them with the public code, one conversation in a batch as ours."""
    sys.path.insert(0, str(folder))
    sys.modules.setdefault("fire", ModuleType("fire"))  # of its command line, which is not used
    began = time.monotonic()
    import torch
    from rsr_cal import compute_sample_metrics, infer_dataset  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.location)
    weights = AutoModelForCausalLM.from_pretrained(model.location, dtype=torch.float32).eval()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "chats.json"
        file.write_text(json.dumps([{"id": n, "messages": chat} for n, chat in enumerate(chats)]), encoding="utf-8")
        inferred = infer_dataset(weights, tokenizer, file, batch_size=1)
        _, samples = compute_sample_metrics(inferred)
    ranks, surprisals = (np.array([each[name] for each in samples]) for name in ("avg_rank_clip", "avg_surprisal"))
    return Scored(ranks, surprisals, started - began, time.monotonic() - started)


def print_row(name: str, scored: Scored, ours: Scored, tokens: int) -> None:
    """Print one row of the table."""
    far = [float(np.abs(one - other).max()) for one, other in zip(
        (scored.ranks, scored.surprisals), (ours.ranks, ours.surprisals), strict=True
    )]  # fmt: skip
    cells = [name, f"{scored.ratio:.4f}", f"{far[0]:.2g}", f"{far[1]:.2g}", f"{scored.start:.1f}"]
    print("|", " | ".join([*cells, f"{scored.seconds:.1f}", f"{tokens / scored.seconds:,.0f}"]), "|", flush=True)


def main() -> None:
    """Score the conversations in each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("conversations", type=Path)
    parser.add_argument("--num", type=int, default=50)
    parser.add_argument("--public", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    model = Model(
        id=args.model.name,
        name=args.model.name,
        kind="local",
        location=str(args.model.resolve()),
        commit=weights_digest(args.model),
        parameters_billions=0.0,
        context_window=WINDOW,
        dtype="float32",
    )
    chats, encodings = encode(model, read_chats(args.conversations, args.num))
    tokens = sum(len(encoding.ids) for encoding in encodings)
    print(f"{len(chats)} conversations of {tokens:,} tokens, {sum(len(each.positions) for each in encodings):,} scored")
    print("| | ratio | ranks off by | surprisals off by | seconds to start | to read | tokens per second |")
    print(f"|{'---|' * 7}")
    ours = score_ours(model, encodings)
    print_row("ours", ours, ours, tokens)
    if args.public:
        print_row("public code", score_public(args.public, model, chats), ours, tokens)
    print_row("vLLM, `prompt_logprobs`", score_vllm(model, encodings), ours, tokens)


if __name__ == "__main__":
    main()
