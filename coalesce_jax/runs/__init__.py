"""Records, checkpoints and reports of a run."""
