"""Makes networks smaller: counts of multiplications, removal of channels."""
