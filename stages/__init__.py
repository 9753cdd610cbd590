"""The pipeline: one file per stage, named as in dvc.yaml. `lib` holds the rooms that they are made of."""
