"""Named trials, done once and kept."""
