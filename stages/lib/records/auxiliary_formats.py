"""The formats of auxiliary sets (Tab. 1) and the columns that each reads."""

MESSAGE_KEYS = ("role", "content")  # keys of a message, not columns
FORMAT_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # those that it needs, those that it may have
    "multiple_choice": (("question", "choices", "answer"), ()),
    "messages": (("messages",), MESSAGE_KEYS),
    "question_answer": (("question", "answer"), ()),
    "jeopardy": (("question", "category", "answer"), ("choices",)),
}
