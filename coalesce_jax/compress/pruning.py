"""Learns which channels of generators to keep, so that their density stays.

Several networks can be pruned together, such as both directions of CycleGAN.

Shapes: N pool of inputs, F features, k neighbours, C channels of a group.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.compress import agents
from coalesce_jax.compress import critics
from coalesce_jax.compress import density
from coalesce_jax.compress import selection
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop

Config = agents.Config
_AT_ONCE = 64


class Subject(NamedTuple):
  """A network to prune, and the critic that it was trained with.

  Attributes:
    spec: of the generator or translator.
    params: its parameters.
    critic: network of the critic.
    critic_params: its parameters.
    inputs: pool of its inputs, `[N, ...]`: latents or images.
    view: ``(inputs, samples) -> what the critic sees``, static; None is the
      samples.
    trained: pool of inputs on which smaller networks may be trained, where
      `inputs` are held out from that; None is `inputs`.
  """

  spec: generator_lib.Spec
  params: types.Params
  critic: types.Network
  critic_params: types.Params
  inputs: Any
  view: Callable[[Any, Any], Any] | None = None
  trained: Any | None = None

  @property
  def for_training(self) -> 'Subject':
    """The network with the inputs on which smaller ones may be trained."""
    return self if self.trained is None else self._replace(inputs=self.trained)


class Pruned(NamedTuple):
  """What the agents chose.

  Attributes:
    masks: of each subject, within the budget.
    history: metrics by name, `[T, ...]`.
    pools: samples of each subject and their neighbours.
  """

  masks: list[selection.Masks]
  history: loop.History
  pools: tuple[agents.Pool, ...]


def prune(
  key: types.PRNGKey,
  subjects: Sequence[Subject],
  share: float,
  *,
  features: Callable[[Any], np.ndarray],
  config: Config | None = None,
  hooks: loop.Hooks | None = None,
) -> Pruned:
  """Learns which channels to keep.

  The agents rank all channels. The masks keep as many of the first ones as the
  budget allows, see `selection.at_budget`.

  Args:
    key: one key; consumed. Masks of other seeds have other shapes.
    subjects: the networks.
    share: p, in (0, 1].
    features: ``samples [N, ...] -> [N, F]``, in which neighbours are found.
    config: settings; None is `Config()`.
    hooks: effects of the loop.

  Raises:
    ValueError: a network or critic has no channels to mask, the pool is
      smaller than a neighbourhood, or the share is out of range.
  """
  config = Config() if config is None else config
  key_init, key_run = jax.random.split(keys_lib.typed(key))
  specs = tuple(s.spec for s in subjects)
  # Refused before anything is learned.
  selection.uniform(specs, share)
  found = pools(subjects, features, config.neighbours)
  task = agents.make(
    specs, tuple(s.critic for s in subjects), tuple(s.view for s in subjects),
    config,
  )  # fmt: skip
  result = loop.drive(
    task, jax.jit(task.init)(key_init), (found, jnp.float32(share)), key_run,
    config.schedule, hooks,
  )  # fmt: skip
  ranked = jax.tree.map(np.asarray, result.model)
  masks = selection.at_budget(specs, ranked, share)
  return Pruned(masks, result.history, found)


def pools(
  subjects: Sequence[Subject],
  features: Callable[[Any], np.ndarray],
  k: int,
) -> tuple[agents.Pool, ...]:
  """Returns samples of the networks, and the neighbours of each sample.

  Args:
    subjects: the networks.
    features: see `prune`.
    k: number of neighbours.

  Raises:
    ValueError: a critic has no channels, or a pool is smaller than k.
  """
  return tuple(_pool(subject, features, k) for subject in subjects)


def _pool(
  subject: Subject,
  features: Callable[[Any], np.ndarray],
  k: int,
) -> agents.Pool:
  """Samples the original network, and finds neighbours and the scale."""
  network = subject.spec.build()
  described = critics.described(subject.critic)
  whole = {k: jnp.ones(n) for k, n in critics.sizes(subject.critic).items()}

  @jax.jit
  def both(params: Any, critic: Any, inputs: Any) -> Any:
    inputs = pixels.decode(inputs)
    made = network.apply(params, inputs)
    seen = made if subject.view is None else subject.view(inputs, made)
    found = described(critic, whole, seen)
    return made, jnp.stack([jnp.sum(found, 0), jnp.sum(found**2, 0)])

  samples, totals = [], []
  for first in range(0, len(subject.inputs), _AT_ONCE):
    block = subject.inputs[first : first + _AT_ONCE]
    made, sums = both(subject.params, subject.critic_params, block)
    samples.append(np.asarray(made))
    totals.append(np.asarray(sums, float))
  images = np.concatenate(samples)
  near = density.neighbours(features(images), k)
  means, squares = np.sum(totals, 0) / len(images)
  scale = np.float32(np.sqrt(np.mean(squares - means**2)))
  return agents.Pool(
    subject.params, subject.critic_params, jnp.asarray(subject.inputs),
    jnp.asarray(images), jnp.asarray(near), jnp.maximum(scale, 1e-6),
  )  # fmt: skip
