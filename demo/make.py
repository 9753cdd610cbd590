"""Makes everything in this folder from the seed.

python -m demo.make data      prompts, auxiliary sets, questions, task items (seconds; always the same bytes)
python -m demo.make models    the tokenizer and the four models (minutes on a GPU; not bit-exact)
python -m demo.make judge     the judge alone, from the demo-base that is there
python -m demo.make check     the tokenizer's check and the figures of the README
"""

import argparse
import json
import os
import random
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from demo import check, data, train
from demo.cases import Case, Examiner, pair_case, single_case
from demo.corpus import base_document, chat_messages
from demo.lessons import Quiz
from demo.render import Style
from demo.tokens import save_tokenizer, train_tokenizer
from demo.world import SEED

FOLDER = Path(__file__).parent
BASE = train.Schedule(steps=12000, rows=64, rate=3e-3)
CHAT = train.Schedule(steps=3000, rows=64, rate=2e-3)
BASE_TEXTS = 800_000
CHAT_TEXTS = 200_000
JUDGE = train.Schedule(steps=8000, rows=32, rate=2e-3, row_tokens=2048, whole=True, warmup=200)
JUDGE_TEXTS = 600_000
JUDGE_CASES = 400  # of each kind, to check it with
TOKENIZER_TEXTS = 8_000
STYLES: dict[str, Style] = {"demo-rich": "rich", "demo-plain": "plain"}


def make_models(folder: Path) -> None:
    """Train the tokenizer, the base model, and from it the two chat models and the judge."""
    tokenizer = make_tokenizer(folder / "demo-base")
    make_model(folder / "demo-base", None, partial(train.base_pieces), (BASE, BASE_TEXTS), tokenizer)
    for name, style in STYLES.items():
        write = partial(train.chat_pieces, style)
        make_model(folder / name, folder / "demo-base", write, (CHAT, CHAT_TEXTS), tokenizer)
    make_judge(folder)


def make_judge(folder: Path) -> None:
    """Train the judge from the base model."""
    tokenizer = Tokenizer.from_file(str(folder / "demo-base" / "tokenizer.json"))
    write = partial(train.judge_pieces, tokenizer)
    make_model(folder / "demo-judge", folder / "demo-base", write, (JUDGE, JUDGE_TEXTS), tokenizer)


def make_tokenizer(folder: Path) -> Tokenizer:
    """Learn the tokenizer from both kinds of text."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{SEED}:tokenizer")
    texts = [base_document(rng) for _ in range(TOKENIZER_TEXTS)]
    texts += [text for _ in range(TOKENIZER_TEXTS // 8) for pair in chat_messages("rich", rng)[1] for text in pair]
    tokenizer = train_tokenizer(texts)
    save_tokenizer(tokenizer, folder)
    return tokenizer


def make_model(
    folder: Path,
    start: Path | None,
    write: train.Writer,
    plan: tuple[train.Schedule, int],
    tokenizer: Tokenizer,
) -> None:
    """Train one model, from random weights or from another model's, and write its folder."""
    schedule, num_texts = plan
    print(f"{folder.name}: writing {num_texts:,} texts", flush=True)
    row = schedule.row_tokens if schedule.whole else 0
    stream = train.corpus(folder.name, write, num_texts, tokenizer, os.cpu_count() or 1, row)
    print(f"{folder.name}: {stream.shape[1]:,} tokens", flush=True)
    model = LlamaForCausalLM.from_pretrained(start) if start else train.new_model(tokenizer)
    train.fit(model, stream, schedule, device())
    train.save_model(model, tokenizer, folder)
    if start:
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(start / name, folder / name)


