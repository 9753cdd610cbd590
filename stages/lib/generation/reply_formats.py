"""The formats in which replies come, distinguished by the columns of a file.

`conversation_hash` and `conversation`, as in WildChat (messages of role and content) and in the published WildChat-50m
sets (which add a finish_reason); one reply per row, `conversation_hash` and `response`; or `conversation_hash` and
`turns`, the pipeline's own RESPONSE rows, as in data/responses and in the sets that `make publish` writes.
"""

from collections.abc import Mapping
from pathlib import Path

from stages.lib.console.errors import UserError
from stages.lib.core.types import Row
from stages.lib.models.catalogue import Model
from stages.lib.readers.chats import (
    MESSAGE_FIELDS,
    Chat,
    ParsedTurn,
    parse_chat,
    to_content,
    to_finish,
    to_messages,
)
from stages.lib.readers.parquet_rows import Columns
from stages.lib.readers.reasons import Reason
from stages.lib.readers.values import to_bool, to_id, to_label, to_number

WHERE = "where "  # begins our names of the columns of `where`
TURN_FIELDS = ("user", "assistant", "finish_reason")  # of a turn, the fields that are read


def key_column(model: Model) -> str:
    """Return the name of the column that holds the conversation's hash."""
    return model.columns.get("conversation_hash", "conversation_hash")


def choose_columns(present: list[str], model: Model, file: Path) -> Columns:
    """Choose the columns of a file to read; raise UserError when it has none of the known formats."""
    renamed = model.columns
    for needed in (*renamed.values(), *model.where, key_column(model)):
        if needed not in present:
            raise UserError(f"{file} has no column {needed!r}; it has: {', '.join(present)}")
    scalars = {"key": key_column(model), **{WHERE + name: name for name in model.where}}
    conversation, response = (renamed.get(name, name) for name in ("conversation", "response"))
    if conversation in present and "response" not in renamed:
        return Columns({**scalars, "chat": conversation}, MESSAGE_FIELDS, [*scalars])
    if response not in present and "turns" in present:
        status = {"status": "status"} if "status" in present else {}
        return Columns({**scalars, **status, "turns": "turns"}, TURN_FIELDS, [*scalars, *status])
    if response not in present:
        raise UserError(
            f"{file} has the columns {', '.join(present)}; an import needs `conversation_hash` with `conversation`, "
            f"`response` or `turns`: say `columns: {{response: <its name>}}` in dgms/{model.id}.yaml"
        )
    optional = {"user": renamed.get("user", ""), "finish": renamed.get("finish_reason", "finish_reason")}
    names = {**scalars, "reply": response, **{ours: name for ours, name in optional.items() if name in present}}
    return Columns(names, MESSAGE_FIELDS, [*scalars, "finish"])


def is_value(value: object, wanted: str | float) -> bool:
    """Whether a value of a column, of whatever type, is one that a catalogue's `where` names."""
    if isinstance(wanted, bool):
        return to_bool(value) is wanted
    return (to_id(value) if isinstance(wanted, str) else to_number(value)) == wanted


def parse_reply(row: Row) -> Chat | Reason:
    """Return the chat of a row of any format, or the reason why it has none that can be used."""
    if "chat" in row:
        return parse_chat(row["chat"])
    if "turns" in row:
        return parse_turns(row["turns"], row.get("status"))
    user = to_content(row["user"]) if "user" in row else None
    return user if isinstance(user, Reason) else parse_single_reply(row, user)


def parse_single_reply(row: Mapping[str, object], user: str | None, system: str = "") -> Chat | Reason:
    """Return the chat of a row's `reply` and `finish` to a message of the user, None if that is not known."""
    reply = to_content(row["reply"])
    if isinstance(reply, Reason):
        return reply
    return Chat(system, [{"user": user, "reply": reply, "finish": to_finish(row.get("finish"))}])


def parse_turns(turns: object, status: object, system: str = "") -> Chat | Reason:
    """Return the chat of turns as in RESPONSE, or the reason why there are none."""
    if to_label(status) == "not_imported":
        return Reason("not_imported")
    known = to_messages(turns)
    if isinstance(known, Reason):
        return known
    parsed = [parse_turn(turn) if isinstance(turn, dict) else Reason("message_is_no_record") for turn in known]
    wrong = next((turn for turn in parsed if isinstance(turn, Reason)), None)
    return wrong or Chat(system, [turn for turn in parsed if not isinstance(turn, Reason)])


def parse_turn(turn: Row) -> ParsedTurn | Reason:
    """Return one turn as in RESPONSE, or the reason why it is none."""
    user, reply = to_known_text(turn.get("user")), to_content(turn.get("assistant"))
    if problem := next((value for value in (user, reply) if isinstance(value, Reason)), None):
        return problem
    finish = to_finish(turn.get("finish_reason"))
    return {"user": user or "", "reply": reply, "finish": finish}  # type: ignore[dict-item]


def to_known_text(value: object) -> str | Reason | None:
    """Return a text, None if it is missing, or the reason why it is no text."""
    text = to_content(value)
    return None if isinstance(text, Reason) and text.name == "null_content" else text
