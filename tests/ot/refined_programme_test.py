"""Refined linear programmes against optima that are known by hand."""

import numpy as np
import pytest
from scipy import sparse

from coalesce_jax.ot import refined_programme

# Two sources of masses 1 - t and t, each sent to one of two sinks.
EQUATIONS = sparse.csr_matrix(
  [
    [1.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 1.0],
  ]
)


@pytest.mark.parametrize('light', [1e-3, 1e-9, 1e-15])
@pytest.mark.parametrize('less', [1e-3, 1e-9, 1e-12])
def test_light_masses_take_the_cheaper_way(light, less):
  cost = np.array([0.5, 0.5 - less, 0.25, 1.0])
  right = np.array([1.0, light])
  *_, (x, y) = refined_programme.solutions(cost, EQUATIONS, right)
  np.testing.assert_allclose(
    np.asarray(x, float), [0.0, 1.0, light, 0.0], rtol=1e-9, atol=1e-24
  )
  # The multipliers are the costs of one more unit of each mass.
  np.testing.assert_allclose(
    np.asarray(y, float), [0.5 - less, 0.25], rtol=1e-15
  )


def test_every_round_is_nearer():
  cost = np.array([0.5, 0.5 - 1e-9, 0.25, 1.0])
  right = np.array([1.0, 1e-9])
  found = list(refined_programme.solutions(cost, EQUATIONS, right))
  assert 1 < len(found) <= refined_programme.ROUNDS
  errors = [float(np.abs(EQUATIONS @ x - right).max()) for x, _ in found]
  assert errors[-1] <= errors[0]


def test_equations_without_a_solution_are_refused():
  twice = sparse.csr_matrix([[1.0, 1.0], [1.0, 1.0]])
  with pytest.raises(ValueError, match='failed'):
    next(refined_programme.solutions(np.ones(2), twice, np.array([1.0, 2.0])))
