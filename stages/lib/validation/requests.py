"""Whether a conversation answers the prompt, and was asked as the params say."""

from stages.lib.engines.request import RequestConfig, identity
from stages.lib.records.chats import build_chat, drop_oldest_turns, join_systems
from stages.lib.records.hashing import chat_sha
from stages.lib.records.prompts import system_of
from stages.lib.records.responses import UNANSWERED, Turn
from stages.lib.validation.check_input import CheckInput

MAX_CHARS_PER_TOKEN = 40


def prompt_users(given: CheckInput) -> list[str]:
    """Return the user messages of the prompt."""
    return [turn["user"] for turn in given.prompt_row["turns"]]


def response_users(given: CheckInput) -> list[str]:
    """Return the user messages of the response; those that an import does not know are taken from the prompt."""
    users = [turn["user"] for turn in given.row["turns"]]
    if not given.is_import:
        return users
    expected = prompt_users(given)
    return [user or asked for user, asked in zip(users, expected, strict=False)] + users[len(expected) :]


def has_other_users(given: CheckInput) -> bool:
    """Whether the user messages differ from the prompt's, or stand in another order."""
    users = response_users(given)
    return users != prompt_users(given)[: len(users)]


def is_reordered(given: CheckInput) -> bool:
    """Whether the user messages are the prompt's in another order."""
    return has_other_users(given) and sorted(response_users(given)) == sorted(prompt_users(given))


def has_other_system(given: CheckInput) -> bool:
    """Whether the row has a column for the system message, and its is not the prompt's."""
    return "system" in given.row and system_of(given.row) != system_of(given.prompt_row)


def is_altered(given: CheckInput) -> bool:
    """Whether the system message or the user messages are not the prompt's, in any order."""
    return has_other_system(given) or (has_other_users(given) and not is_reordered(given))


def lacks_turns(given: CheckInput) -> bool:
    """Whether a conversation that ended well has fewer turns than the prompt."""
    return given.row["status"] == "ok" and len(given.row["turns"]) < len(given.prompt_row["turns"])


def is_of_other_dgm(given: CheckInput) -> bool:
    """Whether the row names another DGM than the one whose responses these are."""
    return bool(given.row["dgm"] != given.model.id)


def is_not_as_asked(given: CheckInput) -> bool:
    """Whether the identity, history mode or seed is not what the params and the catalogue lead to."""
    row, config = given.row, given.config
    expected = identity(given.prompt_row, given.model, config, row["engine"].partition(" ")[0])
    return bool(row["identity"] != expected or (row["history"], row["seed"]) != (config.history, config.seed))


def has_broken_history(given: CheckInput) -> bool:
    """Whether some turn was not asked after exactly the turns before it, by the hash of its chat."""
    turns, config = given.row["turns"], given.config
    users = [turn["user"] for turn in turns]
    own = [turn["assistant"] for turn in turns]
    replies = [turn["reference"] for turn in given.prompt_row["turns"]] if config.history == "reference" else own
    system = join_systems(config.system_prompt, system_of(given.prompt_row))
    for number, turn in enumerate(turns, 1):
        messages = build_chat(users[:number], replies, system)
        if turn["prompt_sha"] != chat_sha(drop_oldest_turns(messages, turn["trimmed_turns"])):
            return True
    return False


def has_wrong_token_counts(given: CheckInput) -> bool:
    """Whether the token counts of some turn are impossible under the current limits."""
    return not all(token_counts_fit(turn, given.config) for turn in given.row["turns"])


def token_counts_fit(turn: Turn, config: RequestConfig) -> bool:
    """Whether the token counts of a turn are possible under the current limits."""
    prompt, completion = turn["prompt_tokens"], turn["completion_tokens"]
    limit = min(config.max_tokens, config.window - prompt)
    if turn["finish_reason"] == "context_overflow":
        return prompt > 0 and completion == 0 and limit < 1
    if turn["finish_reason"] in UNANSWERED:
        return completion == 0
    if turn["finish_reason"] == "length" and completion != limit:
        return False
    num_chars = len(turn["raw"] or turn["assistant"])
    return prompt > 0 and 0 < completion <= limit and num_chars <= MAX_CHARS_PER_TOKEN * completion
