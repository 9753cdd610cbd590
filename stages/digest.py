"""The side of a cached out that git keeps: its numbers, and its digest for stages that fan in.

In:  the outs of one auxiliary set, one run, one other seed of a run, one compared model or one base model; all
     judgments, or the comparisons; the run's entry in recipes.json
Out: metrics/<stage>/<id>.json, metrics/loss/<id>.csv, metrics/digests/<kind>/<id>.json, metrics/digests/judgments.json,
     metrics/costs/<stage>/<id>.json
"""

from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.artifacts import DIGESTS, require_made
from stages.lib.core.costs import cost_path
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, read_json, sha256_folder, write_json, write_text
from stages.lib.settings.reading import run

METRICS, DATA, MODELS = Path("metrics"), Path("data"), Path("models")
JUDGMENTS = DIGESTS / "judgments.json"
# The comparisons, and the file of each that git keeps.
COMPARISONS = {
    "agreement": SUMMARY,
    "differences": SUMMARY,
    "preference": SUMMARY,
    "similarity": ROWS_SUMMARY,
    "styling": SUMMARY,
    "throughput": SUMMARY,
}


def digest_auxiliary(key: str) -> None:
    """Write the digest and the number of rows of an auxiliary set, which `recipes` reads."""
    folder = DATA / "auxiliary" / key
    rows = read_json(folder / ROWS_SUMMARY)["rows"]
    write_json(DIGESTS / "auxiliary" / f"{key}.json", {"rows": sha256_folder(folder), "kept": rows})


def digest_run(key: str) -> None:
    """Write the digests of a run's mix and model, the rows of its mix, and the numbers and the loss of its training."""
    write_training(key)
    digests = {"mix": sha256_folder(DATA / "mixes" / key), "model": sha256_folder(MODELS / key)}
    write_json(DIGESTS / "runs" / f"{key}.json", digests)
    asked = {"asked": read_json(METRICS / "recipes.json")["asked"][key]}
    write_json(METRICS / "mix" / f"{key}.json", asked | read_json(DATA / "manifests" / key / ROWS_SUMMARY))


def write_training(key: str) -> None:
    """Write the numbers and the loss of a model's training."""
    loss = (MODELS / key / "loss.csv").read_text(encoding="utf-8")
    write_text(METRICS / "loss" / f"{key}.csv", loss)
    write_json(METRICS / "train" / f"{key}.json", read_json(MODELS / key / SUMMARY))
    copy_cost("train", key)


def write_scores(key: str) -> None:
    """Write the scores of a model."""
    write_json(METRICS / "evaluate" / f"{key}.json", read_json(DATA / "evaluations" / key / SUMMARY))
    copy_cost("evaluate", key)


def digest_seed(key: str) -> None:
    """Write the numbers of another seed of a run: its training, its loss, its scores, the digest of its evaluation."""
    write_training(key)
    write_scores(key)
    digests = {"evaluations": sha256_folder(DATA / "evaluations" / key)}
    write_json(DIGESTS / "seeds" / f"{key}.json", digests)


def digest_answers(key: str) -> None:
    """Write the digest of a compared model's answers, for the stages that read those of all models."""
    write_json(DIGESTS / "answers" / f"{key}.json", {"answers": sha256_folder(DATA / "answers" / key)})


def digest_model(key: str) -> None:
    """Write the scores of a compared model, and the digests of its answers, evaluations and judgments."""
    judged = read_json(JUDGMENTS)[key]
    judgments = require_made("judgments", key, judged, "judge")
    write_scores(key)
    write_json(METRICS / "judge" / f"{key}.json", read_json(judgments / ROWS_SUMMARY))
    digests = {name: sha256_folder(DATA / name / key) for name in ("answers", "evaluations")}
    write_json(DIGESTS / "models" / f"{key}.json", digests | {"judgments": judged})
    copy_cost("answers", key)


def digest_suitability(key: str) -> None:
    """Write how well the DGMs' replies suit a base model."""
    write_json(METRICS / "suitability" / f"{key}.json", read_json(DATA / "suitability" / key / ROWS_SUMMARY))


def copy_cost(stage: str, key: str) -> None:
    """Write what a stage took for one model: apart from its numbers, on which other stages depend."""
    write_json(cost_path(stage, key, METRICS / "costs"), read_json(cost_path(stage, key)))


def digest_judgments() -> None:
    """Write the digest of every compared model's judgments: so the stages of one model run again for its own only."""
    folders = sorted(path for path in (DATA / "judgments").iterdir() if path.is_dir())
    write_json(JUDGMENTS, {folder.name: sha256_folder(folder) for folder in folders})


def digest_comparisons() -> None:
    """Write the summaries of the comparisons."""
    for name, summary in COMPARISONS.items():
        write_json(METRICS / f"{name}.json", read_json(DATA / name / summary))


KINDS = {
    "answers": digest_answers,
    "auxiliary": digest_auxiliary,
    "model": digest_model,
    "run": digest_run,
    "seed": digest_seed,
    "suitability": digest_suitability,
}
OF_ALL = {"comparison": digest_comparisons, "judgments": digest_judgments}  # whose key is `all`
READS = ()


def main(kind: str, key: str) -> None:
    """Write the numbers and digests of one set, run, seed, model or base, or of `all` of a kind of OF_ALL."""
    if kind in OF_ALL:
        OF_ALL[kind]()
    elif kind in KINDS:
        KINDS[kind](key)
    else:
        raise UserError(f"there is no kind {kind!r}; the kinds are {', '.join([*KINDS, *OF_ALL])}")


if __name__ == "__main__":
    run(main)
