"""The stages of `coalesce run`."""
