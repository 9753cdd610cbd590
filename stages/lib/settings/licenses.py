"""Licences by the names that the catalogue and params.yaml give them. They decide no byte of an out."""

from dataclasses import dataclass

from stages.lib.console.faults import suggest

NOT_STATED = ""
_META = "replies may improve other models only under the licence's own conditions on names and notices"


@dataclass(frozen=True)
class License:
    """A licence: its full name, where its text is, and what it says of a model's replies."""

    name: str
    link: str
    hub: str = "other"  # its name on the model hub; other: the hub has none for it
    replies: str = ""  # what people who use a model's replies must know; empty: nothing beyond the licence


LICENSES = {
    "Apache-2.0": License("Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
    "MIT": License("MIT License", "https://opensource.org/license/mit", "mit"),
    "BSD-3-Clause": License("BSD 3-Clause License", "https://opensource.org/license/bsd-3-clause", "bsd-3-clause"),
    "ODC-BY-1.0": License(
        "Open Data Commons Attribution License 1.0", "https://opendatacommons.org/licenses/by/1-0/", "odc-by"
    ),
    "CC0-1.0": License("Creative Commons Zero 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
    "CC-BY-4.0": License(
        "Creative Commons Attribution 4.0", "https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0"
    ),
    "CC-BY-SA-4.0": License(
        "Creative Commons Attribution-ShareAlike 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "cc-by-sa-4.0"
    ),
    "CC-BY-NC-4.0": License(
        "Creative Commons Attribution-NonCommercial 4.0",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        "cc-by-nc-4.0",
        "no commercial use",
    ),
    "llama2": License(
        "Llama 2 Community License",
        "https://ai.meta.com/llama/license/",
        "llama2",
        "replies may not be used to improve language models other than Llama 2 and what is derived from it",
    ),
    "llama3": License(
        "Meta Llama 3 Community License",
        "https://www.llama.com/llama3/license/",
        "llama3",
        "replies may not be used to improve language models other than Llama 3 and what is derived from it",
    ),
    "llama3.1": License("Llama 3.1 Community License", "https://www.llama.com/llama3_1/license/", "llama3.1", _META),
    "llama3.3": License("Llama 3.3 Community License", "https://www.llama.com/llama3_3/license/", "llama3.3", _META),
    "gemma": License(
        "Gemma Terms of Use",
        "https://ai.google.dev/gemma/terms",
        "gemma",
        "a model that is trained on replies to behave as Gemma does may fall under these terms itself",
    ),
    "qwen": License(
        "Qwen License Agreement",
        "https://huggingface.co/Qwen/Qwen2.5-72B-Instruct/blob/main/LICENSE",
        replies="a model that is trained on replies must name Qwen where it is distributed",
    ),
    "glm-4": License("GLM-4 License", "https://huggingface.co/THUDM/glm-4-9b-chat/blob/main/LICENSE"),
    "internlm": License(
        "InternLM's terms: free for research, commercial use on application",
        "https://huggingface.co/internlm/internlm2_5-20b-chat",
    ),
    "jamba-open-model": License(
        "Jamba Open Model License", "https://www.ai21.com/jamba-open-model-license/", "jamba-open-model-license"
    ),
    "mistral-research": License(
        "Mistral AI Research License",
        "https://mistral.ai/licenses/MRL-0.1.md",
        replies="replies are for non-commercial research only",
    ),
    "nexusflow-research": License(
        "Nexusflow Research License",
        "https://huggingface.co/Nexusflow/Athene-70B",
        replies="for non-commercial research only",
    ),
    "openai": License(
        "OpenAI's terms of use",
        "https://openai.com/policies/terms-of-use/",
        replies="replies may not be used to develop models that compete with OpenAI's",
    ),
}


def check_license(given: str) -> str:
    """Return the name of a licence; raise ValueError unless it is known, not stated (empty), or has an address."""
    if given == NOT_STATED or given in LICENSES or "https://" in given:
        return given
    near = suggest(given, LICENSES).removesuffix("?")
    raise ValueError(f"no licence is known as {given!r}{near}; of any other give the name and the https:// address")


def find_license(given: str) -> License:
    """Return the licence of this name, in whatever case; for any other a licence with the text that was given."""
    known = {name.lower(): license_ for name, license_ in LICENSES.items()}
    text = given.strip()
    if text.lower() in known:
        return known[text.lower()]
    link = next((word.strip("<>(),;") for word in text.split() if "https://" in word), "")
    name = " ".join(word for word in text.split() if "https://" not in word).rstrip(" :,;(")
    return License(name or link or "not stated", link)
