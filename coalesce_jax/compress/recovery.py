r"""Trains a smaller network: from what was kept of a larger one, or beside it.

Each function takes a problem of the smaller network and returns another one, so
that pix2pix, CycleGAN and latent generators are fine-tuned by the game that
they were trained by.

For `[S]` keys the networks that a function takes may have leaves `[S, ...]`,
one of each seed: `own` says so.

Shapes: S seeds, C channels of a map.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.compress import agents
from coalesce_jax.compress import channels
from coalesce_jax.compress import critics as critics_lib
from coalesce_jax.compress import density
from coalesce_jax.core import types
from coalesce_jax.gan import terms
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import maps


def continued(
  problem: problems.Problem,
  params: types.Params,
  critics: Sequence[types.Params],
  own: bool = False,
) -> problems.Problem:
  """Returns the problem that starts from given networks.

  Args:
    problem: the problem of the smaller network.
    params: parameters of its generator.
    critics: parameters of the K critics, one tree each.
    own: whether each seed has its own.
  """

  def setup(key, hyper, given, *args):
    params, critics = given
    ready = problem.setup(key, hyper, *args)
    targets = tuple(
      target._replace(critic=critic)
      for target, critic in zip(ready.targets, critics, strict=True)
    )
    return ready._replace(generator=params, targets=targets)

  return with_data(problem, setup, (params, tuple(critics)), own)


def distilled(
  problem: problems.Problem,
  teacher: problems.Problem,
  params: types.Params,
  weight: float,
  own: bool = False,
) -> problems.Problem:
  """Returns the problem that also imitates the samples of a larger network.

  The term is `terms.distillation`. The student has a critic of its own. In the
  paper the teacher learns beside the student, and here it has been trained. Ren
  et al., "Online multi-granularity distillation for GAN compression",
  https://arxiv.org/abs/2108.06908.

  Args:
    problem: the problem of the smaller network.
    teacher: the problem of the larger one.
    params: parameters of the larger network.
    weight: multiplies the mean square.
    own: whether each seed has its own larger network.
  """
  term = terms.distillation(teacher.method.generator, weight)
  return with_term(problem, term, params, own)


def feature_distilled(
  problem: problems.Problem,
  teacher: problems.Problem,
  params: types.Params,
  weight: float,
  spec: generator_lib.Spec,
  masks: Mapping[str, Any],
  own: bool = False,
) -> problems.Problem:
  r"""Returns the problem that also imitates maps of a larger network.

  .. math:: w \, \frac1L \sum_l \frac{E |s_l - t_l|}{E |t_l|}

  where s are maps of the student, and t the channels of the teacher's maps that
  they stand for. So there is nothing to learn between the two.

  Args:
    problem: the problem of the smaller network.
    teacher: the problem of the larger one, of one generator.
    params: parameters of the larger network.
    weight: w.
    spec: of the larger network.
    masks: which of its channels the student has, see `slicing.sliced`.
    own: whether each seed has its own larger network.
  """
  groups = channels.groups(spec)
  layers = tuple(_layer(group) for group in groups)
  kept = {
    layer: np.flatnonzero(masks[group.name])
    for layer, group in zip(layers, groups, strict=True)
  }
  term = _imitated_maps(
    problem.method.generator, teacher.method.generator, layers, weight
  )
  return with_term(problem, term, (params, kept), (own, False))


class Pruned(NamedTuple):
  """What was pruned, to keep the local density of its samples.

  Attributes:
    networks: the smaller networks.
    critics: networks of the critics, one for each.
    views: see `pruning.Subject`, one for each.
    parted: ``parameters of the problem -> those of each network``.
  """

  networks: tuple[types.Network, ...]
  critics: tuple[types.Network, ...]
  views: tuple[Callable[[Any, Any], Any] | None, ...]
  parted: Callable[[types.Params], Sequence[types.Params]]


def with_density(
  problem: problems.Problem,
  pruned: Pruned,
  pools: tuple[agents.Pool, ...],
  weight: float,
  config: agents.Config,
) -> problems.Problem:
  """Returns the problem that also keeps the local density of samples.

  The term is the `density.distance` of the smaller networks to the large ones,
  by the large networks' critics.

  Args:
    problem: the problem of the smaller networks.
    pruned: the networks.
    pools: samples of the large networks and their neighbours.
    weight: multiplies the distance.
    config: settings of neighbourhoods.
  """
  term = _density(pruned, weight, config.neighbourhoods, config.local)
  # The large networks are not asked again.
  kept = tuple(pool._replace(params=()) for pool in pools)
  return with_term(problem, term, kept)


@functools.lru_cache(maxsize=64)
def _density(
  pruned: Pruned, weight: float, count: int, local: bool
) -> terms.Term:
  described = [critics_lib.described(critic) for critic in pruned.critics]
  whole = [
    {name: np.ones(size, np.float32) for name, size in sizes.items()}
    for sizes in map(critics_lib.sizes, pruned.critics)
  ]

  def loss(params: types.Params, batch: terms.Batch, pools: Any) -> jax.Array:
    far = []
    for i, own in enumerate(pruned.parted(params)):
      pool, key = pools[i], jax.random.fold_in(batch.key, i)
      rows = density.drawn(key, pool.near, count)
      generate = functools.partial(pruned.networks[i].apply, own)
      describe = functools.partial(described[i], pool.critic_params, whole[i])
      far.append(
        agents.gap(pool, rows, generate, describe, pruned.views[i], local)
      )
    return weight * jnp.mean(jnp.stack(far))

  return terms.Term(loss, 'density')


def with_term(
  problem: problems.Problem, term: terms.Term, data: Any, own: Any = False
) -> problems.Problem:
  """Returns the problem with a further loss of the generator.

  Args:
    problem: the problem.
    term: the loss.
    data: its data, arrays.
    own: see `with_data`.
  """

  def setup(key, hyper, data, *args):
    ready = problem.setup(key, hyper, *args)
    return ready._replace(terms={**ready.terms, term.name: data})

  method = problem.method
  method = method._replace(terms=(*method.terms, term))
  return with_data(problem, setup, data, own)._replace(method=method)


def _layer(group: channels.Group) -> str:
  """Returns the name of the last layer that writes a map: its norm, if any."""
  names = [part.leaf.rpartition('/')[0] for part in group.writes]
  return names[-1].removesuffix('/conv')


@functools.lru_cache(maxsize=64)
def _imitated_maps(
  student: types.Network,
  teacher: types.Network,
  layers: tuple[str, ...],
  weight: float,
) -> terms.Term:
  own, other = (maps.with_maps(net, layers) for net in (student, teacher))

  def loss(params: types.Params, batch: terms.Batch, data: Any) -> jax.Array:
    taught, kept = data
    _, mine = own(params, batch.prior)
    _, wanted = jax.lax.stop_gradient(other(taught, batch.prior))
    far = []
    for layer in layers:
      axis = 0 if mine[layer].ndim == 4 else -1
      target = jnp.take(wanted[layer], kept[layer], axis)
      far.append(
        jnp.mean(jnp.abs(mine[layer] - target))
        / (jnp.mean(jnp.abs(target)) + 1e-6)
      )
    return weight * jnp.mean(jnp.stack(far))

  return terms.Term(loss, 'maps')


def with_data(
  problem: problems.Problem, setup: Any, data: Any, own: Any = False
) -> problems.Problem:
  """Returns a problem with another setup, whose data begin with some more.

  Args:
    problem: the problem.
    setup: ``(key, hyper, data, *args) -> runner.Setup``.
    data: what it takes before the arguments of the problem.
    own: whether each seed has its own, see `problems.Problem`.
  """
  before = problem.score

  def score(params: types.Params, data: Any, *args: Any) -> jax.Array:
    assert before is not None
    del data
    return before(params, *args)

  return problem._replace(
    setup=setup,
    args=(data, *problem.args),
    score=None if before is None else score,
    own=(own, *problem.own),
  )
