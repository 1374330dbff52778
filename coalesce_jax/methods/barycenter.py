r"""Learns the Wasserstein-1 barycenter of pretrained generators, the metamodel.

The joint method trains one generator against K critics:

.. math:: \min_\nu \sum_k \lambda_k W_1(\mu_k, \nu)^{p}, \quad p = 1, 2.

The recursive method moves the previous barycenter towards the next generator
with :math:`t_k = \lambda_k / \sum_{j \le k} \lambda_j`. The joint problem with
`p = 1` is a median, the recursion with `p = 2` is a mean along segments. Their
solutions differ.

For two generators of equal weights, every distribution on a W1 segment is a
barycenter for `p = 1`. Of these only the mixture :math:`\sum_k \lambda_k \mu_k`
has no samples between those of its ends. Images in between look like neither
end. The mixture method trains against one critic. For more generators, or
other weights, the mixture is in general no barycenter.

Dedeoglu, Lin, Zhang, Zhang, https://arxiv.org/abs/2101.09225.

Shapes: K input generators, S replicas. Distances are in the units of samples.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import sources
from coalesce_jax.methods import barycenter_sources
from coalesce_jax.methods import replicas
from coalesce_jax.methods import runner
from coalesce_jax.methods import settings
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.training import schedules

METHODS = settings.METHODS

Config = settings.Barycenter


def paper_code(steps: int = 5000, samples: int = 10000) -> Config:
  """Returns settings like those of the authors' code, for comparison only.

  They penalise the gradient norm over channels at each pixel. One real batch
  serves all critic updates of a step. The 8-bit samples are fixed, critics
  start at random, and weights sum to K. Use them with `objective='w1'`.

  Args:
    steps: generator steps.
    samples: samples of each input generator, drawn once.
  """
  return Config(
    game=config_lib.paper_code(),
    decay=False,
    schedule=loop.Schedule(steps=steps, chunk=loop.chunk_of(steps)),
    warmup=0,
    warm_critics=False,
    fixed_samples=samples,
    scale_weights=True,
  )


def check(
  inputs: list[generator_lib.Generator],
  method: str,
  objective: str | None,
  radii: Any,
  config: Config,
) -> str:
  """Checks the arguments of `barycenter` before any work is done.

  Args:
    inputs: see `barycenter`, as for all arguments.
    method: name of the method.
    objective: name of the objective, or None.
    radii: radii of 'ball'.
    config: settings.

  Returns:
    The objective, where None is replaced by the default.

  Raises:
    ValueError: the arguments are out of range or contradict each other.
  """
  if len(inputs) < 2:
    raise ValueError(f'a barycenter needs 2 generators, not {len(inputs)}')
  if method not in METHODS:
    raise ValueError(f'method {method!r} is not one of {METHODS}')
  if method == 'mixture':
    if objective not in (None, 'w1'):
      raise ValueError(f"method 'mixture' has no objective {objective!r}")
    objective = 'w1'
  if objective is None:
    two = len(inputs) == 2 or method == 'recursive'
    objective = 'w1_squared' if two else 'w1'
  game = dataclasses.replace(config.game, objective=objective)
  if game.needs_radii and (radii is None or method != 'joint'):
    raise ValueError(f"objective {objective!r} needs radii and method 'joint'")
  if radii is not None:
    if not game.needs_radii:
      raise ValueError(f"radii are of objective 'ball', not {objective!r}")
    limits = np.asarray(radii, np.float64)
    if limits.shape != (len(inputs),):
      raise ValueError(f'{limits.size} radii for {len(inputs)} generators')
    if not np.all(np.isfinite(limits) & (limits >= 0.0)):
      raise ValueError(f'radii {limits.tolist()} are not in [0, inf)')
  if config.start is not None and not 0 <= config.start < len(inputs):
    raise ValueError(f'start {config.start} of {len(inputs)} generators')
  shape = checks.same_samples(inputs)
  if config.spec is not None and config.spec.image_shape != shape:
    raise ValueError(
      f'spec has image_shape {config.spec.image_shape}, generators have {shape}'
    )
  if config.refine is not None and method == 'recursive':
    # The critic of a round is not trained on real data.
    raise ValueError("refine goes with method 'joint' or 'mixture'")
  if config.refine is not None and any(g.critic is None for g in inputs):
    raise ValueError('refine needs a critic with every generator')
  return objective


def barycenter(
  key: types.PRNGKey,
  inputs: Sequence[generator_lib.Generator],
  weights: Any = None,
  *,
  method: str = 'joint',
  objective: str | None = None,
  radii: Any = None,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Learns a generator of the barycenter.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in all `inputs`.
    inputs: K >= 2 input generators of samples of one shape. Their networks may
      differ.
    weights: lambda, `[K]`, sum 1; None is equal weights.
    method: 'joint', 'recursive' or 'mixture'.
    objective: 'w1', 'w1_squared' or 'ball'. None is 'w1_squared' for two inputs
      and for the recursion, 'w1' otherwise. The mixture has only 'w1'.
    radii: `[K]` for 'ball', in units of the samples; the first is not used.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stage is 'barycenter',
      or 'barycenter_1', ..., 'barycenter_{K-1}' for the rounds of the
      recursion.

  Returns:
    The generator with the critic of its last source, and the history.

  Raises:
    ValueError: samples have different shapes, weights are invalid, there are
      fewer than 2 inputs, or see `check`.
  """
  key = keys_lib.typed(key)
  config = Config() if config is None else config
  inputs = list(inputs)
  objective = check(inputs, method, objective, radii, config)
  weights = checks.check_weights(weights, len(inputs))
  config = dataclasses.replace(
    config, game=dataclasses.replace(config.game, objective=objective)
  )
  if method != 'recursive':
    return _joint(
      key, inputs, weights, radii, config,
      loop.hooks_for(hooks, 'barycenter'), mixed=method == 'mixture',
    )  # fmt: skip
  rounds = len(inputs) - 1
  keys = replicas.each(lambda k: tuple(jax.random.split(k, rounds)), key)
  current, histories = inputs[0], []
  for k in range(1, len(inputs)):
    mass = weights[: k + 1].sum()
    t = weights[k] / mass if mass else 0.0
    current, history = _joint(
      keys[k - 1],
      [current, inputs[k]],
      np.array([1.0 - t, t]),
      None,
      config if config.start is None else dataclasses.replace(config, start=0),
      loop.hooks_for(hooks, f'barycenter_{k}'),
    )
    histories.append(history)
  return current, schedules.joined(histories)


