r"""Fast adaptation of a generator to few local samples, in float or ternary.

.. math:: \min_\nu (1 - a) W_1(\hat\mu_0, \nu)^p + a \, W_1(\nu, \mu)^p

with local samples :math:`\hat\mu_0` and the metamodel's law :math:`\mu`. The
anchor weight `a` in [0, 1) is, for `p = 2`, the position on the segment
between them: `W_1(local, nu) = a W_1(local, metamodel)`. With `a = 0` this is
plain fine-tuning, and the anchor critic is left out.

Of all measures on that segment the mixture :math:`(1 - a) \hat\mu_0 + a \mu`
alone has no samples between those of its ends, which of images look like
neither: `Config.mixed` asks for it, :math:`\min_\nu W_1(\nu, (1 - a) \hat\mu_0
+ a \mu)`, a game of one critic.

Shapes: N local samples, S seeds, B batch, Z latent.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import local_targets
from coalesce_jax.methods import runner
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary_config

Config = fine_tuning.Config

TERNARIZE = Config(
  game=game_lib.Config(objective='w1', augment='translation'),
  schedule=loop.Schedule(steps=1500),
  decay=True,
  anchor=0.75,
  ternary=ternary_config.Ternary(),
)


def ternarize_default(spec: generator_lib.Spec) -> Config:
  """Returns the settings of ternarization where none are given.

  All kernels become ternary but those of the output layer, which stays float;
  those of perceptrons all do.

  Args:
    spec: of the generator.
  """
  config = fine_tuning.default(spec, TERNARIZE)
  if spec.network != 'mlp':
    return config
  return dataclasses.replace(
    config, ternary=ternary_config.Ternary(leaves=('.*/kernel',))
  )


def paper_code(steps: int = 1000, samples: int = 10000) -> Config:
  """The habits of the authors' published code, for comparison only.

  See `barycenters.paper_code`; both critics weigh the same, the anchor is a
  fixed set of samples.

  Args:
    steps: generator steps.
    samples: of the anchor, drawn once.
  """
  return Config(
    game=game_lib.Config(
      gp_norm='channel',
      reuse_batch=True,
      beta1=0.5,
      beta2=0.9,
      ema=0.999,
      critic_steps=5,
      learning_rate=1e-4,
    ),
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
  """Adapts `meta` to local samples, held near its own law.

  With `judges` the critics of several nodes learn what local samples are, each
  from what it knew, and the generator descends the mean of their estimates:
  where samples are few, critics that begin alike err alike.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in `meta`.
    meta: the start and the anchor.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings.
    hooks: effects; called with `part`.
    part: name of this stage for `hooks`.
    judges: generators whose critics judge the local samples, J of them; none
      is that of `meta` alone.

  Returns:
    The adapted generator with the (first) critic of the local samples, and the
    history; critics 0 to J - 1 are those of the local samples, the last one is
    the anchor's.

  Raises:
    ValueError: too few samples or of another shape; a judge without a critic.
  """
  config = fine_tuning.default(meta.spec) if config is None else config
  network, spec = meta.network, meta.spec
  held = np.any(np.asarray(config.anchor)) or config.game.objective == 'ball'
  targets: local_targets.Targets = local_targets.alone
  args: tuple[Any, ...] = ()
  if config.mixed:
    game = dataclasses.replace(config.game, objective='w1')
    config = dataclasses.replace(config, game=game)
  if held and config.mixed:
    targets = local_targets.pooled(network, spec.latent_size)
    args = ((meta.params,),)
  elif held:
    targets = _anchored(network, spec.latent_size, config.fixed_samples)
    args = (meta.params,)
  return fine_tuning.fit(
    key, meta, images, config=config, hooks=hooks, part=part, judges=judges,
    targets=targets, args=args, share=config.anchor,
    **_ternary(config.ternary, meta),
  )  # fmt: skip


def _anchored(
  network: types.Network, latent_size: int, fixed_samples: int
) -> local_targets.Targets:
  """The local samples, and the distribution of a generator."""

  def targets(local, hyper, params):
    anchor = sources.generators(network, trees.stack([params]), latent_size)
    if fixed_samples:
      (anchor,) = sources.fixed((anchor,), local.key, fixed_samples)
    return (
      *local_targets.alone(local, hyper),
      runner.Target(
        anchor, anchor, hyper['anchor'], local.own, hyper['radius']
      ),
    )

  return targets


def _ternary(
  settings: ternary_config.Ternary | None, start: generator_lib.Generator
) -> dict[str, Any]:
  """What ternarization adds to fine-tuning.

  Raises:
    ValueError: the generator is a mixture, whose nodes are several networks.
  """
  if settings is None:
    return {}
  if start.spec.network == registry.MIXTURE:
    raise ValueError('a mixture of nodes cannot be ternarized')
  made: dict[str, Any] = {
    'reparam': ternary_config.reparam(settings),
    'critic_reparam': ternary_config.critic_reparam(settings),
  }
  if settings.distill:
    term = terms.distillation(start.network, settings.distill)
    made |= {'terms': (term,), 'term_data': lambda params: {term.name: params}}
  return made


def ternarize(
  key: types.PRNGKey,
  generator: generator_lib.Generator,
  images: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
  part: str = 'ternary',
) -> tuple[generator_lib.Generator, loop.History]:
  """Adapts a ternary copy of `generator`, anchored at the float one.

  Args and returns are those of `adapt`; the default settings are those of
  `ternarize_default`.
  The result's ternary leaves are named in its spec.
  """
  if config is None:
    config = ternarize_default(generator.spec)
  if config.ternary is None:
    config = dataclasses.replace(config, ternary=ternary_config.Ternary())
  return adapt(key, generator, images, config=config, hooks=hooks, part=part)