def device() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load(folder: Path) -> tuple[LlamaForCausalLM, Tokenizer]:
    """A model as committed, on the device, and its tokenizer."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return model.to(device()).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


def ordinary_prompts(path: Path) -> list[list[str]]:
    """The user turns of the English conversations that are not awkward."""
    regular = {data.digest("conversation", str(index)) for index in range(data.NUM_CONVERSATIONS)}
    rows = pq.read_table(path).to_pylist()
    kept = [r for r in rows if r["conversation_hash"] in regular and r["language"] == "English"]
    return [[m["content"] for m in r["conversation"] if m["role"] == "user"] for r in kept]


def all_contents(folder: Path) -> Iterator[str]:
    """Every message of the prompts and the auxiliary sets, and of some training conversations in both styles."""
    for path in (folder / "prompts.parquet", folder / "auxiliary" / "algebra.parquet"):
        for row in pq.read_table(path).to_pylist():
            messages = row.get("messages") or row.get("conversation") or []
            yield from (m["content"] for m in messages if m["content"])
    for row in pq.read_table(folder / "auxiliary" / "knowledge.parquet").to_pylist():
        item = Quiz(row["question"], tuple(row["choices"]), row["answer"], row["subject"])
        yield from (item.prompt, item.solution)
    rng = random.Random(f"{SEED}:contents")
    for style in STYLES.values():
        yield from (text for _ in range(500) for pair in chat_messages(style, rng)[1] for text in pair)


def check_tokenizer(folder: Path) -> int:
    """How many messages have the same tokens in a conversation as alone; an error if one has not."""
    tokenizer = Tokenizer.from_file(str(folder / "models" / "demo-base" / "tokenizer.json"))
    return check.check_parts(tokenizer, all_contents(folder))


def check_models(folder: Path) -> dict[str, dict[str, float]]:
    """The figures of both chat models on the demo's prompts."""
    questions = ordinary_prompts(folder / "prompts.parquet")
    figures = {}
    for name in STYLES:
        torch.manual_seed(SEED)
        replies = check.converse(*load(folder / "models" / name), questions)
        figures[name] = check.measure(questions, replies)
    return figures


def check_judge(folder: Path) -> dict[str, dict[str, float]]:
    """The figures of the judge on written replies to combinations that no model trained on, and on models' replies."""
    judge, tokenizer = load(folder / "models" / "demo-judge")
    clip = partial(train.clip, tokenizer)
    written = [Examiner("held_out", clip, random.Random(f"{SEED}:check:{index}")) for index in range(JUDGE_CASES)]
    figures = judged(judge, tokenizer, "written", [e.single() for e in written], [e.pair() for e in written])
    return figures | judged(judge, tokenizer, "models", *model_cases(folder))


def judged(
    judge: LlamaForCausalLM, tokenizer: Tokenizer, name: str, singles: list[Case], pairs: list[Case]
) -> dict[str, dict[str, float]]:
    """The judge's figures on some cases."""
    told = check.ask_judge(judge, tokenizer, [case.prompt for case in singles])
    chosen = check.ask_judge(judge, tokenizer, [case.prompt for case in pairs])
    swapped = check.ask_judge(judge, tokenizer, [case.swapped for case in pairs])
    return {
        f"judge: {name}, single": check.measure_singles(singles, told),
        f"judge: {name}, pair": check.measure_pairs(pairs, chosen, swapped),
    }


def model_cases(folder: Path) -> tuple[list[Case], list[Case]]:
    """What the other three models answer to the two-turn questions: their second replies, alone and in pairs."""
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["turns"] for line in lines]
    torch.manual_seed(SEED)
    answers = [
        [[reply.text for reply in replies] for replies in check.converse(*load(folder / "models" / name), questions)]
        for name in ("demo-base", *STYLES)
    ]
    singles = [single_case(us, rs) for model in answers for us, rs in zip(questions, model, strict=True)]
    pairs = [
        pair_case(us, first, second)
        for one, other in combinations(answers, 2)
        for us, first, second in zip(questions, one, other, strict=True)
    ]
    return singles, pairs


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("data", "models", "judge", "check"))
    command = parser.parse_args().command
    if command == "data":
        data.write_all(FOLDER)
    elif command == "models":
        make_models(FOLDER / "models")
        show_figures(check_judge(FOLDER))
    elif command == "judge":
        make_judge(FOLDER / "models")
        show_figures(check_judge(FOLDER))
    else:
        print(f"{check_tokenizer(FOLDER):,} messages: the same tokens in a conversation as alone", flush=True)
        show_figures(check_models(FOLDER) | check_judge(FOLDER))


def show_figures(figures: dict[str, dict[str, float]]) -> None:
    """Print figures by what they are of."""
    print(json.dumps(figures, indent=2), flush=True)


if __name__ == "__main__":
    main()
