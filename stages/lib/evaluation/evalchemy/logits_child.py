"""The process that reads one model: its tokens, rotary frequencies and logits of one chat.

`python -m <this module> <folder> <dtype> <file> [template]` uses the transformers of whichever environment runs it, and
writes to the file: their version, the chat's token ids, the frequencies of the rotary embedding, and the logits after
the last token.
"""

import json
import sys
from pathlib import Path
from typing import Any

CHAT = [
    {"role": "user", "content": "Wie weit ist der Mond? Answer in one line, please:\n\n1. in km"},
    {"role": "assistant", "content": "About 384,400 km (on average)."},
    {"role": "user", "content": "And the Sun, in the same form? {x: 'é'} <b>"},
]


def rotary_frequencies(model: Any) -> list[list[float]]:
    """Return the distinct vectors of rotary frequencies, whatever their names, in a stable order."""
    vectors = {tuple(value.float().tolist()) for name, value in model.named_buffers() if name.endswith("inv_freq")}
    return sorted(map(list, vectors))


def main(folder: str, dtype: str, file: str, template: str = "") -> None:
    """Load the model, run the chat through it, and write the reading."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if template:
        tokenizer.chat_template = Path(template).read_text(encoding="utf-8")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=dtype)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0, -1].float()
    reading = {
        "transformers": transformers.__version__,
        "ids": ids,
        "inv_freq": rotary_frequencies(model),
        "logits": logits.tolist(),
    }
    Path(file).write_text(json.dumps(reading), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
