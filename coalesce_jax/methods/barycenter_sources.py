"""Builds the sources of a barycenter from its input generators.

Shapes: K input generators.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import refined_source
from coalesce_jax.gan import sources
from coalesce_jax.methods import runner
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib


def build(
  inputs: Sequence[generator_lib.Generator],
  params: Sequence[types.Params],
  critics: Sequence[types.Params],
  refine: refined_source.Config | None,
) -> tuple[sources.Source, ...]:
  """Returns one source for each run of consecutive inputs with equal networks.

  A source computes the samples of its generators together, as one product.

  Args:
    inputs: K input generators, for their specs and networks.
    params: parameters of each input, of one replica.
    critics: parameters of the critic of each input, used with `refine`.
    refine: settings of discriminator optimal transport (DOT), which moves the
      latents by the critics; None leaves them unchanged.
  """
  grouped, begin = [], 0
  for end in range(1, len(inputs) + 1):
    if end < len(inputs) and _kind(inputs[end]) == _kind(inputs[begin]):
      continue
    first, rows = inputs[begin], slice(begin, end)
    stacked, size = trees.stack(params[rows]), first.spec.latent_size
    if refine is None:
      grouped.append(sources.generators(first.network, stacked, size))
    else:
      grouped.append(
        refined_source.generators(
          first.network, first.spec.build_critic(), stacked,
          trees.stack(critics[rows]), size, refine,
        )
      )  # fmt: skip
    begin = end
  return tuple(grouped)


def targets(
  drawn: Sequence[sources.Source],
  critics: Sequence[types.Params],
  weights: np.ndarray,
  radii: Any,
) -> list[runner.Target]:
  """Returns one target for each source, with the critics of its generators.

  Args:
    drawn: sources of K generators in all.
    critics: initial parameters of K critics, one tree each.
    weights: lambda, `[K]`.
    radii: eta, `[K]`.
  """
  result, begin = [], 0
  for source in drawn:
    rows = slice(begin, begin + source.count)
    own_critics = list(critics[rows])
    critic = trees.stack(own_critics) if source.count > 1 else own_critics[0]
    result.append(
      runner.Target(source, source, weights[rows], critic, radii[rows])
    )
    begin += source.count
  return result


def with_critic(
  spec: generator_lib.Spec, inputs: Sequence[generator_lib.Generator]
) -> generator_lib.Spec:
  """Returns a spec without provenance, with its own critic or that of an input.

  Args:
    spec: spec of the new generator.
    inputs: the input generators. The first one with a critic is used.
  """
  spec = dataclasses.replace(spec, provenance={})
  named = [g.spec for g in inputs if g.spec.critic is not None]
  if spec.critic is None and named:
    spec = dataclasses.replace(
      spec, critic=named[0].critic, critic_options=named[0].critic_options
    )
  return checks.with_critic(spec)


def known_critics(
  spec: generator_lib.Spec, inputs: Sequence[generator_lib.Generator]
) -> list[types.Params] | None:
  """Returns the critics of all inputs, or None if one cannot be a start.

  Args:
    spec: names the critic to start.
    inputs: the input generators.
  """
  kind = spec.critic, spec.critic_options
  for one in inputs:
    if one.critic is None or (one.spec.critic, one.spec.critic_options) != kind:
      return None
  return [one.critic for one in inputs]


def _kind(generator: generator_lib.Generator) -> tuple[Any, ...]:
  spec = generator.spec
  return generator.network, spec.latent_size, spec.critic, spec.critic_options
