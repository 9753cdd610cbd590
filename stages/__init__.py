"""The pipeline: one file per stage, named as in dvc.yaml; `lib` holds what two or more of them share."""

import importlib.util
import sys

if importlib.util.find_spec("pydantic") is None or importlib.util.find_spec("pyarrow") is None:
    sys.exit(f"{sys.executable} lacks Rewild's packages: run `make env`, then `source .venv/bin/activate`")
