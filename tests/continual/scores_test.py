"""Forgetting and transfer of a matrix of scores."""

import numpy as np
import pytest

from coalesce_jax.continual import scores


def test_forgetting_is_the_loss_since_the_best_and_transfer_has_signs():
  nan = np.nan
  matrix = [[5.0, nan, nan], [4.0, 3.0, nan], [6.0, 2.0, 1.0]]
  found = scores.summary(matrix, alone=[5.0, 4.0, 0.5])
  assert found['learned'].tolist() == [5.0, 3.0, 1.0]
  assert found['final'].tolist() == [6.0, 2.0, 1.0]
  # Task 0 was best after task 1; task 1 improved to the end.
  assert found['forgetting'].tolist() == [2.0, 0.0, 0.0]
  assert found['backward'].tolist() == [-1.0, 1.0, 0.0]
  assert found['forward'].tolist() == [0.0, 1.0, -0.5]
  seeds = np.stack([matrix, np.add(matrix, 1.0)], -1)
  assert scores.summary(seeds)['forgetting'].tolist() == [
    [2.0, 2.0], [0.0, 0.0], [0.0, 0.0],
  ]  # fmt: skip


def test_missing_scores_are_refused():
  with pytest.raises(ValueError, match='missing'):
    scores.summary([[1.0, 2.0], [np.nan, 1.0]])
  with pytest.raises(ValueError, match='are not'):
    scores.summary([1.0, 2.0])
