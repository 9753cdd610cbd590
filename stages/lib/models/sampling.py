"""Sampling parameters. Their serialised form is a part of every conversation's identity."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from stages.lib.core.sections import Section


class Sampling(Section):
    """How a token is drawn. Temperature 0 takes the most likely one; the defaults of the last three switch them off."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A conversation's identity holds these values: a new parameter that is off must not change older identities.
        off = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
        return {name: value for name, value in handler(self).items() if off.get(name) != value}
