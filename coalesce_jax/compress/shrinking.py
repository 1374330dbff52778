"""Makes smaller networks: chooses channels, removes them, and trains on.

* `'narrow'`: a new network with the same share of each map
* `'narrow_distilled'`: the same, which imitates samples and maps
* `'uniform'`: the same share of each map, from what was kept
* `'magnitude'`: the largest weights, from what was kept
* `'magnitude_local'`: the same, which keeps the local density
* `'slimming'`: the largest norm scales, from what was kept
* `'gcc'`: the same, which imitates, and whose critic closes channels
* `'density'`: what agents choose, from what was kept, which keeps it as well
* `'density_distilled'`: the same, which imitates samples and maps

Before 'slimming' and 'gcc' the large network trains on, with a penalty on norm
scales; before other methods it can train on without one. What is imitated is
the large network.

Several networks that are trained by one problem, such as both directions of
CycleGAN, shrink together. So do those of several seeds, if they keep the same
shapes: by methods that keep the same share of each map.

Shapes: C channels of a map, K critics, S seeds.
"""

from collections.abc import Sequence
import functools
import operator
from typing import NamedTuple

import jax

from coalesce_jax.compress import agents as agents_lib
from coalesce_jax.compress import cooperation
from coalesce_jax.compress import method_names
from coalesce_jax.compress import pruning
from coalesce_jax.compress import recovery
from coalesce_jax.compress import selection
from coalesce_jax.compress import slicing
from coalesce_jax.compress import wholes
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop

METHODS = method_names.METHODS
Whole = wholes.Whole


class Config(NamedTuple):
  """Settings of all methods.

  Attributes:
    agents: settings of the agents.
    samples_weight: of the imitation of samples.
    maps_weight: of the imitation of maps; only of a single network.
    scales_weight: of the penalty on norm scales, times their mean.
    gap_weight: of the difference of gaps, of 'gcc'.
    density_weight: of the local density of samples while the smaller network
      is trained; 0 is none.
    train_first: whether the large networks train on before channels are chosen,
      as long as the smaller ones do afterwards. Then the smaller ones start
      from these networks and imitate them. 'slimming' and 'gcc' always do.
  """

  agents: agents_lib.Config = agents_lib.Config()
  samples_weight: float = 1.0
  maps_weight: float = 0.1
  scales_weight: float = 1.0
  gap_weight: float = 1.0
  density_weight: float = method_names.DENSITY_WEIGHT
  train_first: bool = False


class Shrunk(NamedTuple):
  """The smaller networks.

  Attributes:
    specs: of each network.
    params: of each network, averaged over steps.
    critics: parameters of the K critics.
    masks: the channels that were kept, of each network.
    histories: metrics of each stage by its name.
  """

  specs: list[generator_lib.Spec]
  params: list[types.Params]
  critics: list[types.Params]
  masks: list[selection.Masks]
  histories: dict[str, loop.History]

  def member(self, index: int) -> 'Shrunk':
    """Returns the networks of one seed; masks are those of all seeds."""
    params, critics = trees.member((self.params, self.critics), index)
    # Steps are those of all seeds: (T, S, ...) -> (T, ...).
    histories = jax.tree.map(
      lambda row: row[:, index] if row.ndim > 1 else row, self.histories
    )
    return self._replace(params=params, critics=critics, histories=histories)


