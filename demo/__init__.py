"""The demo's own world, data and tiny models: everything that the offline default of the pipeline needs."""
