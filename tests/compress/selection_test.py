"""Channels that a budget keeps."""

import jax
import numpy as np
import pytest

from coalesce_jax.compress import channels
from coalesce_jax.compress import macs
from coalesce_jax.compress import selection
from coalesce_jax.compress import slicing
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib

SPECS = {
  'dcgan': generator_lib.Spec(
    'dcgan', 8, (28, 28, 1), generator_lib.freeze({'width': 32})
  ),
  'unet': generator_lib.Spec(
    'unet', 0, (16, 16, 3), generator_lib.freeze({'width': 16, 'downs': 3}),
    condition_shape=(16, 16, 1),
  ),
}  # fmt: skip


def numbers(spec, seed=0):
  rng = np.random.default_rng(seed)
  return {g.name: rng.normal(size=g.size) for g in channels.groups(spec)}


def used(spec, masks):
  """The share of the sliced network, counted from its own spec."""
  sizes = [int(masks[g.name].sum()) for g in channels.groups(spec)]
  small = channels.with_sizes(spec, sizes)
  return macs.total(small) / macs.total(spec)


@pytest.mark.parametrize('spec', SPECS.values(), ids=SPECS)
@pytest.mark.parametrize('share', [0.5, 0.25, 0.1, 1.0])
def test_the_budget_is_met_within_two_percent(spec, share):
  for masks in (
    *selection.uniform([spec], share),
    *(
      masks
      for seed in (0, 3, 9)
      for masks in selection.at_budget([spec], [numbers(spec, seed)], share)
    ),
  ):
    assert used(spec, masks) == pytest.approx(share, rel=0.02)
    assert all(mask.any() for mask in masks.values())


def test_no_kept_channel_is_less_important_than_a_removed_one():
  spec = SPECS['unet']
  given = numbers(spec)
  (masks,) = selection.at_budget([spec], [given], 0.3)
  for name, value in given.items():
    assert value[masks[name]].min() > value[~masks[name]].max(initial=-9.0)
  # Between groups, up to the channel that meets the budget.
  least = sorted(np.concatenate([v[masks[n]] for n, v in given.items()]))
  most = sorted(np.concatenate([v[~masks[n]] for n, v in given.items()]))
  assert least[4] > most[-5]


def test_a_budget_of_two_networks_is_spent_where_it_matters():
  spec = SPECS['dcgan']
  high = {n: v + 10.0 for n, v in numbers(spec).items()}
  low, kept = selection.at_budget([spec, spec], [numbers(spec), high], 0.5)
  assert all(mask.all() for mask in kept.values())
  assert all(mask.sum() == 1 for mask in low.values())


def test_a_uniform_network_keeps_the_same_share_of_every_map():
  (masks,) = selection.uniform([SPECS['unet']], 0.25)
  for mask in masks.values():
    assert mask.mean() == pytest.approx(0.47, abs=0.04)
    assert mask[: mask.sum()].all()


def test_magnitudes_are_those_of_the_writing_kernels():
  spec, rng = SPECS['unet'], np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32),
    jax.eval_shape(spec.build().init, jax.random.key(0)),
  )
  leaves = trees.flatten(params)
  found = selection.magnitude(spec, params)
  kernel = np.abs(leaves['down_1/conv/kernel' if 'down_1/conv/kernel' in leaves else 'down_1/kernel'])  # noqa: E501  # fmt: skip
  wanted = kernel.sum((0, 1, 2)) / kernel.sum((0, 1, 2)).mean()
  np.testing.assert_allclose(found['down_1'], wanted, rtol=1e-5)
  scales = selection.norm_scales(spec, params)
  wanted = np.abs(leaves['down_norm_1/scale'])
  np.testing.assert_allclose(scales['down_1'], wanted / wanted.mean(), 1e-5)
  # The first map has no norm.
  np.testing.assert_array_equal(scales['down_0'], found['down_0'])
  masks = selection.at_budget([spec], [scales], 0.25)
  small, fewer = slicing.sliced(spec, params, masks[0])
  assert channels.shapes(small) == {
    name: leaf.shape for name, leaf in trees.flatten(fewer).items()
  }


def test_what_cannot_be_chosen_is_refused():
  spec = SPECS['dcgan']
  given = numbers(spec)
  with pytest.raises(ValueError, match='share 0.0'):
    selection.uniform([spec], 0.0)
  with pytest.raises(ValueError, match='one channel of each map takes'):
    selection.at_budget([spec], [given], 1e-4)
  with pytest.raises(ValueError, match='not of the groups'):
    selection.at_budget([spec], [{'project': given['project']}], 0.5)
  given['project'][0] = np.nan
  with pytest.raises(ValueError, match='not all finite'):
    selection.at_budget([spec], [given], 0.5)
