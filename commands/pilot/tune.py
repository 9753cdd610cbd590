"""Try a few settings of the engine, and print how fast each is. Not a stage: `make pilot TUNE=yes`.

python -m commands.pilot.tune [DGM ...]         of all DGMs of params.yaml, or these

Each row starts vLLM anew and answers the same first prompts, into a store that is deleted afterwards. One key of
`runtime` after the other is changed; the fastest value stays while the next key is tried, so that what is recommended
was measured as it is. The settings of params.yaml come first and last: what these two differ by is no gain.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from commands.pilot.command import choose_dgms, make_prompts_and_models, read_sample
from commands.pilot.forecasting.steady_state import Span, TimedGeneration, measure_steady_state
from stages.lib.console.errors import UserError
from stages.lib.console.shell import exit_on_user_error, log_line
from stages.lib.core.sections import PARAMS
from stages.lib.core.types import Row
from stages.lib.engines.request import choose_engine, dgm_config, with_reply_format
from stages.lib.generation.store import Store
from stages.lib.models.catalogue import Model, load_model
from stages.lib.records.shards import ROWS_PER_SHARD
from stages.lib.settings.reading import load
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Generate

Changes = Mapping[str, int | str]  # keys of `runtime`
BATCHED_TOKENS = (4_096, 32_768)  # vLLM's own choice is between them on most GPUs
LEAST_GAIN = 1.03  # times as fast as params.yaml's, for a setting to be recommended
ROUNDS = 2  # as many conversations as run at once, times this, at the largest value that is tried


class Trial(NamedTuple):
    """What a setting reached: prompt and reply tokens per second, while the engine was busy and over all."""

    changes: Changes
    busy: float = 0.0
    overall: float = 0.0
    error: str = ""


def values_to_try(key: str, runtime: Runtime) -> list[int | str]:
    """Return the values of a key that are tried beside the one it has."""
    if key == "max_concurrent":
        values: list[int | str] = [max(1, runtime.max_concurrent // 2), 2 * runtime.max_concurrent]
    elif key == "max_num_batched_tokens":
        values = [tokens for tokens in BATCHED_TOKENS if tokens >= runtime.max_concurrent]
    else:
        values = ["ngram", *(["suffix"] if find_spec("arctic_inference") else [])]
    return [value for value in values if value != getattr(runtime, key)]


def search(runtime: Runtime, measure: Callable[[Changes], Trial]) -> Iterator[Trial]:
    """Measure the settings as they are, then one key after the other, then as they are again; yield each trial."""
    best = measure({})
    yield best
    for key in ("max_concurrent", "max_num_batched_tokens", "speculation"):
        before = best
        for value in values_to_try(key, with_changes(runtime, before.changes)):
            trial = measure({**before.changes, key: value})
            yield trial
            best = max(best, trial, key=lambda each: each.busy)
    yield measure({})


def with_changes(runtime: Runtime, changes: Changes) -> Runtime:
    """Return settings with changed keys."""
    return runtime.model_copy(update=dict(changes))


def measure_setting(model: Model, prompts: list[Row], runtime: Runtime, changes: Changes) -> Trial:
    """Generate the prompts with a setting; a setting that vLLM refuses or dies of gives a trial with its error."""
    generate = load(Generate)
    config = with_reply_format(dgm_config(model, generate), model, generate.engine)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), model.id)
        generation = TimedGeneration(model, config, generate.engine, store, with_changes(runtime, changes))
        try:
            generation.table(prompts, ["identity"])
        except UserError as error:
            return Trial(changes, error=str(error))
    spans = generation.stopwatch.spans if generation.stopwatch else []
    return Trial(changes, measure_steady_state(spans).tokens_per_second, overall_speed(spans))


def overall_speed(spans: list[Span]) -> float:
    """Return the tokens in and out per second, from the first request to the last reply; 0 where none was answered."""
    if not spans:
        return 0.0
    tokens = sum(span.prompt_tokens + span.completion_tokens for span in spans)
    seconds = max(span.ended for span in spans) - min(span.began for span in spans)
    return tokens / seconds if seconds else 0.0


def format_trial(trial: Trial) -> str:
    """Format one row."""
    name = ", ".join(f"{key}: {value}" for key, value in trial.changes.items()) or f"as in {PARAMS}"
    numbers = f"{trial.busy:12,.0f}{trial.overall:12,.0f}"
    return f"  {name:72}{numbers if not trial.error else f'  no run: {trial.error}'}"


def recommend(trials: list[Trial]) -> list[str]:
    """Return the lines of params.yaml that make generation faster, or one that says that none does for sure."""
    unchanged = [trial.busy for trial in trials if not trial.changes and trial.busy]
    best = max(trials, key=lambda trial: trial.busy)
    noise = max(unchanged) / min(unchanged) if unchanged else 1.0
    reached = max(unchanged, default=0.0)
    if not best.busy or best.busy < LEAST_GAIN * noise * reached:
        return [f"  none is faster than {PARAMS} for sure (its own two runs differ by {noise - 1:.0%}): keep it"]
    gain = f", {best.busy / reached:.2f} times as fast while busy" if reached else ""
    return [f"  for {PARAMS}{gain}:", "  runtime:", *(f"    {key}: {value}" for key, value in best.changes.items())]


def tune(model: Model, prompts: list[Row], runtime: Runtime) -> None:
    """Try the settings with one DGM, and print a row for each and what to put into params.yaml."""
    print(f"{model.id}: {len(prompts)} conversations, tokens in and out per second")
    print(f"  {'setting':72}{'while busy':>12}{'over all':>12}", flush=True)
    trials = list[Trial]()
    for trial in search(runtime, lambda changes: measure_setting(model, prompts, runtime, changes)):
        trials.append(trial)
        print(format_trial(trial), flush=True)
    print("\n".join(recommend(trials)), end="\n\n", flush=True)


def main(words: list[str] | None = None) -> None:
    """Tune the DGMs of the command line, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.pilot.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dgm", nargs="*")
    parser.add_argument(
        "-n", "--conversations", type=int, default=0, help="per row; default: enough to fill the engine"
    )
    arguments = parser.parse_args(words)
    dgms, runtime, engine = choose_dgms(arguments.dgm), load(Runtime), load(Generate).engine
    make_prompts_and_models(dgms, [])
    number = arguments.conversations or min(ROWS_PER_SHARD, 2 * ROUNDS * runtime.max_concurrent)
    prompts = read_sample(number)
    for model in map(load_model, dgms):
        if model.kind == "import" or choose_engine(model, engine) != "vllm":
            log_line(f"{model.id}: vLLM does not answer for it, so there is nothing to tune")
        else:
            tune(model, prompts, runtime)


if __name__ == "__main__":
    with exit_on_user_error("pilot"):
        main()
