"""Removal of channels: the sliced network computes what the masked one does."""

import dataclasses

import hypothesis
from hypothesis import strategies
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.compress import channels
from coalesce_jax.compress import slicing
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.networks import translators

RNG = np.random.default_rng(0)


def latent(network, shape, size=3, **options):
  return generator_lib.Spec(network, size, shape, generator_lib.freeze(options))


def translator(network, **options):
  return generator_lib.Spec(
    network, 0, (8, 8, 2), generator_lib.freeze({'width': 2, **options}),
    condition_shape=(8, 8, 1),
  )  # fmt: skip


# Norms of single channels: zeroing what reads a channel masks it.
SINGLE = {
  'dcgan': latent('dcgan', (8, 8, 1), width=4, norm='none'),
  'mlp': latent('mlp', (2,), hidden=(5, 6), activation='tanh'),
  'unet': translator('unet', downs=3),
  'resnet': translator('resnet', blocks=2),
}
JOINT = {
  'dcgan layer': latent('dcgan', (8, 8, 1), width=4),
  'dcgan pixel': latent('dcgan', (8, 8, 1), width=4, norm='pixel'),
}
# The same by other options; they take longer to compile.
MORE_SINGLE = {
  'wgan_gp_mnist': latent('wgan_gp_mnist', (28, 28, 1), width=2),
  'unet one map': translator('unet', downs=1),
  'unet widest': translator('unet', downs=5, width=1, norm='batch'),
  'unet resize': translator('unet', downs=2, norm='none', upsampling='resize'),
  'resnet resize': translator('resnet', blocks=1, upsampling='resize'),
}
MORE_JOINT = {
  'unet layer': translator('unet', downs=3, norm='layer'),
  'resnet layer': translator('resnet', blocks=1, norm='layer'),
  'mixture': latent(
    'mixture', (8, 8, 1), 5, of='dcgan', count=2, of_width=4
  ),
}  # fmt: skip


def marked(quick, slow):
  return [pytest.param(s, id=name) for name, s in quick.items()] + [
    pytest.param(s, id=name, marks=pytest.mark.slow) for name, s in slow.items()
  ]


def drawn(spec, rng):
  """Parameters, none of them zero or one, and inputs of moderate outputs."""

  def draw(name, leaf):
    size = 0.1 if len(leaf.shape) > 1 else 0.3
    mean = float(name.endswith('scale'))
    return jnp.float32(mean + size * rng.normal(size=leaf.shape))

  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  inputs = spec.condition_shape or (spec.latent_size,)
  return (
    trees.map_named(draw, shapes),
    rng.normal(size=(3, *inputs)).astype(np.float32),
  )


def masks_of(spec, rng):
  """Random masks that keep a channel of every group and remove one."""
  masks = {}
  for group in channels.groups(spec):
    mask = masks[group.name] = rng.random(group.size) < 0.5
    if group.size > 1:
      first, second = rng.permutation(group.size)[:2]
      mask[first], mask[second] = True, False
    else:
      mask[:] = True
  return masks


def floats(masks):
  return {name: jnp.float32(mask) for name, mask in masks.items()}


def unread(spec, params, masks):
  """Parameters whose kernels read nothing of the masked channels."""
  leaves = {k: np.array(v) for k, v in trees.flatten(params).items()}
  for group in channels.groups(spec):
    for leaf, axis, offset in group.reads:
      gone = offset + np.flatnonzero(~masks[group.name])
      np.moveaxis(leaves[leaf], axis, 0)[gone] = 0.0
  return trees.unflatten(leaves)


@pytest.mark.parametrize('spec', marked(SINGLE, MORE_SINGLE))
def test_sliced_is_masked_is_not_read(spec):
  params, x = drawn(spec, RNG)
  masks = masks_of(spec, RNG)
  small, fewer = slicing.sliced(spec, params, masks)
  apply = jax.jit(spec.build().apply)
  expected = apply(unread(spec, params, masks), x)
  assert np.abs(expected - apply(params, x)).max() > 1e-3
  found = jax.jit(small.build().apply)(fewer, x)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  found = jax.jit(slicing.masked(spec))(params, floats(masks), x)
  np.testing.assert_allclose(found, expected, atol=1e-5)


# Maps of 4, 8, 16 and 32 pixels.
DEEP = {'dcgan deep': latent('dcgan', (32, 32, 1), width=2)}


@pytest.mark.slow
@pytest.mark.parametrize(
  'spec',
  [
    pytest.param(spec, id=name)
    for name, spec in (SINGLE | JOINT | MORE_SINGLE | MORE_JOINT | DEEP).items()
  ],
)
def test_any_masks_give_what_the_sliced_network_gives(spec):
  groups = channels.groups(spec)
  params, x = drawn(spec, np.random.default_rng(1))
  masked = jax.jit(slicing.masked(spec))
  kept = strategies.fixed_dictionaries(
    {
      group.name: strategies.sets(
        strategies.integers(0, group.size - 1), min_size=1
      )
      for group in groups
    }
  )
  few = {group.name: {group.size - 1} for group in groups}

  @hypothesis.settings(max_examples=6)
  @hypothesis.given(kept)
  @hypothesis.example(few)
  def check(kept):
    masks = {
      group.name: np.isin(np.arange(group.size), list(kept[group.name]))
      for group in groups
    }
    small, fewer = slicing.sliced(spec, params, masks)
    sizes = {group.name: group.size for group in channels.groups(small)}
    assert sizes == {name: len(some) for name, some in kept.items()}
    found = jax.jit(small.build().apply)(fewer, x)
    expected = masked(params, floats(masks), x)
    np.testing.assert_allclose(found, expected, atol=1e-5)

  check()


