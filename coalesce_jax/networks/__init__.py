"""Network architectures; the only room that knows the layer library."""
