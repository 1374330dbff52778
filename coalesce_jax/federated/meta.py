r"""Adapts a gated network in one step of two stages, and its meta-objective.

The loss of a node on images D is

.. math::
  l(\theta, \phi; D) = \text{CE} + \rho \max(0, \bar g - t)

with the backbone theta, the gates phi, the mean of the gates weighted by the
cost of their convolutions, and the target t, which falls over the first rounds
(`pressure`). One step with the order
'gates_first' is

.. math::
  \phi_i = \phi - a \nabla_\phi l(\theta, \phi; S), \qquad
  \theta_i = \theta - b \nabla_\theta \text{CE}(\theta, \phi_i; S)

and with 'backbone_first' the stages change places. The meta-objective is the
loss of the adapted network on the query, as in Finn et al.,
https://arxiv.org/abs/1703.03400. The step sizes a and b are positive and may be
learned, one a leaf, as in Antoniou et al., https://arxiv.org/abs/1810.09502.

Meta-parameters are a dict: 'backbone', 'gates', and 'rates', the logarithms of
the step sizes.

Shapes: B batch, F filters of a gated convolution, N classes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated

RATES = 'rates'
_PARTS = (gated.BACKBONE, gated.GATES)

Spec = classifier.Spec
Config = settings.Config


class Pressure(NamedTuple):
  """How closed gates are made in a round.

  Attributes:
    target: share of open channels above which the penalty begins, `[]`.
    noise: scale of the noise of gates, `[]`.
  """

  target: Any
  noise: Any


def start(spec: Spec, config: Config, key: types.PRNGKey) -> types.Params:
  """Returns initial meta-parameters.

  Args:
    spec: the network.
    config: the settings.
    key: consumed.
  """
  params = spec.build().init(key)
  sizes = (config.backbone_rate, config.gate_rate)
  rates = {
    part: jax.tree.map(lambda leaf, size=size: jnp.log(size), params[part])
    for part, size in zip(_PARTS, sizes, strict=True)
  }
  return {**params, RATES: rates}


def pressure(config: Config, step: Any = None) -> Pressure:
  """Returns how closed gates are made in a round.

  Args:
    config: the settings.
    step: rounds done before, `[]`; None is the last round.
  """
  falling = config.closing * config.schedule.steps
  left: Any = 0.0
  if step is not None and falling:
    left = jax.nn.relu(1.0 - step / falling)
  return Pressure(
    *(last + (1.0 - last) * left for last in (config.target, config.noise))
  )


def cross_entropy(
  spec: Spec,
  params: types.Params,
  batch: tasks.Batch,
  key: types.PRNGKey | None = None,
  masks: Any = None,
  noise: Any = 1.0,
) -> tuple[jax.Array, gated.Outputs]:
  """Returns the weighted mean cross-entropy `[]` in nats, and the outputs.

  Args:
    spec: the network.
    params: its parameters; other keys are ignored.
    batch: labelled images.
    key: key of the noise of gates; consumed; None is no noise.
    masks: what stands in the place of gates, `[F]` each; None is nothing.
    noise: scale of the noise, `[]`.
  """
  images = pixels.decode(batch.images)
  outputs = spec.build().apply(params, images, key, masks, noise)
  each = optax.softmax_cross_entropy_with_integer_labels(
    outputs.logits, batch.labels
  )
  return jnp.sum(batch.weights * each) / jnp.sum(batch.weights), outputs


def node_loss(
  spec: Spec,
  config: Config,
  params: types.Params,
  batch: tasks.Batch,
  key: types.PRNGKey | None = None,
  pressed: Pressure | None = None,
) -> tuple[jax.Array, gated.Outputs]:
  """Returns the loss of a node `[]` with its sparsity penalty, and outputs.

  Args:
    spec: the network.
    config: the settings.
    params: see `cross_entropy`.
    batch: see `cross_entropy`.
    key: see `cross_entropy`.
    pressed: target and noise; None is those of the last round.
  """
  pressed = pressed or pressure(config)
  loss, outputs = cross_entropy(spec, params, batch, key, None, pressed.noise)
  if spec.gates == 'none':
    return loss, outputs
  weights = batch.weights / jnp.mean(batch.weights)
  gates = [gate * weights[None] for gate in outputs.gates]
  excess = classifier.open_share(spec, gates) - pressed.target
  return loss + config.rho * jax.nn.relu(excess), outputs


def adapt(
  spec: Spec,
  config: Config,
  meta: types.Params,
  support: tasks.Batch,
  key: types.PRNGKey | None = None,
  scale: Any = 1.0,
  masks: Any = None,
  pressed: Pressure | None = None,
) -> types.Params:
  """Adapts to the support in exactly one step of two stages.

  Args:
    spec: the network.
    config: the settings.
    meta: meta-parameters.
    support: labelled images.
    key: key of the noise of gates; consumed; None is no noise.
    scale: factor of all step sizes, `[]`.
    masks: what stands in the place of gates for the backbone's step, `[F]`
      each; None is nothing.
    pressed: see `node_loss`.

  Returns:
    Parameters of the network, with the keys 'backbone' and 'gates'.
  """
  pressed = pressed or pressure(config)
  params = {part: meta[part] for part in _PARTS}
  rates = meta[RATES]
  if not config.learn_rates:
    rates = jax.lax.stop_gradient(rates)

  def stage(params: types.Params, part: str, index: int) -> types.Params:
    def loss(leaves: Any) -> jax.Array:
      drawn = None if key is None else jax.random.fold_in(key, index)
      given = {**params, part: leaves}
      if part == gated.GATES:
        return node_loss(spec, config, given, support, drawn, pressed)[0]
      return cross_entropy(spec, given, support, drawn, masks, pressed.noise)[0]

    gradient = jax.grad(loss)(params[part])
    if not config.second_order:
      gradient = jax.lax.stop_gradient(gradient)
    moved = jax.tree.map(
      lambda leaf, g, rate: leaf - scale * jnp.exp(rate) * g,
      params[part], gradient, rates[part],
    )  # fmt: skip
    return {**params, part: moved}

  order = {
    'gates_first': (gated.GATES, gated.BACKBONE),
    'backbone_first': (gated.BACKBONE, gated.GATES),
    'backbone': (gated.BACKBONE,),
  }[config.order]
  for index, part in enumerate(order):
    if part == gated.BACKBONE or spec.gates != 'none':
      params = stage(params, part, index)
  return params


def objective(
  spec: Spec,
  config: Config,
  meta: types.Params,
  task: tasks.Task,
  key: types.PRNGKey,
  pressed: Pressure | None = None,
) -> tuple[jax.Array, types.Metrics]:
  """Returns what a node descends on a task, `[]`, and metrics.

  With `config.one_step` this is the loss on the query after one step on the
  support. Otherwise it is the loss on support and query together.

  Args:
    spec: the network.
    config: the settings.
    meta: meta-parameters.
    task: the task.
    key: key of the noise of gates; consumed.
    pressed: see `node_loss`.
  """
  judged: Any = task.query
  if config.one_step:
    params = adapt(spec, config, meta, task.support, key, pressed=pressed)
  else:
    params = meta
    judged = jax.tree.map(lambda a, b: jnp.concatenate((a, b)), *task)
  noise = jax.random.fold_in(key, len(_PARTS))
  loss, outputs = node_loss(spec, config, params, judged, noise, pressed)
  return loss, {
    'loss': loss,
    'accuracy': accuracy(outputs.logits, judged),
    'open': classifier.open_share(spec, outputs.gates),
  }


def accuracy(logits: jax.Array, batch: tasks.Batch) -> jax.Array:
  """Returns the weighted share of images that are classified right, `[]`."""
  right = (jnp.argmax(logits, -1) == batch.labels).astype(jnp.float32)
  return jnp.sum(batch.weights * right) / jnp.sum(batch.weights)
