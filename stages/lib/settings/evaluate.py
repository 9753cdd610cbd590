"""The section `evaluate`: which benchmarks, and how."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stages.lib.core.sections import Section
from stages.lib.settings.values import Seed, TaskName


class Evaluate(Section):
    """The section `evaluate`. A column is the main metric of a task of lm-eval or Evalchemy."""

    RENAMED: ClassVar = {"local": "local_data"}

    device: Literal["cpu", "gpu"]
    tasks_folder: str
    tasks: dict[TaskName, str] = Field(min_length=1)  # of lm-eval: its main metric
    # Tasks whose rows are in tasks_folder: all parts of a group, or some.
    local_data: dict[str, Literal["all"] | Annotated[list[str], Field(min_length=1)]]
    evalchemy: dict[TaskName, str]  # of Evalchemy: its main metric
    evalchemy_judge: str  # a model of $OPENAI_BASE_URL, by default OpenAI's API
    alpaca_eval_data: str  # a folder with alpaca_eval's three files; empty: from the hub
    leave_out: list[Literal["punkt_tab"]]  # rows of IFEval that are scored with it
    averages: dict[TaskName, Annotated[list[str], Field(min_length=1)]]  # the columns of each
    limit: int = Field(ge=0)
    apply_chat_template: bool
    fewshot_as_multiturn: bool
    max_tokens: int = Field(ge=0)  # 0: each task's own
    seed: Seed
