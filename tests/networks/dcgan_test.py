"""DCGAN against the same networks by XLA's convolutions; sizes, refusals."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.networks import dcgan
from coalesce_jax.networks import registry


def drawn(module, x):
  """Parameters drawn by NumPy, none of them zero, and their shapes by name."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(module.init, jax.random.key(0), x)['params']
  params = trees.map_named(
    lambda name, leaf: jnp.float32(0.3 * rng.normal(size=leaf.shape) + 0.1),
    shapes,
  )
  return params, {k: v.shape for k, v in trees.flatten(shapes).items()}


def normed(leaf, x):
  """Mean and variance of one sample `[B, H, W, C]`."""
  axes = (1, 2, 3)
  x = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
  return x * leaf['scale'] + leaf['shift']


def projected(leaf, z, shape):
  flat = z @ leaf['kernel'].reshape(z.shape[1], -1)
  return flat.reshape(-1, *shape) + leaf['bias']


def down(leaf, x, pads):
  y = lax.conv_general_dilated(
    x, leaf['kernel'], (2, 2), pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  return y + leaf['bias']


def up(leaf, x):
  """What TensorFlow's transposed convolution does for `'SAME'`."""
  y = lax.conv_transpose(
    x, leaf['kernel'].swapaxes(2, 3), (2, 2), 'SAME', transpose_kernel=True,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip
  return y + leaf['bias']


def steep(x):
  return jnp.maximum(x, 0.2 * x)


def linear(leaf, x):
  return x.reshape(len(x), -1) @ leaf['kernel'][:, 0] + leaf['bias'][0]


def check(module, x, reference):
  """Compares a module with its reference; returns the shapes of its leaves."""
  params, shapes = drawn(module, x)

  @jax.jit
  def both(params, x):
    with jax.numpy_rank_promotion('allow'):
      expected = reference(params, x)
    return module.apply({'params': params}, x), expected

  found, expected = both(params, x)
  assert found.std() > 0.05
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
  return shapes


def latents(size=3):
  return jnp.float32(np.random.default_rng(1).normal(size=(3, size)))


def test_the_generator_doubles_a_projection():
  def reference(p, z):
    x = jax.nn.relu(normed(p['norm_0'], projected(p['project'], z, (2, 2, 4))))
    x = jax.nn.relu(normed(p['norm_1'], up(p['up_1'], x)))
    return jnp.tanh(up(p['out'], x))

  shapes = check(dcgan.Generator(8, 3, 2), latents(), reference)
  assert shapes['project/kernel'] == (3, 2, 2, 4)
  assert shapes['up_1/kernel'] == (4, 4, 4, 2)
  assert shapes['out/kernel'] == (4, 4, 2, 3)


def test_the_critic_halves_down_to_a_number():
  def reference(p, x):
    x = steep(down(p['conv_0'], x, ((1, 1), (1, 1))))
    x = steep(down(p['conv_1'], x, ((1, 1), (1, 1))))
    return linear(p['head'], x)

  x = jnp.float32(np.random.default_rng(1).normal(size=(3, 8, 8, 1)))
  shapes = check(dcgan.Critic(8, 2), x, reference)
  assert shapes['conv_0/kernel'] == (4, 4, 1, 2)
  assert shapes['conv_1/kernel'] == (4, 4, 2, 4)
  assert shapes['head/kernel'] == (2 * 2 * 4, 1)


def test_the_paper_generator_is_the_published_one():
  def reference(p, z):
    x = jax.nn.relu(projected(p['project'], z, (4, 4, 4)))
    x = jax.nn.relu(up(p['up_1'], x))[:, :7, :7]
    x = jax.nn.relu(up(p['up_2'], x))
    return 2.0 * jax.nn.sigmoid(up(p['out'], x)) - 1.0

  shapes = check(dcgan.WganGpMnistGenerator(1), latents(), reference)
  assert shapes['up_1/kernel'] == (5, 5, 4, 2)
  assert shapes['up_2/kernel'] == (5, 5, 2, 1)


def test_the_paper_critic_is_the_published_one():
  def reference(p, x):
    for name in ('conv_0', 'conv_1', 'conv_2'):
      x = steep(down(p[name], x, 'SAME'))
    return linear(p['head'], x)

  x = jnp.float32(np.random.default_rng(1).normal(size=(2, 28, 28, 1)))
  shapes = check(dcgan.WganGpMnistCritic(1), x, reference)
  assert shapes['conv_2/kernel'] == (5, 5, 2, 4)
  assert shapes['head/kernel'] == (4 * 4 * 4, 1)


@pytest.mark.parametrize(
  'size,base,widths',
  [
    (28, 7, (6, 3)),
    (32, 4, (12, 6, 3)),
    (64, 4, (24, 12, 6, 3)),
  ],
)
def test_larger_images_take_more_doublings(size, base, widths):
  x = jnp.zeros((2, size, size, 3))
  generator, critic = dcgan.Generator(size, 3, 3), dcgan.Critic(size, 3)
  image, params = jax.eval_shape(
    lambda key: generator.init_with_output(key, jnp.zeros((2, 5))),
    jax.random.key(0),
  )
  assert image.shape == x.shape
  shapes = {k: v.shape for k, v in trees.flatten(params['params']).items()}
  assert shapes['project/kernel'] == (5, base, base, widths[0])
  for i, pair in enumerate(zip(widths, widths[1:], strict=False), 1):
    assert shapes[f'up_{i}/kernel'] == (4, 4, *pair)
  assert shapes['out/kernel'] == (4, 4, 3, 3)
  value, params = jax.eval_shape(
    lambda key: critic.init_with_output(key, x), jax.random.key(0)
  )
  assert value.shape == (2,)
  shapes = {k: v.shape for k, v in trees.flatten(params['params']).items()}
  assert shapes['head/kernel'] == (base * base * widths[0], 1)
  assert f'conv_{len(widths) - 1}/kernel' in shapes


@pytest.mark.parametrize('norm', ['layer', 'pixel', 'none'])
def test_no_sample_of_a_batch_sees_another(norm):
  module = dcgan.Generator(8, 1, 2, norm)
  z = latents()
  params, shapes = drawn(module, z)
  assert ('norm_0/scale' in shapes) == (norm != 'none')
  apply = jax.jit(module.apply)
  one, other = (
    apply({'params': params}, z * jnp.array([[1.0], [a], [a]]))
    for a in (1.0, 9.0)
  )
  np.testing.assert_array_equal(one[0], other[0])
  assert (one[1:] != other[1:]).any()


@pytest.mark.parametrize(
  'shape', [(8, 8), (8, 28, 1), (9, 9, 1), (8, 8, 2), (8, 8, 1, 1)]
)
def test_images_of_other_sizes_are_refused(shape):
  for good in ((8, 8, 1), (28, 28, 3)):
    dcgan.check_images('name', good, (8, 28))
  with pytest.raises(ValueError) as caught:
    dcgan.check_images('name', shape, (8, 28))
  assert str(caught.value) == (
    'name makes images of 8 or 28 pixels with 1 or 3 channels, not '
    f'{shape} ({np.prod(shape)} values)'
  )


def test_names_of_the_registry_lead_here():
  made = registry.generator(
    'dcgan', latent_size=3, data_shape=(8, 8, 3), width=2, norm='none'
  )
  module = dcgan.Generator(8, 3, 2, 'none')
  found = jax.eval_shape(made.init, jax.random.key(0))
  expected = jax.eval_shape(module.init, jax.random.key(0), latents())
  assert found == expected['params']
