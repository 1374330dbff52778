"""Piggyback GAN learns task after task, and forgets none."""

import jax
import numpy as np

from coalesce_jax import translation
from coalesce_jax.continual import piggyback
from coalesce_jax.continual import stream
from coalesce_jax.core import trees
from tests.continual import streams

KEY = streams.KEY


def test_the_first_task_is_pix2pix_and_the_second_leaves_it_alone():
  given = streams.pairs()
  result = stream.run(KEY, piggyback.learner(), given)
  first = given[0].problem.args[0]
  alone, _ = translation.pix2pix(
    jax.random.fold_in(KEY, 0),
    ({'condition': first.condition, 'target': first.target},
     {'condition': first.held_condition, 'target': first.held_target}),
    config=streams.PAIRED,
  )  # fmt: skip
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    piggyback.params(result.state, 0), alone.params,
  )  # fmt: skip
  # Counted: only down_1 and up_1 are factorised, of 4 filters and of 2.
  whole = trees.count(alone.params)
  free = whole - 16 * 2 * 4 - 16 * 4 * 2
  assert result.stored.tolist() == [
    whole, free + 16 * 2 * 1 + 4 * 3 + 16 * 4 * 1 + 2 * 1,
  ]  # fmt: skip


def test_scores_below_the_diagonal_repeat_it_bit_for_bit():
  result = stream.run(KEY, piggyback.learner(), streams.points())
  scores = result.scores['energy']
  assert scores.shape == (3, 3)
  for t in range(3):
    np.testing.assert_array_equal(scores[t:, t], scores[t, t])
    assert np.isnan(scores[:t, t]).all()
  # 4 x 6 weights, 2 filters free; the others are sums over 6 and 8 filters.
  free = (5 * 4 + 4) + 6 + (6 * 2 + 2)
  assert result.stored.tolist() == [
    free + 24, free + 4 * 2 + 6 * 4, free + 4 * 2 + 8 * 4,
  ]  # fmt: skip
  assert (result.bytes == 4 * result.stored).all()
