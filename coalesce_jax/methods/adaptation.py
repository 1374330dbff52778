r"""Adapts a generator to few local samples, in float or ternary.

.. math:: \min_\nu (1 - a) W_1(\hat\mu_0, \nu)^p + a \, W_1(\nu, \mu)^p

:math:`\hat\mu_0` is the distribution of the local samples, :math:`\mu` that of
the metamodel. The weight `a` in [0, 1) is the proximal weight, the setting
`anchor`. It holds the generator near the metamodel. For `p = 2` it is the
position on the segment between the two: `W_1(local, nu) = a W_1(local,
metamodel)`. With `a = 0` this is plain fine-tuning, without a critic of the
metamodel.

With `Config.mixed` the generator learns the mixture of both, against a single
critic: :math:`\min_\nu W_1(\nu, (1 - a) \hat\mu_0 + a \mu)`. Only the mixture,
of all distributions on the segment, has no samples between those of its ends.
Images in between look like neither end.

Shapes: J critics of the local samples, N local samples, S replicas.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import local_targets
from coalesce_jax.methods import runner
from coalesce_jax.methods import settings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.transforms import ternary_config

Config = settings.FineTuning
TERNARIZE = settings.TERNARIZE


def ternarize_default(spec: generator_lib.Spec) -> Config:
  """Returns the default settings of ternarization.

  All kernels but that of the output layer become ternary. In perceptrons the
  output layer becomes ternary too.

  Args:
    spec: spec of the generator.
  """
  config = fine_tuning.default(spec, TERNARIZE)
  if spec.network != 'mlp':
    return config
  return dataclasses.replace(
    config, ternary=ternary_config.Ternary(leaves=('.*/kernel',))
  )


def paper_code(steps: int = 1000, samples: int = 10000) -> Config:
  """Returns settings like those of the authors' code, for comparison only.

  See `barycenter.paper_code`. Both critics have the same weight. The critic of
  the metamodel sees a fixed set of samples.

  Args:
    steps: generator steps.
    samples: samples of the metamodel, drawn once.
  """
  return Config(
    game=config_lib.paper_code(),
    schedule=loop.Schedule(steps=steps, chunk=loop.chunk_of(steps)),
    anchor=0.5,
    warmup=0,
    warm_critics=False,
    fixed_samples=samples,
    scale_weights=True,
  )


def adapt(
  key: types.PRNGKey,
  meta: generator_lib.Generator,
  images: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
  part: str = 'adapted',
  judges: Sequence[generator_lib.Generator] = (),
) -> tuple[generator_lib.Generator, loop.History]:
  """Adapts a metamodel to local samples and holds it near its own distribution.

  With `judges` the local samples have a critic ensemble instead of one critic.
  Each critic of the ensemble starts from the critic of another generator, and
  the generator descends the mean of their distance estimates. Critics with one
  start have similar errors where samples are few.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in `meta`.
    meta: the metamodel, which the generator starts from and stays near.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings; None is `fine_tuning.default`.
    hooks: maps the name of a stage to its effects.
    part: name of this stage for `hooks`.
    judges: J generators whose critics form the critic ensemble. None is the
      critic of `meta` alone.

  Returns:
    The adapted generator with the first critic of the local samples, and the
    history. Critics 0 to J - 1 are those of the local samples. The last critic
    is that of the metamodel.

  Raises:
    ValueError: there are too few samples, their shape differs, their values are
      ambiguous or not finite, or one of `judges` has no critic like that of
      `meta`.
  """
  config = fine_tuning.default(meta.spec) if config is None else config
  network, spec = meta.network, meta.spec
  held = np.any(np.asarray(config.anchor)) or config.game.needs_radii
  targets: local_targets.Targets = local_targets.alone
  args: tuple[Any, ...] = ()
  if config.mixed:
    game = dataclasses.replace(config.game, objective='w1')
    config = dataclasses.replace(config, game=game)
  if held and config.mixed:
    targets = local_targets.pooled(network, spec.latent_size)
    args = ((meta.params,),)
  elif held:
    targets = _with_metamodel(network, spec.latent_size, config.fixed_samples)
    args = (meta.params,)
  return fine_tuning.fit(
    key, meta, images, config=config, hooks=hooks, part=part, judges=judges,
    targets=targets, args=args, share=config.anchor,
    **_ternary(config.ternary, meta),
  )  # fmt: skip


def _with_metamodel(
  network: types.Network, latent_size: int, fixed_samples: int
) -> local_targets.Targets:
  """Returns the targets of a game with local samples and a metamodel."""

  def targets(local, hyper, params):
    meta = sources.generators(network, trees.stack([params]), latent_size)
    if fixed_samples:
      (meta,) = sources.fixed((meta,), local.key, fixed_samples)
    return (
      *local_targets.alone(local, hyper),
      runner.Target(
        meta, meta, hyper['anchor'], local.extra_critic, hyper['radius']
      ),
    )

  return targets


def _ternary(
  ternary: ternary_config.Ternary | None, start: generator_lib.Generator
) -> dict[str, Any]:
  """Returns the arguments that ternarization adds to fine-tuning.

  Raises:
    ValueError: the generator is a mixture, which has several networks.
  """
  if ternary is None:
    return {}
  if start.spec.network == registry.MIXTURE:
    raise ValueError('a mixture of nodes cannot be ternarized')
  extra: dict[str, Any] = {
    'reparam': ternary_lib.reparam(ternary),
    'critic_reparam': ternary_lib.critic_reparam(ternary),
  }
  if ternary.distill:
    term = terms.distillation(start.network, ternary.distill)
    extra |= {'terms': (term,), 'term_data': lambda params: {term.name: params}}
  return extra


def ternarize(
  key: types.PRNGKey,
  generator: generator_lib.Generator,
  images: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
  part: str = 'ternary',
) -> tuple[generator_lib.Generator, loop.History]:
  """Trains a ternary copy of a generator, held near the float one.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in `generator`.
    generator: the float generator.
    images: see `adapt`.
    config: settings; None is `ternarize_default`.
    hooks: see `adapt`.
    part: see `adapt`.

  Returns:
    See `adapt`. The spec of the generator names its ternary leaves.

  Raises:
    ValueError: see `adapt`; or the generator is a mixture.
  """
  if config is None:
    config = ternarize_default(generator.spec)
  if config.ternary is None:
    config = dataclasses.replace(config, ternary=ternary_config.Ternary())
  return adapt(key, generator, images, config=config, hooks=hooks, part=part)
