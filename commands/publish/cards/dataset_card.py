"""The card of a dataset (README.md), and its LICENSE.md."""

from collections.abc import Mapping, Sequence

from huggingface_hub import DatasetCardData

from commands.publish.cards.languages import language_codes
from commands.publish.cards.markdown import render, with_metadata
from commands.publish.options import Options
from commands.publish.rows import MEANINGS
from commands.publish.sources import Dgm, Prompts, shared_license
from commands.publish.statistics import add_up
from stages.lib.core.numbers import sum_counts
from stages.lib.core.types import Json
from stages.lib.settings.licenses import License
from stages.lib.validation.checks import CHECKS

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGEST = "10M<n<100M"
MOST_LANGUAGES = 15  # in the card's table
NOT_NEEDED = "over_max_prompts"  # the reason of rows that could be prompts
SHOWN_COMMIT = 12  # characters
GATE = (
    "The prompts were written by people and can hold offensive texts and personal data, and the replies can repeat "
    "them. By asking for access you agree to keep to the licences in LICENSE.md, not to try to find out who wrote a "
    "prompt, and to report personal data that you find in the repository's discussions."
)
PER_PART: Json = {"license_name": "per-part", "license_link": "LICENSE.md"}
GATED: Json = {"extra_gated_heading": "Conditions of access", "extra_gated_prompt": GATE}


def build_card(provenance: Json, statistics: Json, prompts: Prompts, dgms: Sequence[Dgm], options: Options) -> str:
    """Return the card of a dataset."""
    configs, total = statistics["configs"], statistics["total"]
    content = {
        "name": options.name,
        "repository": options.repository,
        "origin": provenance,
        "is_demo": provenance["params"]["profile"] == "demo",
        "total": total,
        "dgms": [describe_dgm(dgm, configs[dgm.id]) for dgm in dgms],
        "left_out": sum_counts(each["left_out"] for each in configs.values()),
        "prompts": prompts,
        "not_needed": prompts.summary["left_out"].get(NOT_NEEDED, 0),
        "not_prompts": {name: count for name, count in prompts.summary["left_out"].items() if name != NOT_NEEDED},
        "validation": describe_validation(dgms),
        "languages": list(total["languages"].items())[:MOST_LANGUAGES],
        "num_languages": len(total["languages"]),
        "generate": provenance["params"]["generate"],
        "has_generated": any(not dgm.is_import for dgm in dgms),
        "has_imported": any(dgm.is_import for dgm in dgms),
        "licenses": [license_ for license_ in list_licenses(prompts, dgms) if license_.replies],
        "columns": MEANINGS,
        "options": options,
    }
    return with_metadata(build_metadata(total, prompts, dgms, options), render("dataset_card.md", content))


def build_metadata(total: Json, prompts: Prompts, dgms: Sequence[Dgm], options: Options) -> str:
    """Return the YAML that the hub reads."""
    license_ = shared_license(list_licenses(prompts, dgms))
    configs = [
        {
            "config_name": dgm.id,
            "data_files": [{"split": "train", "path": f"data/{dgm.id}/train-*.parquet"}],
            **({"default": True} if number == 0 else {}),
        }
        for number, dgm in enumerate(dgms)
    ]
    data = DatasetCardData(
        pretty_name=options.name,
        license=license_,
        language=language_codes(total["languages"]) or None,
        size_categories=[next((name for most, name in SIZES if total["rows"] < most), LARGEST)],
        task_categories=["text-generation"],
        source_datasets=[prompts.hub] if prompts.hub else None,
        tags=["synthetic", "conversations", "rewild"],
        configs=configs,
        **(PER_PART if license_ == "other" else {}),
        **(GATED if options.gated else {}),
    )
    return str(data.to_yaml())


def list_licenses(prompts: Prompts, dgms: Sequence[Dgm]) -> list[License]:
    """List the different licences of a dataset's parts, that of the prompts first."""
    return list(dict.fromkeys([prompts.license, *(dgm.license for dgm in dgms)]))


def describe_dgm(dgm: Dgm, counts: Json) -> Json:
    """Return what the card says of a DGM and its rows."""
    return {
        "id": dgm.id,
        "name": dgm.entry.name,
        "source": dgm.source,
        "commit": "" if dgm.model.commit == dgm.model.location else dgm.model.commit[:SHOWN_COMMIT],
        "license": dgm.license,
        "rows": counts["published"],
        "validation": counts["validation"],
        "is_import": dgm.is_import,
        "precision": "as imported" if dgm.is_import else describe_precision(dgm),
        "sampling": "–" if dgm.is_import else describe_sampling(dgm.ledger["asked"]["sampling"]),  # noqa: RUF001
        "engines": ", ".join(dgm.ledger["engines"]),
        "hardware": ", ".join(dgm.ledger.get("hardware", [])),
        "system_prompt": dgm.model.system_prompt,
    }


def describe_precision(dgm: Dgm) -> str:
    """Return in which precision a model ran; a server does not tell."""
    if dgm.model.kind == "server":
        return "not known"
    return dgm.model.quantization if dgm.model.quantization != "none" else dgm.model.dtype


def describe_sampling(sampling: Mapping[str, float]) -> str:
    """Return the sampling that a model was asked with, without what is off."""
    off = {"top_k": 0, "min_p": 0, "repetition_penalty": 1, "top_p": 1}
    return ", ".join(f"{name} {value:g}" for name, value in sampling.items() if off.get(name) != value)


def describe_validation(dgms: Sequence[Dgm]) -> Json:
    """Add up what validation found in all conversations of the DGMs, with the meaning of every reason."""
    names = ("conversations", "kept", "replies", "cut", "found", "dropped_by", "not_checked")
    total = add_up({name: dgm.gate[name] for name in names} for dgm in dgms)
    reasons = [
        {
            "name": name,
            "meaning": explain_reason(name),
            "found": number,
            "dropped": total["dropped_by"].get(name, 0),
        }
        for name, number in total["found"].items()
    ]
    return {**total, "reasons": reasons, "dropped": total["conversations"] - total["kept"]}


def explain_reason(name: str) -> str:
    """Return what a reason of validation means; of an open reason, what all of its kind mean."""
    meanings = [check.meaning for check in CHECKS if check.name == name]
    prefix = name.partition("_")[0]
    return "; or ".join(meanings or [check.meaning for check in CHECKS if check.name.startswith(f"{prefix}_<")])


def build_license(prompts: Prompts, dgms: Sequence[Dgm]) -> str:
    """Return the LICENSE.md of a dataset: the licence of each part, and what it says of replies."""
    parts = [
        {"name": f"Prompts and their labels ({prompts.source})", "license": prompts.license},
        *({"name": f"Replies in the config {dgm.id} ({dgm.entry.name})", "license": dgm.license} for dgm in dgms),
    ]
    return render("license.md", {"parts": parts, "licenses": list_licenses(prompts, dgms), "kind": "dataset"})