def shrink(
  key: types.PRNGKey,
  whole: Whole,
  share: float,
  *,
  method: str = 'density',
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> Shrunk:
  """Returns networks that take a share of the multiply-accumulates.

  Args:
    key: one key, or `[S]` keys for a method that keeps the same share of each
      map; consumed.
    whole: the networks.
    share: of all multiply-accumulates, in (0, 1].
    method: one of `METHODS`.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stages are 'first' if
      the large networks train on, 'agents' or 'scales', where the method has
      one, and 'recovery'.

  Raises:
    ValueError: an unknown method, or one that cannot have several keys; a share
      out of range, or networks whose channels cannot be removed.
  """
  if method not in METHODS:
    raise ValueError(f'method {method!r} is not one of {tuple(METHODS)}')
  how, config = METHODS[method], Config() if config is None else config
  key = keys_lib.typed(key)
  several = bool(key.ndim)
  if several and not together(method):
    raise ValueError(
      f'method {method!r} keeps other shapes for each seed: give it one key'
    )
  split = jax.vmap(jax.random.split, 0, 1) if several else jax.random.split
  key_choose, key_train = split(key)
  # Refused before anything is learned.
  selection.uniform([subject.spec for subject in whole.subjects], share)
  histories: dict[str, loop.History] = {}
  if config.train_first and how.channels != 'slimming':
    key_first, key_choose = split(key_choose)
    whole, histories['first'] = wholes.trained_on(
      key_first, whole, several, loop.hooks_for(hooks, 'first')
    )
  begun = whole
  if how.channels == 'slimming':
    begun, histories['scales'] = wholes.trained_on(
      key_choose, whole, several, loop.hooks_for(hooks, 'scales'),
      config.scales_weight,
    )  # fmt: skip
  start, critics = [s.params for s in begun.subjects], begun.critics
  specs = [subject.spec for subject in whole.subjects]
  pools: tuple[agents_lib.Pool, ...] = ()
  if how.channels == 'density':
    chosen = pruning.prune(
      key_choose, whole.subjects, share, features=whole.features,
      config=config.agents, hooks=loop.hooks_for(hooks, 'agents'),
    )  # fmt: skip
    masks, histories['agents'] = chosen.masks, chosen.history
    pools = chosen.pools
  elif how.channels == 'uniform':
    masks = selection.uniform(specs, share)
  else:
    measure = {
      'magnitude': selection.magnitude, 'slimming': selection.norm_scales,
    }[how.channels]  # fmt: skip
    masks = selection.at_budget(specs, list(map(measure, specs, start)), share)
  cut = functools.partial(_cut, key.shape)
  small = [cut(*each) for each in zip(specs, start, masks, strict=True)]
  problem = whole.problem([spec for spec, _ in small])
  if not how.new:
    joined = whole.joined([params for _, params in small])
    problem = recovery.continued(problem, joined, critics, several)
  if how.local and config.density_weight:
    allowed = tuple(subject.for_training for subject in whole.subjects)
    # Those of the agents, where their inputs are not held out.
    if not pools or any(map(operator.is_not, allowed, whole.subjects)):
      pools = pruning.pools(allowed, whole.features, config.agents.neighbours)
    pruned = recovery.Pruned(
      tuple(spec.build() for spec, _ in small),
      tuple(subject.critic for subject in whole.subjects),
      tuple(subject.view for subject in whole.subjects), whole.parted,
    )  # fmt: skip
    problem = recovery.with_density(
      problem, pruned, pools, config.density_weight, config.agents
    )
  if how.distilled:
    problem = _distilled(problem, whole, specs, masks, config, several)
  if how.cooperative:
    problem = cooperation.cooperative(
      problem, whole.problem(specs),
      whole.joined([subject.params for subject in whole.subjects]),
      whole.critics, config.gap_weight,
    )  # fmt: skip
  trained = problems.train(
    key_train, problem, loop.hooks_for(hooks, 'recovery')
  )
  histories['recovery'] = trained.history
  after = trained.critics
  if how.cooperative:
    network = whole.subjects[0].critic
    far = cooperation.reach(problem)
    after = [cooperation.plain(network, critic, far) for critic in after]
  return Shrunk(
    [spec for spec, _ in small], list(whole.parted(trained.params)), after,
    masks, histories,
  )  # fmt: skip


def together(method: str) -> bool:
  """Returns whether networks of several seeds keep the same shapes."""
  return METHODS[method].channels == 'uniform'


def _cut(
  seeds: tuple[int, ...],
  spec: generator_lib.Spec,
  params: types.Params,
  masks: selection.Masks,
) -> tuple[generator_lib.Spec, types.Params]:
  """Returns what is kept of a network, or of one of each seed."""
  if not seeds:
    return slicing.sliced(spec, params, masks)
  kept = [
    slicing.sliced(spec, trees.member(params, s), masks)
    for s in range(seeds[0])
  ]
  return kept[0][0], trees.stack([each for _, each in kept])


def _distilled(
  problem: problems.Problem,
  whole: Whole,
  specs: Sequence[generator_lib.Spec],
  masks: Sequence[selection.Masks],
  config: Config,
  several: bool,
) -> problems.Problem:
  teacher = whole.problem(specs)
  params = whole.joined([subject.params for subject in whole.subjects])
  problem = recovery.distilled(
    problem, teacher, params, config.samples_weight, several
  )
  if len(specs) > 1:
    return problem
  return recovery.feature_distilled(
    problem, teacher, params, config.maps_weight, specs[0], masks[0], several
  )
