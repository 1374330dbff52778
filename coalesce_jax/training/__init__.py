"""One loop for anything that learns."""
