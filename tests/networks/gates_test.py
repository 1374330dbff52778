"""Gates: they are 0 or 1, never all closed, with the gradient of a sigmoid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.networks import gated
from coalesce_jax.networks import gates


def test_gates_open_for_positive_logits_and_one_stays_open():
  logits = jnp.array([[1.0, -1.0], [-0.1, -3.0], [2.0, -2.0]])
  np.testing.assert_array_equal(
    gates.opened(logits), [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
  )


def test_the_gradient_of_a_gate_is_that_of_a_sigmoid():
  x = np.array([[0.3], [-0.7], [1.9]])
  found = jax.grad(lambda v: jnp.sum(gates.opened(v)))(jnp.float32(x))
  sigmoid = lambda v: 1.0 / (1.0 + np.exp(-v * 1.5))
  eps = 1e-5
  wanted = (sigmoid(x + eps) - sigmoid(x - eps)) / (2 * eps)
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_gate_has_a_second_derivative():
  slope = lambda v: jax.grad(lambda u: gates.opened(u)[0, 0])(v)[0, 0]
  x, eps = 0.4, 1e-2
  at = lambda v: jnp.full((1, 1), v)
  found = jax.grad(slope)(at(x))[0, 0]
  wanted = (slope(at(x + eps)) - slope(at(x - eps))) / (2 * eps)
  np.testing.assert_allclose(found, wanted, rtol=1e-2)
  assert abs(float(found)) > 0.05


def test_the_norm_of_open_channels_is_that_of_a_map_without_the_others():
  rng = np.random.default_rng(0)
  x = rng.normal(2.0, 3.0, (6, 2, 3, 2)).astype(np.float32)
  gate = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 0], [0, 0]], np.float32)
  norm = gates.GroupNorm((3, 3))
  params = {'params': {'scale': jnp.arange(1.0, 7.0), 'shift': jnp.ones(6)}}
  found = norm.apply(params, jnp.asarray(x), jnp.asarray(gate))
  for b in range(2):
    rows = np.flatnonzero(gate[:3, b])
    part = x[rows, :, :, b]
    wanted = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    wanted = wanted * (rows + 1.0)[:, None, None] + 1.0
    np.testing.assert_allclose(found[rows, :, :, b], wanted, atol=1e-5)
  # Nothing of the second group is open: the statistics of all of it.
  part = x[3:, :, :, 0]
  wanted = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
  wanted = wanted * np.arange(4.0, 7.0)[:, None, None] + 1.0
  np.testing.assert_allclose(found[3:, :, :, 0], wanted, atol=1e-5)


@pytest.mark.parametrize(
  'kind', ['input', pytest.param('static', marks=pytest.mark.slow)]
)
def test_noise_changes_gates_and_nothing_else_does(kind):
  net = gated.network(
    gated.ResNet(3, 4, (32,), ((8,) * 4,), kind, 4), (4, 4, 1)
  )
  params = jax.jit(net.init)(jax.random.key(0))
  images = jax.random.normal(jax.random.key(1), (6, 4, 4, 1))
  apply = jax.jit(net.apply)
  one, again = (apply(params, images, jax.random.key(2)) for _ in range(2))
  other = apply(params, images, jax.random.key(3))
  still = apply(params, images)
  assert set(np.unique(one.gates[0])) == {0.0, 1.0}
  np.testing.assert_array_equal(one.gates[0], again.gates[0])
  assert np.any(np.asarray(one.gates[0] != other.gates[0]))
  # The logistic distribution is above -2 with a probability of 0.88.
  assert 0.78 < float(jnp.mean(one.gates[0])) < 0.97
  assert float(jnp.mean(still.gates[0])) == 1.0
  # Three times the noise is above -2 with a probability of 0.66.
  wide = apply(params, images, jax.random.key(2), None, 3.0)
  assert 0.55 < float(jnp.mean(wide.gates[0])) < 0.77


def test_gates_of_images_look_at_the_image_and_static_ones_do_not():
  images = 5.0 * jax.random.normal(jax.random.key(1), (8, 4, 4, 1))
  varied = {}
  for kind in ('input', 'static'):
    net = gated.network(gated.ResNet(3, 4, (16,), ((16,),), kind, 4), (4, 4, 1))
    params = jax.jit(net.init)(jax.random.key(0))
    # Near where gates open, so that small changes are seen.
    params = jax.tree_util.tree_map_with_path(
      lambda path, leaf: (
        leaf - gates.OPEN
        if path[-1].key == 'logits' or 'out' in str(path) and leaf.ndim == 1
        else leaf
      ),
      params,
    )
    found = np.asarray(jax.jit(net.apply)(params, images).gates[0])
    varied[kind] = bool(np.any(found != found[:, :1]))
  assert varied == {'input': True, 'static': False}


def test_params_are_split_into_backbone_and_gates():
  net = gated.network(gated.Conv4(3, (2,) * 4, ((2,),) * 4, 'input'), (8, 8, 1))
  shapes = jax.eval_shape(net.init, jax.random.key(0))
  assert set(shapes) == {'backbone', 'gates'}
  assert set(shapes['gates']) == {f'gate_{i}' for i in range(4)}
  assert not any(name.startswith('gate') for name in shapes['backbone'])
  assert gated.even(10, 4) == (4, 4, 2)


def test_static_logits_are_ten_times_their_parameters_and_two():
  gate = gates.Gate(4, 'static')
  free = jnp.array([-0.19, -0.21, 0.0, -1.0])
  logits = gate.apply({'params': {'logits': free}}, jnp.zeros((3, 2, 2, 5)))
  np.testing.assert_allclose(logits[:, 0], [0.1, -0.1, 2.0, -8.0], atol=1e-6)
  assert logits.shape == (4, 5)
