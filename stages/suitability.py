"""How well the replies of each DGM suit one base model, before anything is trained (arXiv 2601.14249).

The base model reads the first kept conversations of every DGM as training would see them. How surprising their reply
tokens are, and how high it ranks them, gives the Rank-Surprisal Ratio; its own replies to the same prompts give the
distance in style. The order that the ratio predicts was validated on reasoning in mathematics, not on chat.

In:  data/prompts/, data/responses/<dgm>/ and data/verdicts/<dgm>/ of every DGM, models/<base>/model.json, the store
Out: data/suitability/<base>/: rows of SUITABILITY; .summary.json has the numbers of each DGM
"""

from itertools import islice
from pathlib import Path

import pyarrow as pa

from stages.lib.console.shell import log_line
from stages.lib.core.artifacts import require_folder
from stages.lib.core.files import ROWS_SUMMARY, new_folder, read_json, write_json
from stages.lib.core.types import Json, Row
from stages.lib.engines.request import dgm_config, with_reply_format
from stages.lib.generation.cached import CachedGeneration
from stages.lib.generation.place import open_store
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.shards import read_rows, write_table
from stages.lib.settings.reading import load, run
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Generate, Parser, Styling, Suitability, Train
from stages.lib.statistics.bootstrap import Bootstrap
from stages.lib.style.distances import measure_distances
from stages.lib.style.features import align_answers, count_answers
from stages.lib.suitability.kept_chats import read_kept_chats
from stages.lib.suitability.ratio import describe_suitability, sort_by_place
from stages.lib.suitability.scores import SCORE, Scorer

OWN = ""  # the base model itself, among the ids of DGMs
PROMPTS = Path("data/prompts")
SUITABILITY = pa.schema([
    ("dgm", pa.string()),  # whose conversation it is
    ("conversation_hash", pa.string()),  # the prompt
    *SCORE,
])


Folders = dict[str, dict[str, Path]]  # of each DGM: responses and verdicts


def find_folders(digests: dict[str, dict[str, str]]) -> Folders:
    """Return the folders of every DGM, which have the digests of metrics/recipes.json."""
    made_by = {"responses": "generate", "verdicts": "validate"}
    return {
        dgm: {name: require_folder(Path("data") / name / dgm, each[name], f"{made_by[name]}@{dgm}") for name in made_by}
        for dgm, each in digests.items()
    }


def score_replies(scorer: Scorer, folders: Folders, num_conversations: int) -> dict[str, dict[str, Row]]:
    """Score the first kept conversations of every DGM: a row of SCORE by prompt for each."""
    scores = {}
    for dgm, each in folders.items():
        chats = read_kept_chats(each["responses"], each["verdicts"], num_conversations)
        scores[dgm] = dict(zip(chats, scorer.score([*chats.values()], dgm), strict=True))
    return scores


def generate_own(base: Model, prompts: list[Row], generate: Generate, runtime: Runtime) -> list[Row]:
    """Return the base model's own conversations on the prompts, generated and stored as those of a DGM."""
    config = with_reply_format(dgm_config(base, generate), base, generate.engine)
    store = open_store(base.id)
    with store.exclusive():
        rows: list[Row] = CachedGeneration(base, config, generate.engine, store, runtime).table(prompts).to_pylist()
    return rows


def measure_style(own: list[Row], folders: Folders, settings: Suitability, parser: Parser) -> dict[str, Json]:
    """Measure how far the style of each DGM is from the base model's own, on the turns that both answered."""
    rows = {dgm: islice(read_rows(each["responses"]), len(own)) for dgm, each in folders.items()}
    counts = {name: count_answers(each, "conversation_hash", parser) for name, each in {OWN: own, **rows}.items()}
    grid = align_answers(counts)
    return measure_distances(OWN, grid, Bootstrap(grid.questions, settings.resamples, settings.seed))


def summarize(scores: dict[str, dict[str, Row]], styles: dict[str, Json], settings: Suitability) -> Json:
    """Return the numbers of each DGM."""
    dgms = describe_suitability(scores, settings.resamples, settings.seed)
    return {
        "dgms": sort_by_place(dgms),  # object: the scores of each DGM, the best predicted first
        "style_distance": styles,  # object: of each DGM, from the base model's own, in standard deviations of a reply
    }


def write_suitability(folder: Path, scores: dict[str, dict[str, Row]], summary: Json) -> None:
    """Write the folder of the stage."""
    rows = [
        {"dgm": dgm, "conversation_hash": prompt, **row} for dgm, each in scores.items() for prompt, row in each.items()
    ]
    with new_folder(folder) as new:
        write_table(new, pa.Table.from_pylist(rows, schema=SUITABILITY))
        write_json(new / ROWS_SUMMARY, summary)


READS = ("suitability", "train.sequence_length", "generate", "styling.parser", "runtime")


def main(base: str) -> None:
    """Measure how well the replies of every DGM suit one base model."""
    settings, model = load(Suitability), load_model(base)
    folders = find_folders(read_json(Path("metrics/recipes.json"))["dgms"])
    prompts = list(islice(read_rows(PROMPTS), settings.num_conversations))
    own = generate_own(model, prompts, load(Generate), load(Runtime))  # first: its engine may need the whole GPU
    scorer = Scorer(model, load(Train).sequence_length, settings.device)
    scores = score_replies(scorer, folders, settings.num_conversations)
    summary = summarize(scores, measure_style(own, folders, settings, load(Styling).parser), settings)
    write_suitability(Path("data/suitability") / base, scores, summary)
    log_line(f"{base}: the replies of {', '.join(summary['dgms'])}, in this order, suit it by the Rank-Surprisal Ratio")


if __name__ == "__main__":
    run(main)
