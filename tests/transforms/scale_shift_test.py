"""Frozen filters, scaled and shifted."""

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.transforms import scale_shift

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
PARAMS = {
  'a': {
    'kernel': RNG.normal(2.0, 3.0, (3, 3, 2, 4)).astype(np.float32),
    'bias': RNG.normal(size=4).astype(np.float32),
  },
  'b': {'kernel': RNG.normal(size=(5, 3)).astype(np.float32)},
}


@pytest.mark.parametrize('rank', [0, 2])
@pytest.mark.parametrize('kind', ['pair', 'filter'])
def test_training_starts_from_the_base(rank, kind):
  reparam = scale_shift.scale_shift((('.*kernel', kind),), rank)
  made = reparam.apply(*reparam.init(KEY, PARAMS))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    made, PARAMS,
  )  # fmt: skip


def test_each_pair_of_channels_has_a_scale_and_a_shift():
  reparam = scale_shift.scale_shift()
  latent, frozen = reparam.init(KEY, PARAMS)
  latent = jax.tree.map(lambda x: RNG.normal(size=x.shape), latent)
  made = reparam.apply(latent, frozen)
  for i in range(2):
    for j in range(4):
      w = PARAMS['a']['kernel'][:, :, i, j].astype(np.float64)
      found = latent['a']['kernel']
      wanted = found['scale'][i, j] * (w - w.mean()) / w.std()
      wanted += found['shift'][i, j]
      np.testing.assert_allclose(
        made['a']['kernel'][:, :, i, j], wanted, rtol=1e-4, atol=1e-5
      )
  w = PARAMS['b']['kernel'].astype(np.float64)
  found = latent['b']['kernel']
  wanted = found['scale'] * (w - w.mean(0)) / w.std(0) + found['shift']
  np.testing.assert_allclose(made['b']['kernel'], wanted, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(made['a']['bias'], latent['a']['bias'])


def test_a_rank_bounds_what_a_task_adds():
  reparam = scale_shift.scale_shift((('a/kernel', 'pair'),), 1)
  latent, frozen = reparam.init(KEY, PARAMS)
  assert trees.count(latent['a']['kernel']) == 2 * (2 + 4)
  left, right = RNG.normal(size=(2, 1)), RNG.normal(size=(1, 4))
  latent['a']['kernel']['scale'] = {'left': left, 'right': right}
  made = reparam.apply(latent, frozen)['a']['kernel']
  w = PARAMS['a']['kernel']
  wanted = w + (w - w.mean((0, 1))) / w.std((0, 1)) * (left * right)
  np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)


def test_a_constant_filter_stays_finite():
  params = {'kernel': np.full((3, 3, 1, 1), 2.0, np.float32)}
  reparam = scale_shift.scale_shift()
  made = reparam.apply(*reparam.init(KEY, params))
  np.testing.assert_allclose(made['kernel'], params['kernel'])


def test_bad_settings_are_refused():
  with pytest.raises(ValueError, match='is not one of'):
    scale_shift.scale_shift((('.*', 'layer'),))
  with pytest.raises(ValueError, match='negative'):
    scale_shift.scale_shift(rank=-1)
  with pytest.raises(ValueError, match='match none'):
    scale_shift.scale_shift((('c', 'pair'),)).init(KEY, PARAMS)
