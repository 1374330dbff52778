"""Names the formats of programs and the types of their weights.

It needs no JAX. What implements the formats is in `export`.
"""

from collections.abc import Iterable

# Format -> type of the weights -> the encoding that a bundle must have for it.
WEIGHTS: dict[str, dict[str, str | None]] = {
  'onnx': {
    'int2': 'ternary', 'int4': 'ternary', 'float32': None, 'int8': None
  },
  'stablehlo': {'int2': 'ternary', 'float32': None, 'int8': None},
}  # fmt: skip
# Only translators of images have these.
OF_TRANSLATORS = ('int8',)
# Format -> the endings of its files.
ENDINGS = {'onnx': ('.onnx',), 'stablehlo': ('.stablehlo', '.mlir', '.bin')}
# Version of the standard operators of ONNX, by type of the weights: the lowest
# that has the type and `LayerNormalization`. More runtimes read an older one.
OPSETS = {'int2': 25, 'int4': 21, 'float32': 17, 'int8': 17}


def offered(format: str, translator: bool) -> dict[str, str | None]:
  """Returns the types of weights that a format has for a kind of network.

  Args:
    format: a key of `WEIGHTS`.
    translator: whether the network translates images.
  """
  return {
    weights: encoding
    for weights, encoding in WEIGHTS[format].items()
    if translator or weights not in OF_TRANSLATORS
  }


def kernels(leaves: Iterable[str]) -> list[str]:
  """Returns the names of the leaves that 'int8' rounds."""
  return [name for name in leaves if name.endswith('/kernel')]
