"""What is not a stage of dvc.yaml: commands that `make` starts."""
