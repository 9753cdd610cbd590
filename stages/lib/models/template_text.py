"""The text of a chat template: which of several is used, and what it takes from outside written into it.

Axolotl, lm-eval and Evalchemy render chats themselves. A text that brings its date along gives the same chat there.
"""

import datetime
import json
from collections.abc import Mapping

from stages.lib.console.errors import UserError

DEFAULT = "default"  # of several named templates
TODAY = datetime.datetime(2024, 7, 26)  # the date that Llama 3's templates use without a clock
CLOCK = "strftime_now"
CODES = [f"%{flag}{letter}" for flag in ("", "-") for letter in "aAbBcdeFHIjmMpSUwWxXyY"]  # of a date's format
STOPPED_CLOCK = (
    f"{{%- macro {CLOCK}(format) -%}}{{%- set date = namespace(text=format) -%}}"
    f"{{%- for code, value in {json.dumps([[code, TODAY.strftime(code)] for code in CODES])} -%}}"
    "{%- set date.text = date.text.replace(code, value) -%}{%- endfor -%}{{ date.text }}{%- endmacro %}\n"
)


def choose_template(templates: str | Mapping[str, str] | None, where: str) -> str | None:
    """Return a tokenizer's chat template, with a clock that stands still; of several named ones `default`.

    `where` names the model in the UserError when none of several is the default.
    """
    if isinstance(templates, Mapping):
        if DEFAULT not in templates:
            raise UserError(
                f"{where}: of its chat templates ({', '.join(templates)}) none is named {DEFAULT!r}: write the one to "
                f"use to a file and name it as `chat_template` in the catalogue"
            )
        templates = templates[DEFAULT]
    return stop_clock(templates) if templates else None


def stop_clock(text: str) -> str:
    """Return a template that gets the same date every day; the same text if it asks for none."""
    return STOPPED_CLOCK + text if CLOCK in text and not text.startswith(STOPPED_CLOCK) else text


def set_names(text: str, names: Mapping[str, str]) -> str:
    """Return a template in which these names (`eos_token`) have these values; names that it does not use are left."""
    used = {name: value for name, value in names.items() if name in text}
    return "".join(f"{{%- set {name} = {json.dumps(value)} %}}\n" for name, value in used.items()) + text
