"""The scores that came with replies, as the rows that the stage `preference` compares."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from commands.analyse.model_rows import ModelRows
from stages.lib.core.files import ROWS_SUMMARY, new_folder, write_json
from stages.lib.core.types import Json
from stages.lib.judging.judge_replies import count_statuses
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.shards import read_rows, write_table
from stages.lib.statistics.bootstrap import MAX_QUESTIONS


@dataclass(frozen=True, slots=True)
class Judgments:
    """Each DGM's table of JUDGMENT, and how many judgments are not in it."""

    tables: dict[str, pa.Table]
    num_left_out: int  # of other than the first MAX_QUESTIONS prompts

    @property
    def has_scores(self) -> bool:
        """Whether there is any score."""
        return any("ok" in table["status"].to_pylist() for table in self.tables.values())


def write_judgments(models: Mapping[str, ModelRows], out: Path) -> Judgments:
    """Write the judgments of every DGM that has any on the first MAX_QUESTIONS prompts of `out`."""
    prompts = read_rows(out / "prompts", ["conversation_hash"])
    places = {row["conversation_hash"]: place for place, row in enumerate(prompts)}
    tables: dict[str, pa.Table] = {}
    num_left_out = 0
    for dgm, model in models.items():
        rows = [to_judgment(row, places[row["conversation_hash"]]) for row in model.judgments()]
        kept = [row for row in rows if row["question_id"] < MAX_QUESTIONS]
        num_left_out += len(rows) - len(kept)
        if kept:
            tables[dgm] = write_table_of(out / "judgments" / dgm, kept)
    return Judgments(tables, num_left_out)


def to_judgment(row: Json, question_id: int) -> Json:
    """Build a row of JUDGMENT of one scored conversation, whose one score stands at its first turn."""
    has_score, has_reply = row["score"] is not None, row["chars"] > 0
    return {
        "question_id": question_id,
        "category": "",
        "turn": 1,
        "score": row["score"],
        "text": row["text"],
        "chars": row["chars"],
        "status": "ok" if has_score else "failed" if has_reply else "unanswered",
        "reason": "" if has_score else "no number in judge_score" if has_reply else "the model gave no reply",
    }


def write_table_of(folder: Path, rows: list[Json]) -> pa.Table:
    """Write one DGM's rows of JUDGMENT in the order of the prompts; return them as a table."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: int(row["question_id"])), schema=JUDGMENT)
    scores = [row["score"] for row in rows if row["score"] is not None]
    mean = round(sum(scores) / len(scores), 4) if scores else None
    summary = {"score": mean, "judge": "judge_score", "status": "ok", **count_statuses(rows)}
    with new_folder(folder) as draft:
        write_table(draft, table)
        write_json(draft / ROWS_SUMMARY, summary)
    return table
