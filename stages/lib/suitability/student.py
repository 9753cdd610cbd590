"""A base model that reads replies: the surprisal of each of their tokens, and its rank among all tokens.

transformers does it in one pass per chat. vLLM's `prompt_logprobs` gives the same numbers (perf.suitability): on a CPU
it takes 2.8 times as long, after a start that 20 chats would be read in.
"""

from typing import Any, NamedTuple

import numpy as np

from stages.lib.console.errors import UserError
from stages.lib.console.needs import Needs, check_machine
from stages.lib.core.types import Floats
from stages.lib.models.catalogue import Model
from stages.lib.models.chat_template import revision
from stages.lib.models.weights import weight_bytes
from stages.lib.suitability.encoding import Encoding

TOKENS_AT_ONCE = 512  # whose logits are in float32 at a time


class TokenScores(NamedTuple):
    """What a base model says of the reply tokens of a chat: both are [token]."""

    surprisals: Floats  # negative log-likelihoods, in nats
    ranks: Floats  # 1: no token is more likely


class Student:
    """A base model with its weights loaded, on a CPU in float32 or on a GPU in its own dtype."""

    def __init__(self, base: Model, device: str) -> None:
        """Load the weights; raise UserError where they cannot be loaded, MachineError where they do not fit."""
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        is_gpu = device == "gpu"
        dtype = base.dtype if is_gpu else "float32"
        weights = weight_bytes(base, dtype)
        check_machine(
            Needs(base.id, gpus=1, asked_by="suitability.device", weights=weights)
            if is_gpu
            else Needs(base.id, memory=weights)
        )
        self._torch: Any = torch
        self._device = "cuda" if is_gpu else "cpu"
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                base.location,
                revision=revision(base),
                dtype=getattr(torch, dtype),
                trust_remote_code=base.trust_remote_code,
                use_safetensors=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{base.id}: its weights cannot be loaded: {str(error).splitlines()[0]}") from None
        self._model = model.to(self._device).eval()

    def read(self, encoding: Encoding) -> TokenScores:
        """Score the reply tokens of a chat: one pass over all of it."""
        torch = self._torch
        positions = torch.tensor(encoding.positions, device=self._device)
        ids = torch.tensor([encoding.ids], device=self._device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=positions - 1).logits[0]
            parts = [
                score_tokens(part, target)
                for part, target in zip(
                    logits.split(TOKENS_AT_ONCE), ids[0, positions].split(TOKENS_AT_ONCE), strict=True
                )
            ]
        surprisals, ranks = (np.concatenate(values) for values in zip(*parts, strict=True))
        return TokenScores(surprisals, ranks)


def score_tokens(logits: Any, targets: Any) -> tuple[Floats, Floats]:
    """Return the surprisal and the rank of each target; `logits` are a tensor [token, vocabulary]."""
    own = logits.float()
    target = own.gather(1, targets[:, None])
    surprisals = own.logsumexp(dim=-1) - target[:, 0]
    ranks = 1 + (own > target).sum(dim=-1)
    return surprisals.double().cpu().numpy(), ranks.double().cpu().numpy()
