"""What the replies of a pilot are like: verdicts as `validate` makes them, quality, warnings, one example."""

from collections.abc import Iterator, Sequence

from commands.pilot.job import Job
from commands.pilot.quality import Quality
from stages.gate import find_stop_reason
from stages.lib.core.text import escape_unprintable
from stages.lib.core.types import Row
from stages.lib.records.responses import Turn
from stages.lib.validation.check_input import CheckInput
from stages.lib.validation.verdicts import VerdictCounts, make_verdict
from stages.validate import TEMPERATURES

EXAMPLE_CHARS = 400
# Shares above which the pilot warns.
MAX_CUT = 0.15  # of the replies, cut at the limit
MAX_LEAKED = 0.02  # of the conversations
MAX_WRONG_LANGUAGE = 0.3  # of the replies to messages in one language
MIN_REPLIES = 5  # in a language, for a share of them to mean something


def find_verdicts(rows: Sequence[Row], prompts: Sequence[Row], job: Job) -> list[Row]:
    """Validate every conversation (rows of RESPONSE) as `validate` does: a verdict for each."""
    return [
        make_verdict(CheckInput(row, prompt, job.settings.validate, job.model, job.config))
        for row, prompt in zip(rows, prompts, strict=True)
    ]


def count(
    rows: Sequence[Row], prompts: Sequence[Row], verdicts: Sequence[Row], job: Job
) -> tuple[Quality, VerdictCounts]:
    """Count the verdicts on conversations, and what their replies are like."""
    quality, counts = Quality(), VerdictCounts()
    for row, prompt, verdict in zip(rows, prompts, verdicts, strict=True):
        counts.add(verdict, job.settings.validate)
        quality.add(row["turns"], prompt, verdict["reasons"])
    return quality, counts


def gate_message(job: Job, counts: VerdictCounts) -> str:
    """Return why `gate` would stop the pipeline if all conversations were like these; empty when it would not."""
    summary = {**vars(counts), "missing": 0, "shards": 0, "unreadable_shards": 0}
    message = find_stop_reason(job.dgm, summary, job.settings.gate)
    return message.partition(". Look at")[0].removeprefix(f"{job.dgm}: ")


def find_warnings(job: Job, quality: Quality, counts: VerdictCounts) -> Iterator[str]:
    """Yield a line for each thing that is plainly wrong with a pilot."""
    failed = counts.found["failed"]
    if failed > job.settings.generate.max_failed_share * counts.conversations:
        yield f"{failed} of {counts.conversations} conversations failed: the engine could not answer them"
    if (cut := quality.share(quality.cut)) > MAX_CUT:
        yield (
            f"{cut:.0%} of the replies were cut at the limit: max_tokens {job.config.max_tokens} is too low, or the "
            "model does not end its turns"
        )
    if quality.leaked > MAX_LEAKED * quality.conversations:
        yield (
            f"{quality.leaked} of {quality.conversations} conversations hold control tokens or pieces of a template: "
            "the chat template or its stop tokens are wrong"
        )
    if message := gate_message(job, counts):
        yield f"`gate` would stop the pipeline: {message}"
    yield from temperature_warnings(job.config.sampling.temperature)
    yield from language_warnings(quality)


def temperature_warnings(temperature: float) -> Iterator[str]:
    """Yield a warning for a temperature outside the range of the paper's appendix F."""
    low, high = TEMPERATURES
    if not low <= temperature <= high:
        yield f"temperature {temperature} is outside {low} to {high}, where App. F warns of bad answers"


def language_warnings(quality: Quality) -> Iterator[str]:
    """Yield a warning for each language whose messages are often answered in another one."""
    for name, known in quality.language_known.items():
        wrong = quality.wrong_language[name]
        if known >= MIN_REPLIES and wrong > MAX_WRONG_LANGUAGE * known:
            yield f"{wrong} of {known} replies to messages in {name} are in another language"


def example_lines(turns: Sequence[Turn]) -> list[str]:
    """Show the beginning of the first turn of a conversation, with what does not print escaped."""
    if not turns:
        return []
    texts = {"user": turns[0]["user"], "reply": turns[0]["raw"] or turns[0]["assistant"]}
    return [
        f"{role if number == 0 else '':<6}| {line}"
        for role, text in texts.items()
        for number, line in enumerate(escape_unprintable(text, EXAMPLE_CHARS).split("\n"))
    ]
