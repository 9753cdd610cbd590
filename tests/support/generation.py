"""The stage `generate` on an echo: prompts from source conversations, and the responses to them."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from stages.generate import write_responses
from stages.lib.core.types import Row
from stages.lib.engines.echo import EchoEngine
from stages.lib.generation.store import Store
from stages.lib.records.shards import read_rows
from stages.lib.settings.runtime import Runtime
from stages.lib.settings.sections import Generate, Prompts
from stages.prompts import write_prompts
from tests.support.conversations import CONFIG, MODEL, GenerationOn
from tests.support.project import conversation

RUNTIME = Runtime(max_concurrent=1, flush_conversations=2, flush_seconds=60.0)
GENERATE = Generate(
    engine="echo", history="own", trim="never", max_tokens=100, max_failed_share=0, seed=1, sampling=CONFIG.sampling
)
PROMPTS = Prompts(
    source="x.parquet", max_prompts=99, max_turns=9, languages=[], exclude_toxic=False, license="", seed=1
)


def make_prompt(name: str, *users: str, reference: str = "Ref.") -> Row:
    """A prompt of these user messages, each with the same reference reply."""
    return {"conversation_hash": name, "turns": [{"user": user, "reference": reference} for user in users]}


def messages(*pairs: tuple[str, str | None]) -> list[Row]:
    """A source conversation of (role, content)."""
    return [{"role": role, "content": content} for role, content in pairs]


def select(*conversations: list[Row]) -> tuple[list[Row], dict[str, int]]:
    """The prompts that `prompts` makes of these source conversations, and how many it leaves out by reason."""
    return select_prompts([conversation(number, 1, conversation=each) for number, each in enumerate(conversations)])


def select_prompts(rows: list[Row], prompts: Prompts = PROMPTS) -> tuple[list[Row], dict[str, int]]:
    """The prompts that `prompts` makes of the rows of a source by our names, and how many it leaves out by reason."""
    left_out = Counter[str]()
    named = [{"chat" if name == "conversation" else name: value for name, value in row.items()} for row in rows]
    with TemporaryDirectory() as folder:
        write_prompts(named, prompts, Path(folder), left_out)
        return list(read_rows(Path(folder))), {reason: count for reason, count in left_out.items() if count}


def generate(
    prompts: list[Row], engine: EchoEngine, store: Store | None = None, max_failed_share: float = 0.0
) -> list[Row]:
    """Run `generate` with this engine; the rows of data/responses/m."""
    store = store or Store(Path("store"), "m")
    source = GenerationOn(MODEL, CONFIG, "echo", store, RUNTIME, max_failed_share=max_failed_share, running=engine)
    write_responses(source, prompts)
    return list(read_rows(Path("data/responses/m")))
