"""Matrix products with the same bits on every machine. It needs no JAX.

A sum of floating-point numbers depends on its order, which differs between
libraries, devices and numbers of threads. A sum of integers does not.

Shapes: M rows, N terms of a sum, P columns.
"""

import numpy as np

# Two to the number of bits of one integer.
_HALF = 2.0**18


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Returns a matrix product whose bits do not depend on the order of sums.

  Rows of `a` and columns of `b` become multiples of powers of two of 36 bits,
  as two integers of 18 bits each. Sums of products of these integers are exact
  in float64, up to 2^17 terms.

  Args:
    a: `[M, N]`, float32.
    b: `[N, P]`, float32.

  Returns:
    `[M, P]`, float32. The error of a factor is below 2^-36 of the largest value
    in its row or column.
  """
  high_a, low_a, unit_a = _integers(a, 1)
  high_b, low_b, unit_b = _integers(b, 0)
  middle = high_a @ low_b + low_a @ high_b
  total = high_a @ high_b + middle / _HALF + low_a @ low_b / _HALF**2
  with np.errstate(over='ignore'):
    product: np.ndarray = (total * unit_a * unit_b).astype(np.float32)
  return product


def _integers(
  x: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Splits values into unit * (high + low / 2^18)."""
  x = x.astype(np.float64)
  _, exponent = np.frexp(np.max(np.abs(x), axis, keepdims=True))
  unit = np.ldexp(1.0, exponent) / _HALF
  scaled = x / unit
  high = np.rint(scaled)
  return high, np.rint((scaled - high) * _HALF), unit
