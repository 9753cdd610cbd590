"""Codes of languages, for the metadata of a card."""

from collections.abc import Iterable


def language_codes(names: Iterable[str]) -> list[str]:
    """Return the ISO 639 codes of languages by their English names; a name that is not known has none."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE  # a second to import

    return sorted({TO_LANGUAGE_CODE[name.lower()] for name in names if name.lower() in TO_LANGUAGE_CODE})
