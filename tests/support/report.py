"""A finished pipeline in miniature, and what a reader sees of its report."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.agreement import build_tables
from stages.differences import build_tables as build_differences
from stages.lib.comparison.evaluations import read_evaluations
from stages.lib.comparison.fine_tunes import FineTune
from stages.lib.core.files import read_json, sha256_folder, write_json
from stages.lib.core.numbers import round_decimals, round_significant
from stages.lib.generation.totals import name_machines, total_costs
from stages.lib.judging.judgment_grid import align_judgments
from stages.lib.records.answers import ANSWER
from stages.lib.records.judgments import JUDGMENT
from stages.lib.records.pairings import PAIRING
from stages.lib.records.responses import RESPONSE
from stages.lib.records.shards import read_table, write_table
from stages.lib.records.verdicts import VERDICT
from stages.lib.settings.sections import Differences, Preference, Styling
from stages.lib.style.features import FeatureCounts
from stages.lib.style.markup import FEATURES
from stages.preference import measure_preference
from stages.report import main
from stages.styling import measure_style
from tests.support.project import small_params
from tests.support.results import evaluations

HOSTILE = """<script>alert(1)</script> <img src=x onerror=alert(2)> [click](javascript:alert(3))

[a](https://evil.example) ![b](https://evil.example/pixel.png) <https://evil.example/auto>

**bold** `</div><script>alert(4)</script>` <svg onload=alert(5)> {{ 7 * 191 }}"""
PARAMS = """
profile: demo
dgms: [rich, plain]
compare: [base, tuned]
report: {num_examples: 2, num_conversations: 1}
"""
RECIPES = {"dgms": {"a": {"responses": "ab" * 32, "verdicts": "cd" * 32}}, "runs": {}}
TRAINED = {"train": {"tuned": {"seconds": 7200.0, "hardware": "H100 x2", "gpus": 2}}}
TOTALS = {"totals": total_costs(TRAINED, 2.5), "machines": name_machines(TRAINED)}
STYLING = Styling(parser="commonmark", num_responses=9, seed=1, resamples=50)


def turn_row(user: str, assistant: str, finish_reason: str = "stop") -> dict[str, Any]:
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_sha": ""}
    return {"user": user, "assistant": assistant, "finish_reason": finish_reason, **counts}


def measure_styles(models: list[str], dgms: list[str], **counts: int) -> dict[str, Any]:
    """Measure models and DGMs with two of every feature, or as many as given by name, on each of three questions."""
    answer = tuple(counts.get(name, 2) for name in FEATURES)
    counted = FeatureCounts({(number, 1): answer for number in range(3)})
    runs = {"tuned": {"base": "base", "sources": {"rich": {"kind": "dgm"}}}}
    return measure_style(dict.fromkeys(models, counted), dict.fromkeys(dgms, counted).items(), runs, STYLING)


def answer_row(number: int, *turns: dict[str, Any]) -> dict[str, Any]:
    return {"question_id": number, "category": "explain", "turns": list(turns), "status": "ok"}


def write_dgm(dgm: str, *replies: str) -> dict[str, str]:
    """Write a DGM's responses and the verdicts on them, and return their digests."""
    folders = {name: Path("data") / name / dgm for name in ("responses", "verdicts")}
    nothing = {"identity": "", "dgm": dgm, "reason": "", "history": "own", "seed": 0, "engine": ""}
    rows = [
        {"conversation_hash": f"{number}", "turns": [turn_row("Hm?", reply)], "status": "ok", **nothing}
        for number, reply in enumerate(replies)
    ]
    verdict = {"identity": "", "keep": True, "reasons": [], "language": "English", "toxic": False, "turns": 1}
    verdicts = [{"conversation_hash": row["conversation_hash"], **verdict} for row in rows]
    for folder, table, schema in zip(folders.values(), (rows, verdicts), (RESPONSE, VERDICT), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder, pa.Table.from_pylist(table, schema=schema))
    return {name: sha256_folder(folder) for name, folder in folders.items()}


def write_model(model: str, assistant: str, quiz: float | None) -> None:
    """Write one compared model: answers, judgments, a benchmark that went well and one that failed without a score."""
    answers = [
        answer_row(number, turn_row("Why?", assistant), turn_row("<b>And?</b>", assistant)) for number in range(3)
    ]
    judgments = [judgment_row(number, 5.0, "It is <b>dim</b>.") for number in range(3)]
    for name, rows, schema in (("answers", answers, ANSWER), ("judgments", judgments, JUDGMENT)):
        folder = Path("data") / name / model
        folder.mkdir(parents=True)
        write_table(folder, pa.Table.from_pylist(rows, schema=schema))
    write_json(Path(f"data/answers/{model}/.summary.json"), {"finish_reasons": {"stop": 5, "length": 1}})
    write_evaluation(model, quiz)
    counts = {"judge": "Solomon", "status": "ok", "failed": 0, "unanswered": 0}
    write_json(Path(f"metrics/judge/{model}.json"), counts)
    digests = {name: sha256_folder(Path("data") / name / model) for name in ("answers", "evaluations", "judgments")}
    write_json(Path(f"metrics/digests/models/{model}.json"), digests)


def write_evaluation(model: str, quiz: float | None) -> None:
    """Write a model's results on `math` and `quiz`, which failed where it has no score."""
    good = {"value": 0.5, "n": 4, "stderr": 0.1, "ci95": [0.304, 0.696], "unit": "fraction"}
    ran = {"status": "ok", "reason": None, "primary": "acc", "harness": "lm_eval", "harness_version": "0.4.13"}
    failed: dict[str, Any] = {
        **ran,
        "status": "failed",
        "reason": "OSError: <no disk>",
        "metrics": {},
        "harness_version": None,
    }
    tasks = {
        "math": {**ran, "metrics": {"acc": good}},
        "quiz": failed if quiz is None else {**ran, "metrics": {"acc": {**good, "value": quiz}}},
    }
    average = None if quiz is None else (0.5 + quiz) / 2
    results = {"tasks": tasks, "averages": {"average": {"columns": ["quiz", "math"], "value": average}}}
    write_json(Path(f"data/evaluations/{model}/results.json"), results | {"conditions": ["limit 4"]})
    scores = {"math": 0.5, "quiz": quiz, "average": average}
    write_json(Path(f"metrics/evaluate/{model}.json"), {"scores": scores, "n": {}, "conditions": ["limit 4"]})


def write_preference(stops: dict[str, Any] | None = None, /, **scores: float) -> None:
    """Write what `preference` writes of such judgments; `stops` is what `pairwise` decided."""
    tables, words = build_preference(stops, **scores)
    write_json(Path("data/preference/tables.json"), tables)
    folder = Path("data/preference/words_by_winner_of_all")
    folder.mkdir(exist_ok=True)
    write_table(folder, words["words_by_winner_of_all"])


def write_differences(*models: str) -> None:
    """Write what `differences` writes of the evaluations and judgments that are there."""
    evaluated = read_evaluations({model: Path("data/evaluations") / model for model in models}, {})
    grid = align_judgments({model: read_table(Path("data/judgments") / model) for model in models})
    settings = Differences(**small_params()["differences"])
    tables = build_differences(evaluated, grid, read_json(Path("data/preference/tables.json")), settings)
    write_json(Path("data/differences/tables.json"), round_significant(tables))


def build_preference(
    stops: dict[str, Any] | None = None, **scores: float
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Measure 20 judged questions: a model has the same score for all but the first, and a high score says `clear`."""
    rows = {
        model: [
            judgment_row(number, score + (number == 0), f"It is {'clear' if score > 5 else '<b>dim'}")
            for number in range(20)
        ]
        for model, score in scores.items()
    }
    tables = {model: pa.Table.from_pylist(judgments, schema=JUDGMENT) for model, judgments in rows.items()}
    pair = list(scores)[:2]
    both = [(pair[0], pair[1], first) for first in pair] if len(pair) == 2 else []
    choices = [pairing_row(one, other, number, first) for number in range(20) for one, other, first in both]
    sources = {model: {"sources": {pair[0]: {"kind": "dgm"}}} for model in pair[1:]}
    settings = Preference(seed=1, resamples=50, min_judgments=5, num_words=3)
    return measure_preference(tables, pa.Table.from_pylist(choices, schema=PAIRING), sources, settings, stops)


def judgment_row(number: int, score: float, text: str) -> dict[str, Any]:
    return {
        "question_id": number,
        "category": "c",
        "turn": 1,
        "score": score,
        "text": text,
        "chars": number,
        "status": "ok",
    }


def pairing_row(one: str, other: str, number: int, first: str) -> dict[str, Any]:
    """Return a choice: the second model wins, but on the first four questions the one that is shown first does."""
    winner = first if number < 4 else other
    pair = {"one": one, "other": other, "question_id": number, "turn": 1, "first": first, "winner": winner}
    return {**pair, "category": "c", "text": "", "status": "ok"}


def write_similarity() -> None:
    """Write the similarity of two DGMs on two prompts, without a METEOR score."""
    scored = {"n": 2, "mean": 0.65, "std": 0.25, "stderr": 0.1768}
    none = {"n": 0, "mean": None, "std": None, "stderr": None}
    scores = {"rouge1": scored, "rougeL": scored, "meteor": none}
    summary = {
        "prompts": 5, "pairs": 1, "synonyms": False, "share_read": 0.9,
        "unscorable": {"no_reply": 2, "no_token": 1, "few_letters_read": 3},
        "dgms": {"rich": scores, "plain": scores},
    }  # fmt: skip
    write_json(Path("data/similarity/.summary.json"), summary)
    write_json(Path("data/similarity/.pairs.json"), {"rich plain": {**scores, "meteor_reversed": none}})


def write_finished_pipeline() -> None:
    """Write the data and metrics of two DGMs, one run, and two compared models, of which one has a failed task."""
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    write_dgms()
    write_run()
    write_model("base", HOSTILE, quiz=None)
    write_model("tuned", "**Because.**", quiz=0.9)
    write_json(Path("data/styling/tables.json"), measure_styles(["base", "tuned"], ["rich", "plain"]))
    write_similarity()
    write_json(Path("data/agreement/tables.json"), build_tables(evaluations(), {}, {}, [], {}))
    write_pairwise()
    write_preference(base=4.0, tuned=8.0)
    write_differences("base", "tuned")


def write_dgms() -> None:
    """Write the prompts, two DGMs with the counts of their conversations and their cost, and the recipe of one run."""
    write_json(Path("data/prompts/.summary.json"), {"rows": 9, "prompts": 5, "left_out": {"null_content": 4}})
    reasons = {"dropped_by": {"loop": 1}, "found": {"loop": 1, "refusal": 2}, "not_checked": {"echo": 5}}
    for dgm in ("rich", "plain"):
        replies = {"replies": 8, "cut": 2 if dgm == "rich" else 0}
        write_json(Path(f"metrics/gate/{dgm}.json"), {"conversations": 5, "kept": 4, **replies, **reasons})
    digests = {"rich": write_dgm("rich", HOSTILE, "Yes."), "plain": write_dgm("plain", "No.")}
    sources = {"rich": {"kind": "dgm", "take": {"rows": 4}}}
    write_json(Path("metrics/recipes.json"), {"dgms": digests, "runs": {"tuned": {"base": "base", "sources": sources}}})
    tokens = {"conversations": 5, "prompt_tokens": 50, "cached_tokens": 10, "completion_tokens": 70}
    cost = {**tokens, "hours": 0.0, "gpu_hours": None, "money": None, "hardware": "", "engines": ["import"]}
    unknown = {"value": None, "ci95": None}
    kept = {"kept": 4, "kept_share": {"value": 0.8, "ci95": [0.2836, 0.9949]}, "valid_tokens_per_second": None}
    measured = tokens | kept | {"seconds_per_1000_kept": unknown, "money_per_1000_kept": unknown}
    nothing = {"comparisons": [], "left_out": {"plain": "no time is known"}}
    throughput = {"dgms": {"plain": measured, "rich": measured}, "costs": {"plain": cost, "rich": cost}}
    write_json(Path("data/throughput/summary.json"), {**throughput, "cost_and_quality": nothing, **TOTALS})


def write_suitability(**ratios: float) -> None:
    """Write what the base model `base` says of DGMs, by the ratio of each; only places have an interval."""
    numbers = {}
    for place, (dgm, ratio) in enumerate(sorted(ratios.items(), key=lambda item: item[1]), 1):
        cells = {"ratio": ratio, "surprisal": 2.0, "rank": 10.0, "tokens": 40.0}
        numbers[dgm] = {
            **{name: {"value": value, "ci95": None} for name, value in cells.items()},
            "place": {"value": place, "ci95": [1.0, 2.0]},
            "conversations": 9,
            "left_out": {"beyond_window": 1},
            "beyond_window": {"value": 0.1, "ci95": [0.0, 0.4]},
        }
    styles = {dgm: {"value": 1.5, "ci95": None} for dgm in ratios}
    write_json(Path("metrics/suitability/base.json"), {"dgms": numbers, "style_distance": styles})


def write_run() -> None:
    """Write the mix, the training, the loss and the model of the run `tuned`, whose source had too few rows."""
    mix = {"rows": 4, "asked": {"rich": {"rows": 6}}, "sources": {"rich": {"rows": 4}}}
    model = {"kind": "local", "location": "/home/me/x/tuned", "commit": "c0ffee" * 7}
    write_json(Path("metrics/mix/tuned.json"), mix)
    write_json(Path("metrics/train/tuned.json"), {"steps": 2, "last_loss": 1.5, "base": "base", "axolotl": "0.19.0"})
    write_json(Path("models/tuned/model.json"), model)
    Path("metrics/loss").mkdir()
    Path("metrics/loss/tuned.csv").write_text("step,epoch,loss\n1,0.5,2.0\n2,1.0,1.5\n", encoding="utf-8")
    digests = {"mix": "cd" * 32, "model": sha256_folder(Path("models/tuned"))}
    write_json(Path("metrics/digests/runs/tuned.json"), digests)


def write_pairwise() -> None:
    """Write one choice of a judge."""
    Path("data/pairwise").mkdir()
    write_table(Path("data/pairwise"), pa.Table.from_pylist([pairing_row("base", "tuned", 1, "base")], schema=PAIRING))


def render_report() -> str:
    """Run the stage, and return its page."""
    main()
    return Path("data/report/index.html").read_text(encoding="utf-8")


def visible_text(page: str) -> str:
    """Return what a reader sees, with single spaces."""
    body = re.sub(r"<script>.*?</script>", "", page[page.index("<body>") :], flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def render_comparisons(scores: dict[str, dict[str, Any]], runs: list[FineTune]) -> str:
    """Return what a reader sees of a page on which these models are compared."""
    Path("params.yaml").write_text(PARAMS.replace("[base, tuned]", f"[{', '.join(scores)}]"), encoding="utf-8")
    write_preference(**dict.fromkeys(scores, 5.0))
    for name in scores:
        write_model(name, "Yes.", quiz=0.5)
    write_differences(*scores)
    write_json(Path("data/styling/tables.json"), measure_styles([], []))
    families = {"base": "r", "rich": "r", "plain": "p"}
    write_json(
        Path("data/agreement/tables.json"),
        round_decimals(build_tables(evaluations(**scores), scores, {}, runs, families)),
    )
    return visible_text(render_report())
