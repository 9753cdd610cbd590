"""The side of a cached out that git keeps: its numbers, and its digest for stages that fan in.

In:  the outs of one auxiliary set, one run, one compared model, or the comparisons; what the run asked for
Out: metrics/<stage>/<id>.json, metrics/loss/<run>.csv, metrics/digests/<kind>/<id>.json
"""

from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.files import ROWS_SUMMARY, SUMMARY, read_json, sha256_folder, write_json, write_text
from stages.lib.settings.reading import run

METRICS, DATA = Path("metrics"), Path("data")
DIGESTS = METRICS / "digests"


def digest_auxiliary(key: str) -> None:
    """One auxiliary set: what `recipes` needs of it."""
    folder = DATA / "auxiliary" / key
    rows = read_json(folder / ROWS_SUMMARY)["rows"]
    write_json(DIGESTS / "auxiliary" / f"{key}.json", {"rows": sha256_folder(folder), "kept": rows})


def digest_run(key: str) -> None:
    """One run: what its mix holds and how its training went."""
    curve = (Path("models") / key / "loss.csv").read_text(encoding="utf-8")
    write_text(METRICS / "loss" / f"{key}.csv", curve)
    digests = {"mix": sha256_folder(DATA / "mixes" / key), "model": sha256_folder(Path("models") / key)}
    write_json(DIGESTS / "runs" / f"{key}.json", digests)
    asked = {"asked": read_json(METRICS / "recipes.json")["asked"][key]}
    write_json(METRICS / "mix" / f"{key}.json", asked | read_json(DATA / "manifests" / key / ROWS_SUMMARY))
    write_json(METRICS / "train" / f"{key}.json", read_json(Path("models") / key / SUMMARY))


def digest_model(key: str) -> None:
    """One compared model: its scores, and the digest of its answers, evaluations and judgments."""
    folders = {name: DATA / name / key for name in ("answers", "evaluations", "judgments")}
    write_json(METRICS / "evaluate" / f"{key}.json", read_json(folders["evaluations"] / SUMMARY))
    write_json(METRICS / "judge" / f"{key}.json", read_json(folders["judgments"] / ROWS_SUMMARY))
    digests = {name: sha256_folder(folder) for name, folder in folders.items()}
    write_json(DIGESTS / "models" / f"{key}.json", digests)


def digest_comparison() -> None:
    """The comparisons of all models."""
    for name in ("agreement", "preference", "similarity", "styling", "throughput"):
        summary = ROWS_SUMMARY if name == "similarity" else SUMMARY
        write_json(METRICS / f"{name}.json", read_json(DATA / name / summary))


KINDS = {"auxiliary": digest_auxiliary, "run": digest_run, "model": digest_model}


READS = ()


def main(kind: str, key: str) -> None:
    """Digest one thing of a kind; `comparison all` digests the comparisons."""
    if kind == "comparison":
        digest_comparison()
    elif kind in KINDS:
        KINDS[kind](key)
    else:
        raise UserError(f"no kind {kind!r}; known: {', '.join(KINDS)}, comparison")


if __name__ == "__main__":
    run(main)