@pytest.mark.parametrize('spec', marked(JOINT, MORE_JOINT))
def test_norms_over_channels_count_the_kept_ones(spec):
  params, x = drawn(spec, RNG)
  masks = masks_of(spec, RNG)
  small, fewer = slicing.sliced(spec, params, masks)
  found = jax.jit(small.build().apply)(fewer, x)
  masked = jax.jit(slicing.masked(spec))
  expected = masked(params, floats(masks), x)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  whole = masked(params, jax.tree.map(jnp.ones_like, floats(masks)), x)
  full = jax.jit(spec.build().apply)(params, x)
  np.testing.assert_allclose(whole, full, atol=1e-5)
  assert np.abs(whole - expected).max() > 1e-3


@pytest.mark.parametrize(
  'spec', [*(SINGLE | JOINT | MORE_SINGLE | MORE_JOINT).values()]
)
def test_parameters_are_those_of_the_registered_smaller_network(spec):
  params, _ = drawn(spec, RNG)
  masks = masks_of(spec, RNG)
  small, fewer = slicing.sliced(spec, params, masks)
  found = {name: leaf.shape for name, leaf in trees.flatten(fewer).items()}
  assert found == channels.shapes(small)
  kept = [int(masks[group.name].sum()) for group in channels.groups(spec)]
  assert [group.size for group in channels.groups(small)] == kept
  assert trees.count(fewer) < trees.count(params)


def test_slices_compose():
  spec = SINGLE['unet']
  params, _ = drawn(spec, RNG)
  masks = masks_of(spec, RNG)
  first = {'down_1': masks['down_1']}
  rest = {k: v for k, v in masks.items() if k != 'down_1'}
  steps = slicing.sliced(*slicing.sliced(spec, params, first), rest)
  once = slicing.sliced(spec, params, masks)
  assert steps[0] == once[0]
  jax.tree.map(np.testing.assert_array_equal, steps[1], once[1])


def test_all_channels_kept_changes_no_value():
  spec = SINGLE['resnet']
  params, _ = drawn(spec, RNG)
  small, same = slicing.sliced(spec, params, {})
  jax.tree.map(np.testing.assert_array_equal, same, params)
  assert dict(small.options)['widths'] == (2, 4, 8, 8, 8, 4, 2)


def test_gradients_by_masks_are_those_of_finite_differences():
  spec = SINGLE['mlp']
  params, x = drawn(spec, RNG)
  masks = jax.tree.map(jnp.ones_like, floats(masks_of(spec, RNG)))
  masked = slicing.masked(spec)
  with jax.enable_x64(True):
    loss = jax.jit(lambda masks: jnp.sum(masked(params, masks, x) ** 2))
    found = jax.grad(loss)(masks)['dense_1'][2]

    def moved(step):
      return loss({**masks, 'dense_1': masks['dense_1'].at[2].add(step)})

    expected = (moved(1e-2) - moved(-1e-2)) / 2e-2
  np.testing.assert_allclose(found, expected, rtol=1e-2)
  assert abs(found) > 1e-4


@pytest.mark.parametrize('name', ['mlp', 'unet'])
def test_a_removed_channel_has_the_gradient_of_its_return(name):
  spec = SINGLE[name]
  params, x = drawn(spec, RNG)
  masks = floats(masks_of(spec, RNG))
  group = channels.groups(spec)[-1].name
  gone = int(np.argmin(masks[group]))
  assert masks[group][gone] == 0.0
  masked = jax.jit(slicing.masked(spec))
  direction = RNG.normal(size=masked(params, masks, x).shape)

  def loss(value):
    opened = {**masks, group: masks[group].at[gone].set(value)}
    return jnp.sum(masked(params, opened, x) * direction)

  found = jax.grad(loss)(0.0)
  expected = (loss(1e-2) - loss(-1e-2)) / 2e-2
  np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-4)
  assert abs(found) > 1e-3


def test_every_registered_network_has_groups():
  names = {spec.network for spec in (SINGLE | MORE_SINGLE).values()}
  assert names == {*registry.GENERATORS, *translators.TRANSLATORS}


@pytest.mark.parametrize(
  ('masks', 'message'),
  [
    ({'dense_7': np.ones(5, bool)}, "'dense_7'"),
    ({'dense_0': np.zeros(5, bool)}, 'none of 5'),
    ({'dense_0': np.ones(6, bool)}, r'\(6,\)'),
    ({'dense_0': np.ones(5)}, 'float64'),
  ],
)
def test_wrong_masks_are_refused(masks, message):
  spec = SINGLE['mlp']
  params, _ = drawn(spec, RNG)
  with pytest.raises(ValueError, match=message):
    slicing.sliced(spec, params, masks)


def test_parameters_of_another_network_are_refused():
  params, _ = drawn(SINGLE['mlp'], RNG)
  other = latent('mlp', (2,), hidden=(5, 7))
  with pytest.raises(ValueError, match='not of network'):
    slicing.sliced(other, params, {})


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    (translator('unet', downs=2, norm='group'), 'group'),
    (
      latent('mixture', (2,), 5, of='mlp', count=2, critic='mlp', steps=1,
             rate=0.1, pull=0.0),
      'critics',
    ),
    (dataclasses.replace(SINGLE['mlp'], network='other'), 'other'),
  ],
)  # fmt: skip
def test_networks_without_groups_are_refused(spec, message):
  with pytest.raises(ValueError, match=message):
    channels.groups(spec)