def _joint(key, inputs, weights, radii, config, hooks, mixed=False):
  """Trains one generator against a critic for each input or for the mixture."""
  start = inputs[config.start or 0]
  network, spec = start.network, start.spec
  if config.spec is not None:
    network, spec = config.spec.build(), config.spec
  spec = barycenter_sources.with_critic(spec, inputs)
  known = barycenter_sources.known_critics(spec, inputs)
  warm = config.warm_critics and known is not None
  # The critic of the start has been trained with it.
  warm_starts = [start] if mixed else inputs
  critic = spec.build_critic()
  radii = np.zeros(len(inputs)) if radii is None else radii
  scaled = weights * len(inputs) if config.scale_weights else weights

  def setup(key, hyper, params, own_critics, initial, critics):
    del hyper
    key_critic, key_samples, key_start = jax.random.split(key, 3)
    if config.start is None:
      initial = network.init(key_start)
    drawn = barycenter_sources.build(inputs, params, own_critics, config.refine)
    if config.fixed_samples:
      drawn = sources.fixed(drawn, key_samples, config.fixed_samples)
    if not warm:
      keys = jax.random.split(key_critic, len(warm_starts))
      critics = trees.unstack(jax.vmap(critic.init)(keys))
    if mixed:
      pool = sources.pooled(drawn, jnp.asarray(weights, jnp.float32))
      targets = [runner.Target(pool, pool, 1.0, critics[0])]
    else:
      targets = barycenter_sources.targets(drawn, critics, scaled, radii)
    warmup = loop.warmup_of(
      config.warmup, settings.BARYCENTER_WARMUP, config.schedule.steps
    )
    return runner.Setup(initial, targets, warmup=warmup)

  result = runner.run(
    key,
    setup,
    (
      [g.params for g in inputs],
      [g.critic for g in inputs] if config.refine is not None else (),
      start.params,
      [g.critic for g in warm_starts] if warm else (),
    ),
    runner.method(
      config.game, config.schedule, spec, decay=config.decay, generator=network
    ),
    hooks=hooks,
  )
  generator = generator_lib.Generator(
    network, result.params, spec, result.critics[-1]
  )
  return generator, result.history
