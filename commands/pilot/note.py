"""What a pilot found of a DGM's replies, kept beside its conversations in the store: `make watch` compares with it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.lib.core.files import read_json, write_json
from stages.lib.engines.request import RequestConfig
from stages.lib.models.catalogue import Model
from stages.lib.settings.sections import Validate

NOTE = "pilot.json"


@dataclass(frozen=True, slots=True)
class PilotNote:
    """The conversations of a pilot: how many, how many with each reason of validation, how many would be dropped."""

    asked: str  # the digest of how the model was asked and its replies checked
    conversations: int
    found: dict[str, int]
    dropped: int


def digest_asked(model: Model, config: RequestConfig, validate: Validate) -> str:
    """Return the sha256 of all that decides what replies are like and how they are checked, in hex."""
    decides = [model.commit, config.to_json(), validate.model_dump()]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def write_note(folder: Path, note: PilotNote) -> None:
    """Keep the note of a DGM in its folder of the store."""
    write_json(folder / NOTE, asdict(note))


def read_note(folder: Path, asked: str) -> PilotNote | None:
    """Read the note of the last pilot; None where there was none that asked and checked in the same way."""
    note = PilotNote(**read_json(folder / NOTE)) if (folder / NOTE).exists() else None
    return note if note and note.asked == asked else None
