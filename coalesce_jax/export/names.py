"""Names the formats of programs and the types of their weights.

It needs no JAX. What implements the formats is in `export`.
"""

# Format -> type of the weights -> the encoding that a bundle must have for it.
WEIGHTS: dict[str, dict[str, str | None]] = {
  'onnx': {'int2': 'ternary', 'int4': 'ternary', 'float32': None},
  'stablehlo': {'int2': 'ternary', 'float32': None},
}
# Format -> the endings of its files.
ENDINGS = {'onnx': ('.onnx',), 'stablehlo': ('.stablehlo', '.mlir', '.bin')}
# Version of the standard operators of ONNX, by type of the weights: the lowest
# that has the type. More runtimes read an older version.
OPSETS = {'int2': 25, 'int4': 21, 'float32': 13}
