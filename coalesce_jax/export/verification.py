"""Compares programs with JAX, at random inputs, before they are written.

A program of a generator runs at latents, in batches of `BATCHES` samples. A
program of a translator runs at images of two sizes: that of training, and one
whose sides are no multiples and whose rows are as few as they may be.

Shapes: B batch, Z latent, H, W, C image.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib

BATCHES = (1, 17)
# Sides of images at which translators run: the largest, and the fewest rows.
LARGEST, FEW = 256, translator_lib.LEAST_SIDE


def check_shapes(generator: Any) -> None:
  """Checks that parameters are those of one network.

  Raises:
    ValueError: they are of another network, or of several.
  """
  wanted = jax.eval_shape(generator.network.init, jax.random.key(0))
  shapes, found = (
    {name: leaf.shape for name, leaf in trees.flatten(tree).items()}
    for tree in (wanted, generator.params)
  )
  if found != shapes:
    name = min(n for n in {*shapes, *found} if shapes.get(n) != found.get(n))
    raise ValueError(
      f'leaf {name!r} is {found.get(name, "missing")}, its network has '
      f'{shapes.get(name, "none")}'
    )


def inputs(spec: generator_lib.Spec) -> list[np.ndarray]:
  """Draws inputs of a generator, `[B, Z]`, or of a translator, `[B, H, W, C]`.

  Args:
    spec: the spec.
  """
  rng = np.random.default_rng(0)
  if spec.condition_shape is None:
    return [
      rng.standard_normal((batch, spec.latent_size), np.float32)
      for batch in BATCHES
    ]
  *sides, channels = spec.condition_shape
  height, width = (min(max(n, FEW), LARGEST) for n in sides)
  return [
    rng.uniform(-1.0, 1.0, (*shape, channels)).astype(np.float32)
    for shape in ((1, height, width), (3, FEW, width + 3))
  ]


def difference(
  generator: Any, params: types.Params, runs: Sequence[Callable[..., Any]]
) -> float:
  """Measures the largest absolute difference of results from those of JAX.

  Args:
    generator: a generator or translator.
    params: its parameters for JAX.
    runs: functions from inputs to results.

  Returns:
    The largest difference, or a NaN.

  Raises:
    ValueError: results of JAX are unusable, or others have another shape.
  """
  apply = jax.jit(generator.network.apply)
  name = 'generator' if generator.spec.condition_shape is None else 'translator'
  differences = []
  for x in inputs(generator.spec):
    expected = checks.usable_samples(apply(params, x), name)
    for run in runs:
      found = np.asarray(run(x))
      if found.shape != expected.shape:
        raise ValueError(
          f'the program gives {found.shape}, JAX {expected.shape}'
        )
      differences.append(np.max(np.abs(found - expected)))
  # Unlike Python's, NumPy's maximum keeps a NaN.
  return float(np.max(differences))
