"""Our own rows for the six leaderboard sets, with scores that are known whatever a model answers.

A question that appears twice, with either answer, is answered right once.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from stages.lib.core.sections import parse
from stages.lib.settings.evaluate import Evaluate
from tests.support.evaluation import SETTINGS, write_rows

Row = dict[str, Any]
TASKS = {
    "leaderboard_bbh": "acc_norm",
    "leaderboard_gpqa": "acc_norm",
    "leaderboard_math_hard": "exact_match_original",
    "leaderboard_musr": "acc_norm",
    "leaderboard_ifeval": "prompt_level_strict_acc",
    "leaderboard_mmlu_pro": "acc",
}
LOCAL = {
    "leaderboard_bbh": ["boolean_expressions", "navigate"],
    "leaderboard_gpqa": ["gpqa_diamond"],
    "leaderboard_math_hard": ["algebra", "leaderboard_math_geometry_hard"],
    "leaderboard_musr": ["murder_mysteries"],
    "leaderboard_ifeval": "all",
    "leaderboard_mmlu_pro": "all",
}


SECTION: dict[str, Any] = {
    "tasks_folder": "rows",
    "tasks": TASKS,
    "local_data": LOCAL,
    "averages": {"of_math": ["leaderboard_math_hard"]},
}


def section(**changes: Any) -> Evaluate:
    """The section `evaluate` with the six sets."""
    return parse(Evaluate, SETTINGS | SECTION | changes, "evaluate")


def musr(question: str, answer: int) -> Row:
    choices = ["the baker", "the miller"]
    story = {"narrative": "Flour lay on the floor of the mill.", "question": question, "choices": str(choices)}
    return {**story, "answer_index": answer, "answer_choice": choices[answer]}


def gpqa(question: str, right: str, *wrong: str) -> Row:
    return {"Question": question, "Correct Answer": right} | {
        f"Incorrect Answer {number}": text for number, text in enumerate(wrong, start=1)
    }


def math(problem: str, solution: str, level: str = "Level 5") -> Row:
    return {"problem": problem, "solution": solution, "level": level, "type": "Algebra"}


def ifeval(key: int, prompt: str, *instructions: tuple[str, Row]) -> Row:
    """A row as on the hub: each instruction has every argument that exists, most of them null."""
    unset: Row = dict.fromkeys(["num_words", "relation"])
    return {
        "key": key,
        "prompt": prompt,
        "instruction_id_list": [name for name, _ in instructions],
        "kwargs": [unset | arguments for _, arguments in instructions],
    }


def mmlu(question: str, answer: int) -> Row:
    row = {"question_id": 1, "question": question, "options": ["a tree", "a river"], "answer": "AB"[answer]}
    return {**row, "answer_index": answer, "cot_content": "", "category": "other", "src": "ours"}


MET = ("length_constraints:number_words", {"num_words": 5000, "relation": "less than"})
MISSED = ("length_constraints:number_words", {"num_words": 5000, "relation": "at least"})
FILES: dict[str, list[Row]] = {
    "leaderboard_bbh/boolean_expressions/test.jsonl": [
        {"input": "not ( True ) and True is", "target": target} for target in ("False", "True")
    ],
    "leaderboard_bbh/navigate/test.jsonl": [
        {"input": "Take 2 steps. Do you return to the start?\nOptions:\n- Yes\n- No", "target": target}
        for target in ("Yes", "Yes", "Yes", "Yes")
    ],
    "leaderboard_gpqa/gpqa_diamond/train.parquet": [
        gpqa("Which metal is liquid at room temperature?", "mercury", "iron", "zinc", "tin"),
        gpqa("Which gas do plants take in?", "carbon dioxide", "helium", "neon", "argon"),
    ],
    "leaderboard_math_hard/algebra/test.jsonl": [
        math("What is half of 1?", r"It is $\boxed{\frac{1}{2}}$."),
        math("What is 2 + 2?", r"It is $\boxed{4}$.", "Level 1"),
    ],
    "leaderboard_math_hard/geometry/test.jsonl": [
        math("How many sides has a square?", r"It has $\boxed{4}$."),
        math("What is the area of a square of side 3?", r"It is $\boxed{9}$."),
    ],
    "leaderboard_musr/murder_mysteries.csv": [musr("Who did it?", answer) for answer in (0, 1)],
    "leaderboard_ifeval/train.jsonl": [
        ifeval(1, "Write about the sea.", MET),
        ifeval(2, "Write about the moon.", MET, MISSED),
        ifeval(3, "Write about the sun.", MISSED),
    ],
    "leaderboard_mmlu_pro/test-00000-of-00001.parquet": [mmlu("What is the Elbe?", answer) for answer in (0, 1)],
    "leaderboard_mmlu_pro/validation-00000-of-00001.parquet": [mmlu("What is an oak?", 0)] * 5,
}


# Rows whose scores depend on the answer, and the answers: for `exact_match_original` (2024) and `exact_match`, and for
# IFEval strict and loose, which forgives a first line.
SURE = "I hope it is correct."
ANSWERED: dict[str, list[Row]] = {
    "leaderboard_math_hard/algebra/test.jsonl": [
        math("What is half of 1?", r"It is $\boxed{\frac{1}{2}}$."),
        math("What is 2 + 2?", r"It is $\boxed{4}$."),
        math("What is 3 + 3?", r"It is $\boxed{6}$."),
        math("What is 4 + 4?", r"It is $\boxed{8}$."),
    ],
    "leaderboard_ifeval/train.jsonl": [
        ifeval(1, "Write four words.", ("length_constraints:number_words", {"num_words": 5, "relation": "less than"})),
        ifeval(2, "Write about tea.", ("punctuation:no_comma", {}), MISSED),
    ],
}
ANSWERS = {
    "half of 1": rf"Final Answer: The final answer is $\frac{{2}}{{4}}$. {SURE}",  # right by both
    "2 + 2": r"Two and two make $\boxed{4}$.",  # right, but not in the form that the scoring of 2024 expects
    "3 + 3": rf"Final Answer: The final answer is $7$. {SURE}",  # wrong by both
    "4 + 4": "I do not know.",
    "four words": "Here are the words that you want:\nThe sea is wide.",
    "tea": "Tea is a drink.",
}


def write_files(folder: Path, files: dict[str, list[Row]] | None = None) -> None:
    """Write files of rows, in the formats of their names; by default FILES."""
    for name, rows in (FILES if files is None else files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows)
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        elif path.suffix == ".csv":
            pyarrow.csv.write_csv(table, path)
        else:
            write_rows(path, rows)
