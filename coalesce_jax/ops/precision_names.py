"""Names the precisions of matrix products. It needs no JAX."""

NAMES = ('float32', 'tensorfloat32', 'bfloat16')
