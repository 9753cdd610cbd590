"""The tags around a model's thinking: as its tokens, in a reply, and around the thinking that a reply begins with."""

import re

THINKING_TOKEN = re.compile(r"[<\[]/?(?:think|thinking|reasoning)[>\]]", re.I)
THINKING_TAG = re.compile(r"<(/?)(?:think|thinking|reasoning)>")
THINKING_PART = re.compile(r"\A\s*(?:<think(?:ing)?>)?.*?</think(?:ing)?>\s*|\A\s*<think(?:ing)?>.*\Z", re.S)
