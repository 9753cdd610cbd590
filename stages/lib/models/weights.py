"""How much memory a model's weights take, and what vLLM needs on GPUs for them."""

from pathlib import Path

from stages.lib.console.needs import Needs
from stages.lib.models.catalogue import Model

WIDTHS = {"bfloat16": 2, "float16": 2, "float32": 4}  # bytes
WIDEST = max(WIDTHS.values())


def weight_bytes(model: Model, dtype: str = "") -> float:
    """Return the least number of bytes that a model's weights take when they are loaded, by default in its own dtype.

    It is that of its files, as if they were in float32; of a model on the hub, that of the parameters that the
    catalogue names; 0 where neither is known.
    """
    width = 1 if model.quantization == "fp8" else WIDTHS[dtype or model.dtype]
    if model.kind == "local":
        return sum(file.stat().st_size for file in Path(model.location).glob("*.safetensors")) * width / WIDEST
    return (model.parameters_billions or 0.0) * 1e9 * width


def gpu_needs(model: Model, gpu_share: float) -> Needs:
    """Return what vLLM needs to load a model on GPUs, of whose memory it takes a share."""
    return Needs(
        model.id,
        gpus=model.tensor_parallel,
        asked_by=f"tensor_parallel of {model.id}",
        gpu_share=gpu_share,
        weights=weight_bytes(model),
    )
