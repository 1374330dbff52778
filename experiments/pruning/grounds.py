"""What methods of pruning need to know of a subject, whatever its kind.

Shapes: S seeds, N samples, F features.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.compress import density
from coalesce_jax.compress import pruning
from coalesce_jax.compress import shrinking
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.methods import problems
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop

_BATCH = 100


class Part(NamedTuple):
  """One network of a subject.

  Attributes:
    spec: of the large network.
    critic: network of its critic.
    inputs: pool of inputs, `[N, ...]`.
    asked: inputs of the samples that are scored.
    view: see `pruning.Subject`.
    trained: see `pruning.Subject`.
  """

  spec: generator_lib.Spec
  critic: types.Network
  inputs: Any
  asked: Any
  view: Callable[[Any, Any], Any] | None = None
  trained: Any | None = None


class Ground(NamedTuple):
  """What methods of pruning need to know of a subject.

  Attributes:
    parts: its networks, in the order of the critics of the problem.
    problem: ``(specs, steps) -> problem``.
    features: ``samples -> [N, F]``.
    score: ``samples of the first network -> scores by name``.
    joined: see `shrinking.Whole`.
    parted: see `shrinking.Whole`.
    images: what a generator of latents is trained on.
  """

  parts: tuple[Part, ...]
  problem: Callable[[Sequence[generator_lib.Spec], int], problems.Problem]
  features: Callable[[Any], np.ndarray]
  score: Callable[[np.ndarray], dict[str, float]]
  joined: Callable[[Sequence[types.Params]], types.Params] = lambda all: all[0]
  parted: Callable[[types.Params], Sequence[types.Params]] = lambda one: [one]
  images: Any = None

  @property
  def specs(self) -> list[generator_lib.Spec]:
    """The specs of the large networks."""
    return [part.spec for part in self.parts]

  def whole(
    self, params: types.Params, critics: Sequence[types.Params], steps: int
  ) -> shrinking.Whole:
    """Returns the large networks of one seed, to be made smaller.

    Args:
      params: parameters of the problem's generator.
      critics: those of the critics.
      steps: for which smaller networks train.
    """
    subjects = tuple(
      pruning.Subject(
        part.spec,
        own,
        part.critic,
        critic,
        part.inputs,
        part.view,
        part.trained,
      )
      for part, own, critic in zip(
        self.parts, self.parted(params), critics, strict=True
      )
    )

    def problem(specs: Sequence[generator_lib.Spec]) -> problems.Problem:
      return self.problem(specs, steps)

    return shrinking.Whole(
      subjects, tuple(critics), problem, self.features, self.joined,
      self.parted,
    )  # fmt: skip

  def sample(
    self,
    specs: Sequence[generator_lib.Spec],
    params: Sequence[types.Params],
  ) -> np.ndarray:
    """Returns the samples of the first network, which are scored."""
    network, asked = specs[0].build(), self.parts[0].asked
    apply = jax.jit(lambda p, x: network.apply(p, pixels.decode(x)))
    return np.concatenate([
      np.asarray(apply(params[0], asked[first : first + _BATCH]))
      for first in range(0, len(asked), _BATCH)
    ])  # fmt: skip

  def scores(
    self, made: np.ndarray, before: np.ndarray | None = None
  ) -> dict[str, float]:
    """Returns scores of samples, and how they agree with those before."""
    found = dict(self.score(made))
    if before is not None:
      found['agreement'] = density.agreement(
        self.features(before), self.features(made)
      )
      found['changed'] = float(np.mean(np.abs(made - before)))
    return found


def schedule(steps: int, fast_compile: bool = False) -> loop.Schedule:
  """Returns the schedule of a training."""
  chunk = loop.chunk_of(steps, 50)
  return loop.Schedule(steps, chunk, fast_compile=fast_compile)


def lasting(settings: Any, config: Any, steps: int, **changes: Any) -> Any:
  """Returns settings of a method with a number of steps."""
  how = schedule(steps, config.fast_compile)
  return dataclasses.replace(settings, schedule=how, **changes)


def features(network: features_lib.Features, images: Any) -> np.ndarray:
  return features_lib.extract(network, images)[0]
