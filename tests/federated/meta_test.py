"""One step of adaptation, and the gradient of the meta-objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.federated import classifier
from coalesce_jax.federated import meta
from tests.federated import small


def log_loss(spec, params, batch):
  """Mean cross-entropy, written out."""
  images = batch.images.astype(np.float32) / 127.5 - 1.0
  outputs = spec.build().apply(params, images)
  top = outputs.logits - jnp.max(outputs.logits, 1, keepdims=True)
  chances = jnp.exp(top) / jnp.sum(jnp.exp(top), 1, keepdims=True)
  right = chances[jnp.arange(len(batch.labels)), batch.labels]
  return -jnp.mean(jnp.log(right)), outputs


@pytest.mark.parametrize(
  'order',
  [
    'gates_first',
    pytest.param('backbone_first', marks=pytest.mark.slow),
    pytest.param('backbone', marks=pytest.mark.slow),
  ],
)
def test_one_step_is_two_stages_in_the_named_order(order):
  spec, params, batch = small.SPEC, small.params(small.SPEC), small.task()[0]
  rho, target = 0.7, 0.1
  config = small.config(order=order, rho=rho, target=target)

  @jax.jit
  def by_hand():
    theta, phi, rates = params['backbone'], params['gates'], params['rates']

    def loss(theta, phi, penalised):
      given = {'backbone': theta, 'gates': phi}
      value, outputs = log_loss(spec, given, batch)
      # One gated convolution: its mean is the weighted one.
      return value + penalised * rho * (jnp.mean(outputs.gates[0]) - target)

    def moved(tree, gradient, part):
      step = lambda x, g, r: x - jnp.exp(r) * g
      return jax.tree.map(step, tree, gradient, rates[part])

    for part in {
      'gates_first': ('gates', 'backbone'),
      'backbone_first': ('backbone', 'gates'),
      'backbone': ('backbone',),
    }[order]:
      if part == 'gates':
        phi = moved(phi, jax.grad(loss, 1)(theta, phi, 1.0), 'gates')
      else:
        theta = moved(theta, jax.grad(loss)(theta, phi, 0.0), 'backbone')
    return {'backbone': theta, 'gates': phi}

  found = jax.jit(lambda: meta.adapt(spec, config, params, batch))()
  wanted = by_hand()
  for name, leaf in trees.flatten(found).items():
    np.testing.assert_allclose(
      leaf, trees.flatten(wanted)[name], atol=2e-6, err_msg=name
    )
  changed = [
    float(jnp.abs(a - params['gates'][k][m][n]).max())
    for k, tree in found['gates'].items()
    for m, leaves in tree.items()
    for n, a in leaves.items()
  ]
  assert (max(changed) > 1e-4) == (order != 'backbone')


def test_the_penalty_begins_above_the_target():
  spec, params, batch = small.SPEC, small.params(small.SPEC), small.task()[0]
  plain, outputs = jax.jit(lambda: meta.cross_entropy(spec, params, batch))()
  share = float(jnp.mean(outputs.gates[0]))
  assert 0.2 < share < 0.9
  for target, wanted in ((0.9, 0.0), (0.1, 2.0 * (share - 0.1))):
    config = small.config(rho=2.0, target=target)
    loss, _ = jax.jit(
      lambda config=config: meta.node_loss(spec, config, params, batch)
    )()
    np.testing.assert_allclose(loss - plain, wanted, atol=1e-6)


def test_target_and_noise_fall_over_the_first_rounds():
  # Half of four rounds, none of them, all of them.
  for closing, left in (
    (0.5, [1.0, 0.5, 0.0, 0.0]),
    (0.0, [0.0, 0.0, 0.0, 0.0]),
    (1.0, [1.0, 0.75, 0.5, 0.25]),
  ):
    config = small.config(target=0.4, noise=0.2, closing=closing)
    found = [meta.pressure(config, jnp.int32(n)) for n in range(4)]
    for each, share in zip(found, left, strict=True):
      np.testing.assert_allclose(each.target, 0.4 + 0.6 * share, rtol=1e-6)
      np.testing.assert_allclose(each.noise, 0.2 + 0.8 * share, rtol=1e-6)
    assert meta.pressure(config) == (0.4, 0.2)
  with pytest.raises(ValueError, match=r'closing 1.5 is not in \[0, 1\]'):
    small.config(closing=1.5)


def test_images_of_weight_zero_have_no_say():
  spec, params, batch = small.SPEC, small.params(small.SPEC), small.task()[0]
  config = small.config(target=0.0)
  some = batch._replace(weights=jnp.array([1.0, 1.0, 1.0, 0.0]))
  first = jax.tree.map(lambda x: x[:3], batch)
  loss = jax.jit(lambda b: meta.node_loss(spec, config, params, b)[0])
  np.testing.assert_allclose(loss(some), loss(first), rtol=1e-5)
  logits = jnp.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
  labels = jnp.array([0, 1, 0, 1])
  some = some._replace(labels=labels)
  np.testing.assert_allclose(meta.accuracy(logits, some), 2 / 3, rtol=1e-6)


def test_the_meta_gradient_is_that_of_finite_differences():
  spec, task, key = small.DENSE, small.task(1), jax.random.key(0)
  params = small.params(spec)
  # Large steps, so that their derivative matters.
  rates = jax.tree.map(lambda x: x + 0.7, params['rates'])
  params = {**params, 'rates': rates}

  def gradient(second_order):
    config = small.config(order='backbone', second_order=second_order)
    loss = lambda p: meta.objective(spec, config, p, task, key)[0]
    return jax.jit(jax.value_and_grad(loss))

  whole, truncated = gradient(True), gradient(False)
  # Along the gradient the loss changes most, and rounding matters least.
  way = whole(params)[1]
  norm = np.sqrt(sum(float(jnp.sum(x * x)) for x in jax.tree.leaves(way)))
  along = lambda tree: sum(
    float(jnp.sum(x * w / norm))
    for x, w in zip(jax.tree.leaves(tree), jax.tree.leaves(way), strict=True)
  )
  moved = lambda t: whole(
    jax.tree.map(lambda x, w: x + t * w / norm, params, way)
  )[0]
  eps = 3e-4
  wanted = float(moved(eps) - moved(-eps)) / (2 * eps)
  np.testing.assert_allclose(norm, wanted, rtol=1e-2)
  assert abs(along(truncated(params)[1]) - wanted) > 0.03 * wanted


@pytest.mark.slow
def test_step_sizes_are_learned_only_if_asked_and_scaled():
  spec, task, key = small.DENSE, small.task(), jax.random.key(0)
  params = small.params(spec)
  for learned in (True, False):
    config = small.config(order='backbone', learn_rates=learned)
    gradient = jax.jit(
      jax.grad(
        lambda p, config=config: meta.objective(spec, config, p, task, key)[0]
      )
    )(params)
    largest = max(
      float(jnp.abs(x).max()) for x in jax.tree.leaves(gradient['rates'])
    )
    assert (largest > 0.0) == learned
  config = small.config(order='backbone')
  adapt = jax.jit(
    lambda s: meta.adapt(spec, config, params, task.support, scale=s)
  )
  one, two = (adapt(s)['backbone']['logits']['bias'] for s in (1.0, 2.0))
  before = params['backbone']['logits']['bias']
  np.testing.assert_allclose(two - before, 2 * (one - before), rtol=1e-4)


def test_without_one_step_nodes_descend_the_loss_of_all_images():
  spec, task = small.DENSE, small.task()
  params = small.params(spec)
  config = small.config(order='backbone', one_step=False)
  key = jax.random.key(0)
  loss, metrics = jax.jit(
    lambda: meta.objective(spec, config, params, task, key)
  )()
  judge = jax.jit(lambda half: log_loss(spec, params, half)[0])
  both = [judge(half) for half in task]
  np.testing.assert_allclose(loss, np.mean(both), rtol=1e-5)
  assert float(metrics['open']) == 1.0
  assert classifier.dense(spec) == classifier.total(spec)
