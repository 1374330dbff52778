"""Ground: types, parameter trees, files, signals, foreign checkpoints."""
