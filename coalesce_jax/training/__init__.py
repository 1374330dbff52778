"""The training loop, which runs anything that learns."""
