"""The sources of a barycenter: its input generators, as they are or refined.

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


def of(
  members: Sequence[generator_lib.Generator],
  params: Sequence[types.Params],
  critics: Sequence[types.Params],
  refine: refined_source.Config | None,
) -> tuple[sources.Source, ...]:
  """Returns one source a run of generators of one pair of networks.

  Such generators draw their samples together, as one product.

  Args:
    members: K generators, for what they are.
    params: of each of them, of one replica.
    critics: of each of them, where `refine` is given.
    refine: moves the latents by the critics; None leaves them.
  """
  found, begin = [], 0
  for end in range(1, len(members) + 1):
    if end < len(members) and _kind(members[end]) == _kind(members[begin]):
      continue
    first, part = members[begin], slice(begin, end)
    stacked, size = trees.stack(params[part]), first.spec.latent_size
    if refine is None:
      found.append(sources.generators(first.network, stacked, size))
    else:
      found.append(
        refined_source.generators(
          first.network, first.spec.build_critic(), stacked,
          trees.stack(critics[part]), size, refine,
        )
      )  # fmt: skip
    begin = end
  return tuple(found)


def targets(
  drawn: Sequence[sources.Source],
  critics: Sequence[types.Params],
  weights: np.ndarray,
  radii: Any,
) -> list[runner.Target]:
  """Returns a target a source, with the critics of what it draws.

  Args:
    drawn: sources of K generators together.
    critics: parameters, one tree a generator.
    weights: lambda, `[K]`.
    radii: eta, `[K]`.
  """
  found, begin = [], 0
  for source in drawn:
    part = slice(begin, begin + source.count)
    own = list(critics[part])
    critic = trees.stack(own) if source.count > 1 else own[0]
    found.append(
      runner.Target(source, source, weights[part], critic, radii[part])
    )
    begin += source.count
  return found


def with_critic(
  spec: generator_lib.Spec, members: Sequence[generator_lib.Generator]
) -> generator_lib.Spec:
  """Returns a spec without provenance, with its critic or the first there is.

  Args:
    spec: of the new generator.
    members: the input generators.
  """
  spec = dataclasses.replace(spec, provenance={})
  named = [m.spec for m in members if m.spec.critic is not None]
  if spec.critic is None and named:
    spec = dataclasses.replace(
      spec, critic=named[0].critic, critic_options=named[0].critic_options
    )
  return checks.with_critic(spec)


def _kind(member: generator_lib.Generator) -> tuple[Any, ...]:
  spec = member.spec
  return member.network, spec.latent_size, spec.critic, spec.critic_options
