"""The sections of params.yaml as typed models, in its order.

`check` writes their values to data/checked/<stage>.json, so no code digest needs to cover this module.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from stages.lib.console.faults import nearest, suggest
from stages.lib.console.wording import show
from stages.lib.core.sections import Section
from stages.lib.models.sampling import Sampling
from stages.lib.readers.auxiliary_formats import FORMATS
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.licenses import check_license
from stages.lib.settings.pairwise import Pairwise
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.values import Repository, Seed, Share
from stages.lib.statistics.bootstrap import MAX_QUESTIONS

EngineName = Literal["vllm", "echo"]
History = Literal["own", "reference"]
Trim = Literal["never", "oldest"]
Parser = Literal["commonmark", "paper"]
FIXED_AXOLOTL_KEYS = (
    *("base_model", "chat_template", "chat_template_jinja", "datasets", "dataset_prepared_path", "output_dir"),
    *("tokenizer_config", "trust_remote_code", "plugins"),
)


class Hub(Section):
    """An entry of `hub`."""

    repository: Repository
    config: str = ""
    revision: str = Field(min_length=1)  # a commit, or a branch, whose commit is written into .summary.json
    split: str = "train"
    columns: list[str] = Field(default=[])  # empty: all


class Prompts(Section):
    """The section `prompts`."""

    source: str
    license: Annotated[str, AfterValidator(check_license)]  # of the source; empty: not stated
    max_prompts: int = Field(gt=0)
    max_turns: int = Field(gt=0)
    languages: list[str]
    exclude_toxic: bool
    seed: Seed


class Auxiliary(Section):
    """An entry of `auxiliary`."""

    source: str
    format: str  # one of FORMATS
    license: str
    # The name in the source of a column, or of a message's role or content.
    columns: dict[str, str] = Field(default_factory=dict)
    files: str = ""  # which files of a folder, such as `data/train-*.parquet`; empty: all

    @field_validator("format")
    @classmethod
    def _check_format(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"no format {name!r}{suggest(name, FORMATS)}")
        return name

    @model_validator(mode="after")
    def _check_columns(self) -> "Auxiliary":
        form = FORMATS[self.format]
        known = (*form.columns, *form.optional)
        for name in self.columns:
            if name not in known:
                raise ValueError(f"columns: {self.format} has no {name!r}{suggest(name, known)}")
        return self


class RequestSettings(Section):
    """The keys of every section that has a model generate replies."""

    engine: EngineName
    max_tokens: int = Field(gt=0)  # per reply
    seed: Seed
    sampling: Sampling


class Generate(RequestSettings):
    """The section `generate`, which `validate` reads too."""

    history: History
    trim: Trim
    max_failed_share: float = Field(ge=0, le=1)  # of conversations; the stage fails above it


class Validate(Section):
    """The section `validate`."""

    finish_reasons: list[str]  # finish reasons of complete replies
    min_chars: int = Field(ge=0)
    max_loop_chars: int = Field(gt=0)
    min_compressed_share: float = Field(ge=0, lt=1)  # of a reply that zlib leaves, beside 80 bytes; less is a loop
    off_topic_words: int = Field(ge=0)  # different words of a reply that `off_topic` judges; 0: no check
    report_only: list[str]  # reasons that are counted but drop nothing


class Gate(Section):
    """The section `gate`."""

    max_dropped_share: float = Field(ge=0, le=1)
    max_share: dict[str, Share]  # reason: largest share of conversations that have it


class Amount(Section):
    """How much of an auxiliary set a run takes."""

    tokens: int | None = Field(default=None, gt=0)  # rows until this many tokens of the run's base model
    share: float | None = Field(default=None, gt=0, lt=1)  # of all rows of the mix

    @model_validator(mode="after")
    def _check_one_amount(self) -> "Amount":
        if (self.tokens is None) == (self.share is None):
            raise ValueError("give either tokens or share; a plain number is rows")
        return self


def _check_amount(value: object) -> object:
    """Raise ValueError for what is no amount at all: there is one message, not one for each type."""
    is_rows = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if is_rows or value == "all" or isinstance(value, dict | Amount):
        return value
    near = "; did you mean all?" if isinstance(value, str) and nearest(value, ["all"]) else ""
    share = f"; for a share of all rows write {{share: {value}}}" if isinstance(value, float) and 0 < value < 1 else ""
    raise ValueError(
        f"should be a number of rows, all, {{tokens: …}} or {{share: …}}, got {show(value)}{near or share}"
    )


class Run(Section):
    """An entry of `mix.runs`."""

    base: str
    dgms: dict[str, float] = Field(default_factory=dict)  # weights; they need not sum to one
    # Rows, or another amount.
    auxiliary: dict[str, Annotated[int | Literal["all"] | Amount, BeforeValidator(_check_amount)]] = Field(
        default_factory=dict
    )
    rows: int | None = Field(default=None, gt=0)  # DGM conversations; default: mix.size
    reference: str = ""  # a DGM whose reply to the same turn limits the length of a reply, in tokens of the base
    seeds: list[Seed] = Field(default=[])  # a model each; empty: one, of train.seed


class Mix(Section):
    """The section `mix`."""

    RENAMED: ClassVar = {"similarity": "duplicate_similarity"}

    seed: Seed
    size: int = Field(gt=0)  # DGM conversations of every run without `rows`
    scale_auxiliary: bool  # auxiliary rows and tokens are for PAPER_SIZE conversations; scale them with rows
    on_shortage: Literal["error", "cap", "upsample"]
    min_turns: int = Field(ge=1)  # of a DGM's conversations
    languages: list[str]  # of their prompts, as WildChat names them; empty: all
    exclude_toxic: bool
    duplicates: Literal["off", "flag", "drop"]  # rows that repeat another of their source
    duplicate_similarity: float = Field(ge=0.7, le=1)  # of texts that count as duplicates; 1: equal texts
    contamination: Literal["off", "flag", "drop"]  # rows that share an n-gram with a benchmark
    ngram_words: int = Field(ge=8)
    runs: dict[str, Run]


class Train(Section):
    """The section `train`. Axolotl keys that have no key here go to `axolotl`."""

    device: Literal["cpu", "gpu"]
    sequence_length: int = Field(gt=0)  # tokens; longer conversations are dropped and counted
    learning_rate: float = Field(gt=0)
    num_epochs: int = Field(gt=0)
    lr_scheduler: Literal["cosine", "linear", "constant_with_warmup"]
    warmup_ratio: float = Field(ge=0, lt=1)
    micro_batch_size: int = Field(gt=0)
    gradient_accumulation_steps: int = Field(gt=0)
    num_gpus: int = Field(ge=0)
    min_steps: int = Field(ge=1)
    seed: Seed = Field(exclude=True)  # of runs without `seeds`; tracked by model, in data/checked/training_seeds.json
    # Further Axolotl keys, passed on unchanged; null removes one of ours.
    axolotl: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_device(self) -> "Train":
        if (self.device == "gpu") != (self.num_gpus > 0):
            raise ValueError("num_gpus must be 0 on cpu, and 1 or more on gpu")
        if fixed := [key for key in self.axolotl if key in FIXED_AXOLOTL_KEYS or key.startswith("rewild_")]:
            raise ValueError(f"axolotl.{fixed[0]} is set by the stage")
        return self


class Answers(RequestSettings):
    """The section `answers`."""

    questions: str


class Judge(RequestSettings):
    """The section `judge`, which `pairwise` reads too."""

    model: str  # an id of `bases` or `dgms`, or NO_JUDGE
    prompts: str = Field(min_length=1)  # a folder with single.txt and pair.txt


class Preference(Section):
    """The section `preference`."""

    seed: Seed
    resamples: int = Field(gt=0)  # of the permutation test, by question
    min_judgments: int = Field(gt=0)  # that contain a word before it is tested
    num_words: int = Field(ge=0)  # of each side in the summary


class Differences(Section):
    """The section `differences`."""

    margin: float = Field(gt=0, lt=1)  # of a share: models whose difference lies within it are equivalent
    margin_judge: float = Field(gt=0)  # of a judge's score, in points
    margin_choices: float = Field(gt=0, lt=1)  # of choices: share won minus share lost
    margin_replies: float = Field(gt=0, lt=1)  # of shares of replies or conversations: refused, cut, kept
    margin_length: float = Field(gt=0, lt=1)  # of a reply's length in words, as a share of the mean of both models
    margin_markup: float = Field(gt=0)  # of Markdown elements per reply
    resamples: int = Field(gt=0)  # of the permutation test
    seed: Seed


class Styling(Section):
    """The section `styling`."""

    parser: Parser  # paper: markdown2 without extras, as in the released code
    num_responses: int = Field(gt=0, le=MAX_QUESTIONS)  # the first conversations of each DGM
    seed: Seed
    resamples: int = Field(gt=0)  # of the bootstrap, by question or conversation


class Similarity(Section):
    """The section `similarity`."""

    num_prompts: int = Field(gt=0)
    turns: Literal["first", "all"]  # of a conversation; DGMs answer later turns after their own earlier replies
    synonyms: bool  # count WordNet synonyms in METEOR
    references: int = Field(ge=0)  # other DGMs per DGM, drawn once, as in the paper; 0: skip
    seed: Seed  # of the draw of references


class Suitability(Section):
    """The section `suitability`."""

    bases: list[str]  # models that read the replies before they are trained on them
    device: Literal["cpu", "gpu"]
    num_conversations: int = Field(gt=0, le=MAX_QUESTIONS)  # kept, of each DGM
    seed: Seed
    resamples: int = Field(gt=0)  # of the bootstrap, by prompt


class Throughput(Section):
    """The section `throughput`."""

    num_conversations: int = Field(gt=0)
    seed: Seed
    price_per_gpu_hour: float = Field(ge=0)  # in any currency; 0: unknown


class Report(Section):
    """The section `report`."""

    num_examples: int = Field(ge=0)  # questions shown with all answers
    num_conversations: int = Field(ge=0)  # first conversations of each DGM in the browser


_DATA = (Prompts, Generate, Validate, Gate, Mix, Train, Answers)
_MODELS = (
    *(Evaluate, Judge, Pairwise, Preference, Differences, Styling, Similarity, Suitability, Throughput, Report),
    Runtime,
)
SECTIONS: dict[str, type[Section]] = {model.__name__.lower(): model for model in (*_DATA, *_MODELS)}
# Sections of named entries, and lists of ids.
ENTRIES: dict[str, type[Section]] = {"hub": Hub, "auxiliary": Auxiliary}
LISTS = ("dgms", "bases", "compare")
