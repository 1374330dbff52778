"""Learns later tasks by small changes of the network of the first one.

The first task trains a whole network, the base. A reparametrization says what
each later task trains in addition; the base stays frozen.

| learner | trains |
|---|---|
| scale_shift | a scale and a shift of each filter (GAN Memory, AdaFM) |
| adapters | small convolutions after those of the base (CAM-GAN) |
| taps | changes of layers that it selects (TAPS) |
| last_layer | the last layer |

Shapes: S seeds.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import fitting
from coalesce_jax.continual import similarity
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.networks import adapters as adapters_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.transforms import base as base_lib
from coalesce_jax.transforms import masks
from coalesce_jax.transforms import scale_shift as scale_shift_lib
from coalesce_jax.transforms import taps as taps_lib


class State(NamedTuple):
  """A base network, and what each later task has trained.

  Attributes:
    base: parameters of the base, None before the first task; leaves `[S, ...]`
      for `[S]` keys.
    latents: latent parameters of the later tasks, leaves likewise.
    network: network of the base.
    batched: whether leaves have the axis S.
    embeddings: of every task by the base of each seed, `[S][E]`, where later
      tasks start as the most similar one; see `similarity`.
  """

  base: types.Params = None
  latents: tuple[Any, ...] = ()
  network: types.Network | None = None
  batched: bool = False
  embeddings: tuple[Sequence[np.ndarray], ...] = ()


def scale_shift(
  leaves: tuple[tuple[str, str], ...] = (('.*kernel', 'pair'),), rank: int = 0
) -> stream.Learner:
  """Returns the learner of scales and shifts, see `transforms.scale_shift`."""
  return learner('scale_shift', scale_shift_lib.scale_shift(leaves, rank))


def taps(
  leaves: tuple[str, ...] = ('.*kernel',),
  weight: float = 1.0,
  threshold: float = 0.1,
  start: float = 0.2,
) -> stream.Learner:
  """Returns the learner of selected layers, see `transforms.taps`."""
  return learner(
    'taps',
    taps_lib.taps(leaves, weight, threshold, start),
    stored=lambda latent: taps_lib.stored(latent, threshold),
  )


def last_layer(network: str) -> stream.Learner:
  """Returns the learner of the last layer.

  Args:
    network: registered name of the network.

  Raises:
    ValueError: its last layer is not known.
  """
  frozen = layer_names.all_but_the_last(network)
  return learner('last_layer', masks.freeze((frozen,)))


def adapters(
  leaves: str = adapters_lib.KERNELS,
  group: int = 8,
  bias: bool = True,
  frozen: str = '.*',
  similar: bool = False,
) -> stream.Learner:
  """Returns the learner of adapters, see `networks.adapters`.

  Args:
    leaves: pattern of the kernels whose convolutions get an adapter.
    group: most output channels of a group.
    bias: whether there are residual biases.
    frozen: pattern of the leaves of the base that are frozen.
    similar: whether a task starts as the adapters of the most similar earlier
      task by Fisher information, as of CAM-GAN, and not as the base. It needs
      pairs of images.
  """

  def prepare(base: types.Params) -> types.Params:
    made = adapters_lib.init(base, leaves=leaves, group=group, bias=bias)
    return {'base': base, 'adapters': made}

  return learner(
    'adapters',
    masks.freeze((f'base/(?:{frozen})',)),
    prepare=prepare,
    network=adapters_lib.adapted,
    similar=similar,
  )


def learner(
  name: str,
  reparam: base_lib.Reparam,
  *,
  prepare: Callable[[types.Params], types.Params] = lambda base: base,
  network: Callable[[types.Network], types.Network] = lambda network: network,
  stored: Callable[[Any], Any] = lambda latent: latent,
  similar: bool = False,
) -> stream.Learner:
  """Returns a learner of changes of a base network.

  Args:
    name: its name.
    reparam: its `init` takes what `prepare` returns. Its frozen parameters must
      not depend on the key.
    prepare: ``parameters of the base -> parameters`` of the changed network
      before training.
    network: cached function that makes the changed network.
    stored: ``latent -> tree``, what a task must store.
    similar: whether a task starts as the most similar earlier one.
  """

  def start(
    key: types.PRNGKey, params: types.Params, given: Any
  ) -> tuple[Any, Any]:
    del params
    base, *like = given
    latent, frozen = reparam.init(key, prepare(base))
    return (like[0] if like else latent), frozen

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    key = keys_lib.typed(key)
    if state.network is None:
      made = fitting.fit(key, task.problem, hooks=hooks)
      first = State(made.latent, (), task.network, bool(key.ndim))
      return remembered(first, task), made.history
    tasks.check_network(task, state.network)
    new = remembered(state, task)
    given = (state.base, *([likest(new)] if similar else []))
    made = fitting.fit(
      key, task.problem, start=start, given=given, reparam=reparam,
      network=network, hooks=hooks,
    )  # fmt: skip
    latents = (*state.latents, made.latent)
    return new._replace(latents=latents), made.history

  def remembered(state: State, task: stream.Task) -> State:
    if not similar:
      return state
    bases = [state.base]
    if state.batched:
      count = len(jax.tree.leaves(state.base)[0])
      bases = [trees.member(state.base, s) for s in range(count)]
    found = [similarity.embedding(task, base) for base in bases]
    return state._replace(embeddings=(*state.embeddings, found))

  def likest(state: State) -> Any:
    """Returns the latent parameters of the most similar task of each seed."""
    *earlier, new = state.embeddings
    index = np.array(
      [
        similarity.nearest(one, [old[s] for old in earlier])
        for s, one in enumerate(new)
      ]
    )
    first = scan.each(unchanged, state.batched)(state.base)
    choices = (first, *state.latents)
    if not state.batched:
      return choices[index[0]]
    seeds = np.arange(len(index))
    return jax.tree.map(
      lambda *leaves: jnp.stack(leaves)[index, seeds], *choices
    )

  def unchanged(base: types.Params) -> Any:
    return start(jax.random.key(0), base, (base,))[0]

  def composed(latent: Any, base: types.Params) -> types.Params:
    _, frozen = start(jax.random.key(0), base, (base,))
    return reparam.apply(latent, frozen)

  def generator(state: State, t: int, task: stream.Task) -> stream.Model | None:
    if t > len(state.latents):
      return None
    if not t:
      return stream.Model(task.network, state.base)
    params = scan.each(composed, state.batched)(
      state.latents[t - 1], state.base
    )
    return stream.Model(network(task.network), params)

  return stream.Learner(
    name, State, learn, generator,
    lambda state: [state.base, *map(stored, state.latents)],
    lambda state: state.embeddings,
  )  # fmt: skip
