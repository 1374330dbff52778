"""Network architectures; no other folder imports flax."""
