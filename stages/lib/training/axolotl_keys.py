"""A program that prints every key of Axolotl's configuration, one a line.

Runs in the training environment, in 2 seconds.
"""

import runpy
from pathlib import Path

import axolotl
from axolotl.utils.schemas.config import AxolotlInputConfig

# Not imported: the package around it would load the GPU libraries, which takes four times as long.
LIGER = Path(axolotl.__file__).parent / "integrations/liger/args.py"

if __name__ == "__main__":
    models = (AxolotlInputConfig, runpy.run_path(str(LIGER))["LigerArgs"])
    fields = [item for model in models for item in model.model_fields.items()]
    print("\n".join(sorted({key for name, field in fields for key in (name, field.alias) if key})))
