"""Conversations to validate: settings, good and bad replies, responses as the stages write them."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages import validate
from stages.generate import write_responses
from stages.lib.core.files import read_json
from stages.lib.core.types import Row
from stages.lib.engines.request import RequestConfig, identity
from stages.lib.models.catalogue import Model
from stages.lib.records.prompts import PROMPT
from stages.lib.records.shards import write_table
from stages.lib.settings.sections import Validate
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.verdicts import make_verdict
from tests.support.conversations import CONFIG, MODEL, GivenRows, answered_row, stored_row

SETTINGS = Validate(
    finish_reasons=["stop"], min_chars=1, max_loop_chars=400, min_compressed_share=0.09, off_topic_words=0,
    report_only=["refusal", "other_language"],
)  # fmt: skip
WITH_TOPICS = SETTINGS.model_copy(update={"off_topic_words": 10})
IMPORT = MODEL.model_copy(update={"kind": "import", "location": "reference"})
ENGLISH = "Tell me in a few sentences what a harbour is for and who works there every day, please."
# Reasons that are not checked where no request is known, where the user's text is not, and where the prompt is not.
WITHOUT_REQUEST = ["finish_length", "history_broken", "no_end_of_turn", "not_as_asked", "token_counts"]
WITHOUT_USER = ["echo", "off_topic", "other_language", "prompt_altered", "turns_swapped"]
WITHOUT_PROMPT = [
    "history_broken", "not_as_asked", "prompt_altered", "token_counts", "turns_missing", "turns_swapped",
]  # fmt: skip


def prompt(*users: str) -> Row:
    """A prompt of these user messages."""
    return {"conversation_hash": "h", "turns": [{"user": user, "reference": "Yes."} for user in users]}


def generated(*users: str) -> Row:
    """A response to these user messages, as `generate` writes it."""
    return stored_row(identity(prompt(*users), MODEL, CONFIG, "echo"), *users)


def verdict(
    row: Row, prompt: Row | str, settings: Validate = SETTINGS, model: Model = MODEL, config: RequestConfig = CONFIG
) -> Row:
    """The verdict on a response to a prompt."""
    return make_verdict(CheckInput(row, prompt, settings, model, config))


def reasons(row: Row, *users: str) -> list[str]:
    """The reasons that a response to these user messages gives."""
    names: list[str] = verdict(row, prompt(*users))["reasons"]
    return names


def import_reasons(reply: str, user: str = "Hi?", config: RequestConfig = CONFIG) -> list[str]:
    """The reasons that one imported reply gives: nothing but its text is known."""
    row = generated(user)
    row["turns"][0] |= {"assistant": reply, "finish_reason": "imported"}
    names: list[str] = verdict(row, prompt(user), model=IMPORT, config=config)["reasons"]
    return names


def generate(name: str, *users: str, config: RequestConfig = CONFIG) -> Row:
    """A response of this name to these user messages, as `generate` writes it."""
    return answered_row(prompt(*users) | {"conversation_hash": name}, config)


def write_prompts(
    monkeypatch: pytest.MonkeyPatch, prompts: dict[str, list[str]], model: Model = MODEL, config: RequestConfig = CONFIG
) -> None:
    """Write prompts where the stage looks for them, and replace the model and params that it would load."""
    more = {"source": "s", "language": "English", "toxic": False}
    rows = [prompt(*users) | {"conversation_hash": name} | more for name, users in prompts.items()]
    Path("data/prompts").mkdir(parents=True)
    write_table(Path("data/prompts"), pa.Table.from_pylist(rows, schema=PROMPT))
    monkeypatch.setattr(validate, "load_model", lambda _: model)
    monkeypatch.setattr(validate, "load", lambda *_: SETTINGS)
    monkeypatch.setattr(validate, "dgm_config", lambda *_: config)


def validate_rows(*shards: list[Row]) -> dict[str, Any]:
    """Write rows as shards of responses and run the stage; its summary."""
    write_responses(GivenRows(*shards), [])
    validate.main("m")
    summary: dict[str, Any] = read_json(Path("data/verdicts/m/.summary.json"))
    return summary


KOREAN = "항구는 매일 아침에 열립니다. 어부들은 그곳에서 생선을 팔고 배를 고칩니다."


PASTED = "import numpy as np\nprices = np.array([3, 5, 8])\nprint(prices.mean())  # their mean\n"


LOG = "".join(
    f"2021-08-01 12:{n // 60:02d}:{n % 60:02d},10.0.0.{n % 9},GET,/page/{n * 7919 % 997}\n" for n in range(120)
)


NAMES = ("Ada", "Bert", "Cleo", "Dario", "Eve", "Finn", "Greta")


GOOD = {
    "short": ("2+5?", "7"),
    "one word": ("Is the harbour open on Sundays? Answer with one word.", "Yes"),
    "chinese": ("海港什么时候开放?渔民在那里做什么?", "是的,海港每天早上开放,渔民们在那里卖鱼。" * 2),
    "japanese": ("港について短く教えてください。", "港は毎朝開きます。漁師たちはそこで魚を売り、船を直します。"),
    "korean": ("항구에 대해 짧게 알려 주세요.", KOREAN),
    "arabic": (
        "ما هو الميناء ومن يعمل فيه كل يوم؟",
        "الميناء مكان آمن للسفن، ويعمل فيه الصيادون والمرشدون كل يوم من الصباح إلى المساء.",
    ),
    "russian": (
        "Расскажи коротко, зачем нужна гавань.",
        "Гавань даёт кораблям укрытие, и там каждый день работают рыбаки и лоцманы.",
    ),
    "translation": (
        f"Translate into German: {ENGLISH}",
        "Sag mir in ein paar Sätzen, wozu ein Hafen dient und wer dort täglich arbeitet.",
    ),
    "asked for another language": (f"{ENGLISH} Use only Korean.", KOREAN),
    "asked in Chinese below English code": (
        PASTED + "请解释上面的代码。",
        "这段代码先建立一个价格数组,然后计算并打印这些价格的平均值,非常简单。",
    ),
    "verse quoted": (
        ENGLISH,
        "Harbours are for ships, as in the old line 潮落江平未有风,扁舟共济与君同。 Fishermen work there every day.",
    ),
    "code": ("Set the first sixty.", "```python\n" + "".join(f"x[{n}] = {n}\n" for n in range(60)) + "```"),
    "operators": ("Assign two values in R.", "x <- c(1, 2); text = '<eos>' # end of sequence"),
    "table": ("Squares?", "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(30))),
    "table of like rows": (
        "Which days?",
        "| day | open | staff |\n|---|---|---|\n"
        + "".join(
            f"| {n}. May | from {7 + n % 3} to {15 + n * 5 % 7} | {NAMES[n % 7]} and {NAMES[n * 3 % 5]} |\n"
            for n in range(31)
        ),
    ),
    "log": ("Make up a log.", LOG),
    "numbers": ("Primes?", ", ".join(str(n) for n in range(2, 400) if all(n % d for d in range(2, n)))),
    "poem with a refrain": ("A poem?", "The sea, the sea,\nthe sea, the sea,\nit sings to me.\n" * 3),
    "chorus twice": (
        "A song?",
        "\n\n".join(
            [
                "The harbour sleeps, the lamps are low,\nand all the tides come in and go,\nthe gulls have flown, the"
                " nets are dry,\nand one by one the boats go by."
            ]
            * 2
        ),
    ),
    "json": (
        "As JSON?",
        "[" + ", ".join(f'{{"id": {n}, "berth": {n * 7919 % 97}, "pilot": "{NAMES[n % 7]}"}}' for n in range(40)) + "]",
    ),
    "base64": (
        "Encode it.",
        base64.b64encode(b"".join(hashlib.sha512(bytes([n])).digest() for n in range(12))).decode(),
    ),
    "hex": ("Dump it.", " ".join(f"{n * 7919 % 256:02x}" for n in range(256))),
    "latex": (
        "Derive it.",
        "\\begin{align}\n"
        + "".join(f"a_{{{n}}} &= \\frac{{{n}}}{{{n + 1}}} \\\\\n" for n in range(25))
        + "\\end{align}",
    ),
    "roles in prose": ("Rights?", "Human rights are for everyone. User: is a role. I can't wait to see the harbour!"),
    "no refusal": ("A diary page?", "As I sit by the harbour I can't help but feel at home. I will write of it."),
    "a limit, then the answer": ("A list?", "While I cannot provide prices, here are ten harbours."),
    "a few words again and again": ("Say it ten times.", "banana " * 10),
    "calendar": (
        "June?",
        "| Mo | Tu | We | Th | Fr | Sa | Su |\n"
        + "|----" * 7
        + "|\n"
        + "".join(
            "".join(f"| {day if 1 <= day <= 30 else '':>2} " for day in range(week, week + 7)) + "|\n"
            for week in range(-2, 31, 7)
        ),
    ),
    "sheet of a person": (
        "Make up a hero.",
        "Name: Blue Gull\n\nUser: A young sailor\n\nAbilities: It flies.\nIt dives.",
    ),
    "tokens are the subject": (
        "How does a tokenizer mark the end?",
        "It adds the <eos> token, or `</s>`, or '<|im_end|>'. [MASK] hides a word.",
    ),
    "struck through": ("An offer?", "Now for <s>30</s> 20 crowns!"),
    "a question, then its answer": (ENGLISH, ENGLISH + " It is for ships, and fishermen work there."),
    "a dialogue that was asked for": (
        "Write a talk with an assistant.",
        "User: Is it open?\nAssistant: It is.\nUser: Thanks!",
    ),
    "cut is the subject": ("What does the shell say?", "It prints (truncated) after the last line."),
}

BAD = {
    "empty": " \n",
    "loop": "na " * 200,
    "broken_characters": "A broken \ufffd character.",
    "control_token": "Sure.<|im_end|>\n<|im_start|>user",
    "template_leak": "Sure.\n### Instruction:\nNow another",
    "thinking_leak": "<think>Hm.</think>Sure.",
    "thinking_unclosed": "<think>Hm, and then",
    "refusal": "I'm sorry, but I can't help with that.",
}
