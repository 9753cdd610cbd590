"""The sections of params.yaml as typed models, in its order.

`check` writes the values that they make to data/checked/<stage>.json, so that this module is in no code digest.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stages.lib.core.names import AVERAGE
from stages.lib.core.sections import Section
from stages.lib.models.sampling import Sampling
from stages.lib.records.auxiliary_formats import FORMAT_COLUMNS

EngineName = Literal["vllm", "echo"]
History = Literal["own", "reference"]
Trim = Literal["never", "oldest"]
Parser = Literal["commonmark", "paper"]
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
FIXED_AXOLOTL_KEYS = (
    *("base_model", "chat_template", "chat_template_jinja", "datasets", "dataset_prepared_path", "output_dir"),
    *("trust_remote_code", "plugins"),
)
MOST_RESPONSES = 20_000  # of each DGM; the bootstrap holds a weight for each in each of its draws


class Hub(Section):
    """An entry of `hub`."""

    repository: str
    config: str = ""
    revision: str  # a commit is a pin; the commit that a branch named is written into summary.json
    split: str = "train"
    columns: list[str] = Field(default=[])  # empty: all


class Prompts(Section):
    """The section `prompts`."""

    source: str
    max_prompts: int = Field(gt=0)
    max_turns: int = Field(gt=0)
    languages: list[str]
    exclude_toxic: bool
    seed: int


class Auxiliary(Section):
    """An entry of `auxiliary`."""

    source: str
    format: Literal["multiple_choice", "messages", "question_answer", "jeopardy"]
    license: str
    # What the source calls a column, or a message's role or content.
    columns: dict[str, str] = Field(default_factory=dict)
    files: str = ""  # of a folder, those that match, such as `data/train-*.parquet`; empty: all

    @model_validator(mode="after")
    def _names_what_it_has(self) -> "Auxiliary":
        known = [column for columns in FORMAT_COLUMNS[self.format] for column in columns]
        for name in self.columns:
            if name not in known:
                raise ValueError(f"`columns` has {name!r}; {self.format} has: {', '.join(known)}")
        return self


class Asking(Section):
    """What every stage that asks a model has in its section."""

    engine: EngineName
    max_tokens: int = Field(gt=0)  # per reply
    seed: int
    sampling: Sampling


class Generate(Asking):
    """The section `generate`, which `validate` reads too."""

    history: History
    trim: Trim
    max_failed_share: float = Field(ge=0, le=1)  # of conversations; above it the stage fails


class Validate(Section):
    """The section `validate`."""

    finish_reasons: list[str]  # with which a reply may end
    min_chars: int = Field(ge=0)
    max_loop_chars: int = Field(gt=0)
    min_compression: float = Field(ge=0, lt=1)  # share of its bytes that a reply of over 500 keeps under zlib
    topic_letters: int = Field(ge=0)  # length from which a word counts for `off_topic`; 0: not checked
    report_only: list[str]  # reasons that are counted and drop nothing


class Gate(Section):
    """The section `gate`."""

    max_dropped_share: float = Field(ge=0, le=1)
    max_share: dict[str, float]  # of conversations in which a single reason was found


class Amount(Section):
    """How much of an auxiliary set a run takes."""

    tokens: int | None = Field(default=None, gt=0)  # of the run's base model: as many rows as reach it
    share: float | None = Field(default=None, gt=0, lt=1)  # of all rows of the mix

    @model_validator(mode="after")
    def _is_one(self) -> "Amount":
        if (self.tokens is None) == (self.share is None):
            raise ValueError("say either tokens or share; a plain number is rows")
        return self


class Run(Section):
    """An entry of `mix.runs`."""

    base: str
    dgms: dict[str, float] = Field(default_factory=dict)  # weights, which need not add up to one
    auxiliary: dict[str, int | Literal["all"] | Amount] = Field(default_factory=dict)  # rows, or another amount
    rows: int | None = Field(default=None, gt=0)  # DGM conversations; mix.size where it is not given
    reference: str = ""  # a DGM: no reply is longer than its reply to the same turn, in tokens of the base


class Mix(Section):
    """The section `mix`."""

    RENAMED: ClassVar = {"similarity": "duplicate_similarity"}

    seed: int
    size: int = Field(gt=0)  # DGM conversations in every run that names none of its own
    scale_auxiliary: bool  # the auxiliary rows and tokens belong to PAPER_SIZE conversations and grow with them
    on_shortage: Literal["error", "cap", "upsample"]
    min_turns: int = Field(ge=1)  # of a DGM's conversations
    languages: list[str]  # of their prompts, as WildChat names them; empty: all
    exclude_toxic: bool
    duplicates: Literal["off", "flag", "drop"]  # rows that repeat another of their source
    duplicate_similarity: float = Field(ge=0.7, le=1)  # from which a row repeats another; 1: only equal texts
    contamination: Literal["off", "flag", "drop"]  # rows that share an n-gram with a benchmark
    ngram_words: int = Field(ge=8)
    runs: dict[str, Run]


class Train(Section):
    """How a run is trained. What has no key of its own goes to `axolotl`."""

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
    seed: int
    # Further Axolotl keys, as they are; null takes one of ours away.
    axolotl: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> "Train":
        if (self.device == "gpu") != (self.num_gpus > 0):
            raise ValueError("num_gpus must be 0 on cpu, and 1 or more on gpu")
        if fixed := [key for key in self.axolotl if key in FIXED_AXOLOTL_KEYS or key.startswith("rewild_")]:
            raise ValueError(f"axolotl.{fixed[0]} is set by the stage")
        return self


class Answers(Asking):
    """The section `answers`."""

    questions: str


class Evaluate(Section):
    """The section `evaluate`. A column is a task of lm-eval or of Evalchemy, by its main metric."""

    RENAMED: ClassVar = {"local": "local_data"}

    device: Literal["cpu", "gpu"]
    tasks_folder: str
    tasks: dict[Name, str] = Field(min_length=1)  # lm-eval's: their main metrics
    # tasks whose rows lie in tasks_folder: all parts of a group, or some
    local_data: dict[str, Literal["all"] | Annotated[list[str], Field(min_length=1)]]
    evalchemy: dict[Name, str]  # Evalchemy's: their main metrics
    evalchemy_judge: str  # the model that is asked of $OPENAI_BASE_URL, else of OpenAI's
    alpaca_eval_data: str  # a folder with alpaca_eval's three files; empty: from the hub
    averages: dict[Name, Annotated[list[str], Field(min_length=1)]]  # the columns of each
    limit: int = Field(ge=0)
    apply_chat_template: bool
    fewshot_as_multiturn: bool
    max_tokens: int = Field(ge=0)  # 0: each task's own
    seed: int = Field(ge=0)

    @field_validator("local_data")
    @classmethod
    def _are_tasks(cls, local_data: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if unknown := [task for task in local_data if task not in info.data.get("tasks", local_data)]:
            raise ValueError(f"{unknown[0]!r} is not in evaluate.tasks")
        return local_data

    @field_validator("evalchemy")
    @classmethod
    def _are_others(cls, evalchemy: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if both := [task for task in evalchemy if task in info.data.get("tasks", {})]:
            raise ValueError(f"{both[0]!r} is in evaluate.tasks too: leave one of them out")
        return evalchemy

    @field_validator("averages")
    @classmethod
    def _have_known_columns(cls, averages: dict[str, list[str]], info: ValidationInfo) -> dict[str, list[str]]:
        if not {"tasks", "evalchemy"} <= set(info.data):
            return averages
        known = [*info.data["tasks"], *info.data["evalchemy"]]
        if both := [name for name in (AVERAGE, *averages) if name in known]:
            raise ValueError(f"a task is called {both[0]!r}, so no average can be")
        for name, columns in averages.items():
            if unknown := [column for column in columns if column not in known]:
                raise ValueError(f"{name} names {unknown[0]!r}; known tasks: {', '.join(known)}")
            if len(set(columns)) < len(columns):
                raise ValueError(f"{name} names a task twice")
        return averages


class Judge(Asking):
    """The section `judge`, which `pairwise` reads too."""

    model: str  # a file of dgms/, resolved as one of `bases` or `dgms`
    prompts: str = Field(min_length=1)  # a folder with single.txt and pair.txt


class Pairwise(Section):
    """The section `pairwise`."""

    pairs: Literal["all", "none"] | list[list[str]]  # all: every two of `compare`; else lists of two


class Preference(Section):
    """The section `preference`."""

    seed: int
    resamples: int = Field(gt=0)  # of the bootstrap
    min_judgments: int = Field(gt=0)  # that a word must be in, to be tested
    num_words: int = Field(ge=0)  # of each side, named in the summary


class Styling(Section):
    """The section `styling`."""

    parser: Parser  # commonmark, or paper: markdown2 without extras, as its code had it
    num_responses: int = Field(gt=0, le=MOST_RESPONSES)  # the first conversations of each DGM
    seed: int
    resamples: int = Field(gt=0)  # of the bootstrap, by question or conversation


class Similarity(Section):
    """The section `similarity`."""

    num_prompts: int = Field(gt=0)
    turns: Literal["first", "all"]  # of a conversation; before a later one each DGM has seen other replies, its own
    synonyms: bool  # METEOR's, from WordNet
    references: int = Field(ge=0)  # the paper's way besides: each DGM against so many others; 0: not
    seed: int  # of their draw


class Throughput(Section):
    """The section `throughput`."""

    num_conversations: int = Field(gt=0)
    seed: int
    price_per_gpu_hour: float = Field(ge=0)  # in any currency; 0: not said


class Report(Section):
    """The section `report`."""

    num_examples: int = Field(ge=0)  # questions with all answers on the page
    num_conversations: int = Field(ge=0)  # of each DGM, the first ones, on the page to read them


class Server(Section):
    """How a server is asked that answers for a DGM or judges. 0: no limit."""

    requests_per_minute: int = Field(default=0, ge=0)
    retry_seconds: float = Field(default=300, ge=0)  # for which what the server did not answer is asked again
    timeout_seconds: float = Field(default=600, gt=0)  # until a request counts as not answered
    max_requests: int = Field(default=0, ge=0)  # of one run, repeated ones too
    max_tokens: int = Field(default=0, ge=0)  # of one run, of prompts and replies together
    max_cost: float = Field(default=0, ge=0)  # of one run, in the currency of the prices
    price_per_million_input: float = Field(default=0, ge=0)  # tokens
    price_per_million_output: float = Field(default=0, ge=0)

    @property
    def budget(self) -> tuple[int, int, float]:
        """Requests, tokens and money that one run may spend."""
        return self.max_requests, self.max_tokens, self.max_cost

    @property
    def described(self) -> str:
        """The budget as the user wrote it."""
        limits = f"max_requests {self.max_requests}, max_tokens {self.max_tokens}, max_cost {self.max_cost:g}"
        return f"runtime.server: {limits}"


class Runtime(Section):
    """How to run, never what comes out: no stage tracks these."""

    kv_cache_gib: int = 1
    max_concurrent: int = 256
    flush_conversations: int = 100
    flush_seconds: float = 30
    gpu_memory_utilization: float = 0.9
    stall_seconds: float = 300  # without a token, until an engine is started anew
    start_seconds: float = 3600  # until an engine must be ready
    server: Server = Server()


SECTIONS: dict[str, type[Section]] = {
    "prompts": Prompts,
    "generate": Generate,
    "validate": Validate,
    "gate": Gate,
    "mix": Mix,
    "train": Train,
    "answers": Answers,
    "evaluate": Evaluate,
    "judge": Judge,
    "pairwise": Pairwise,
    "preference": Preference,
    "styling": Styling,
    "similarity": Similarity,
    "throughput": Throughput,
    "report": Report,
    "runtime": Runtime,
}
# Sections that hold entries by name, and sections that are lists of ids.
ENTRIES: dict[str, type[Section]] = {"hub": Hub, "auxiliary": Auxiliary}
LISTS = ("dgms", "bases", "compare")
