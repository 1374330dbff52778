"""Published values for the funnels of https://arxiv.org/abs/2206.07767.

Cells are keyed by (D, N); where a number was not at hand it is left out.
"""

DIMS = (2, 4, 8, 16, 32, 64, 128)

# Estimates of W1 by a critic with a two-sided (gp) or one-sided (lp) penalty,
# and the true value.
W1 = {
  4: {
    'true': (0.817, 1.385, 1.882, 1.941, 1.822, 1.411, 1.142),
    'gp': (0.857, 1.447, 1.998, 2.071, 1.980, 1.378, 1.136),
    'lp': (0.885, 1.482, 1.984, 2.122, 1.917, 1.460, 1.144),
  },
  64: {
    'true': (0.230, 0.710, 1.259, 1.554, 1.543, 1.317, 1.045),
    'gp': (0.127, 0.578, 1.163, 1.356, 1.191, 0.814, 0.711),
    'lp': (0.224, 0.688, 1.182, 1.348, 1.177, 0.833, 0.687),
  },
}

# Cosines between the critic's gradient and the true one.
COSINE = {
  4: {
    'gp': (0.845, 0.949, 0.961, 0.964, 0.955, 0.918, 0.923),
    'lp': (0.818, 0.949, 0.961, 0.964, 0.949, 0.922, 0.926),
  },
  16: {
    'gp': (0.681, 0.862, 0.925, 0.913, 0.898, 0.750, 0.799),
    'lp': (0.810, 0.900, 0.925, 0.921, 0.899, 0.755, 0.754),
  },
  64: {
    'gp': (0.355, 0.671, 0.817, 0.785, 0.728, 0.606, 0.641),
    'lp': (0.676, 0.817, 0.827, 0.783, 0.730, 0.598, 0.623),
  },
}

METHODS = ('gp', 'lp')


def best_error(dimension: int, count: int) -> float | None:
  """The smaller relative W1 error of the two, or None."""
  if count not in W1 or dimension not in DIMS:
    return None
  i, table = DIMS.index(dimension), W1[count]
  return min(abs(table[m][i] / table['true'][i] - 1.0) for m in METHODS)


def best_cosine(dimension: int, count: int) -> float | None:
  """The larger cosine of the two, or None."""
  if count not in COSINE or dimension not in DIMS:
    return None
  i = DIMS.index(dimension)
  return max(COSINE[count][m][i] for m in METHODS)
