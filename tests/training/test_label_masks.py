"""Which tokens are trained: compared with generation's encodings, counted, and shown."""

import numpy as np

from stages.lib.models.chat_template import Template
from stages.lib.training.label_masks import (
    IGNORE_INDEX,
    Batch,
    Example,
    PreparedRow,
    count_tokens,
    find_examples,
    find_problem,
    mark_trained,
)
from tests.support.bases import CHAT_OF_TWO, llama_base
from tests.support.conversations import MODEL
from tests.support.training import encode, end_id


def prepared(example: Example, trained: list[tuple[int, int]] | None = None) -> PreparedRow:
    """The example as a prepared row, with these tokens trained; by default its replies."""
    ids = np.array(example["ids"])
    labels = np.full(len(ids), IGNORE_INDEX)
    for first, last in example["replies"] if trained is None else trained:
        labels[first : last + 1] = ids[first : last + 1]
    return PreparedRow(ids, labels)


def batch(*rows: PreparedRow) -> Batch:
    starts = np.cumsum([0, *(len(row.ids) for row in rows)])
    return Batch(np.concatenate([row.ids for row in rows]), np.concatenate([row.labels for row in rows]), starts)


def problem_of(example: Example, row: PreparedRow, end: int) -> str:
    return find_problem(count_tokens([batch(row)], end), [example], find_examples([batch(row)], [example]))


def test_only_replies_to_their_ends_may_be_trained(template: Template) -> None:
    example, end = encode(template), end_id(template)
    (a, b), (c, d) = example["replies"]
    outside = "a message of a user or the system, or a header, would be trained"
    no_end = "the end of turn would never be trained, so the model could not stop"
    problems = {
        ((a, b), (c, d)): "",
        (): "nothing would be trained: no reply is marked",
        ((a, b), (b + 1, b + 5), (c, d)): outside,
        ((a - 1, b), (c, d)): outside,
        ((a, b - 1), (c, d - 1)): no_end,
        ((a, b), (c, d - 1)): no_end,
        ((a + 1, b), (c + 1, d)): "",  # the first token may be a space of the template
        ((a, b), (d, d)): "a reply would not be trained, or only a part of it",
    }
    for trained, problem in problems.items():
        assert problem_of(example, prepared(example, list(trained)), end) == problem


def test_other_token_ids_than_in_generation_are_refused(template: Template) -> None:
    example, end = encode(template), end_id(template)
    other = encode(template, [*CHAT_OF_TWO[:3], {"role": "assistant", "content": "No!"}])
    assert problem_of(example, prepared(other), end).startswith("1 of 1 conversations have other token ids in training")


def test_conversations_without_a_trained_end_of_turn_are_counted(template: Template) -> None:
    example, end = encode(template), end_id(template)
    first, last = example["replies"][0]
    rows = batch(prepared(example), prepared(example, [(first, last - 1)]), prepared(example))
    total = count_tokens([rows, rows], end)
    trained = 2 * (2 * sum(b - a + 1 for a, b in example["replies"]) + last - first)
    tokens = 6 * len(example["ids"])
    assert total == {"rows": 6, "tokens": tokens, "trained_tokens": trained, "replies": 8, "rows_without_eos": 2}
    reason = find_problem(total, [example], find_examples([rows], [example]))
    assert reason == "in 2 of 6 conversations no end of turn would be trained"


def test_a_conversation_is_shown_with_the_trained_tokens_in_brackets() -> None:
    template = Template(llama_base(), MODEL)
    example = encode(template)
    assert mark_trained(prepared(example), template.tokenizer.decode) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦Yes? <|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nIn?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦No.<|eot_id|>⟧"
    )
