"""Prints every key that Axolotl's configuration has, one a line. Runs in the training environment, in 2 seconds."""

from axolotl.integrations.liger.args import LigerArgs
from axolotl.utils.schemas.config import AxolotlInputConfig

if __name__ == "__main__":
    fields = [item for model in (AxolotlInputConfig, LigerArgs) for item in model.model_fields.items()]
    print("\n".join(sorted({key for name, field in fields for key in (name, field.alias) if key})))
