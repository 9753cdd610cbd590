"""How well a model's replies suit each base model that reads replies, beside the DGMs that it has read before."""

from collections.abc import Sequence

from commands.add.field import Sample
from commands.pilot.suitability import measure_suitability
from stages.lib.console.errors import UserError
from stages.lib.console.shell import log_line
from stages.lib.core.types import Json
from stages.lib.generation.place import current_folder
from stages.lib.models.catalogue import Model, load_model
from stages.lib.settings.reading import load
from stages.lib.settings.sections import Suitability, Train
from stages.lib.suitability.scores import FOLDER, identity, read_scores


def suit_bases(own: Sample, field: Sequence[Sample], settings: Suitability) -> list[Json]:
    """Return a row for each base model: the scores of the model, and its place among the DGMs with scores.

    Only the model's own conversations are read now. A DGM that the base has not read yet has no part in the order;
    where it has read none, there is no place.
    """
    rows = []
    for base in settings.bases:
        try:
            read = find_read(field, load_model(base), settings.num_conversations)
            numbers = measure_suitability({sample.id: sample.chats for sample in (own, *read)}, base, settings)
        except UserError as error:
            log_line(f"{base}: reads no replies: {str(error).removeprefix(f'{base}: ')}")
            continue
        others = sum(each["ratio"]["value"] is not None for dgm, each in numbers.items() if dgm != own.id)
        if own.id in numbers:
            place = numbers[own.id]["place"] if others else {"value": None, "ci95": None}
            rows.append({"base": base, "dgms": others, **numbers[own.id], "place": place})
    return rows


def find_read(field: Sequence[Sample], base: Model, number: int) -> list[Sample]:
    """Return the DGMs of whose first kept conversations the store has the base model's scores."""
    known, longest = read_scores(current_folder() / FOLDER / base.id), load(Train).sequence_length
    return [
        sample
        for sample in field
        if sample.chats and all(identity(chat, base, longest) in known for chat in [*sample.chats.values()][:number])
    ]
