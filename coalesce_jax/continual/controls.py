"""Controls of continual learning that cost no training."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax

from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib


def narrower(spec: generator_lib.Spec, parameters: int) -> generator_lib.Spec:
  """Returns the widest network of an architecture with few enough parameters.

  Trained alone, it shows what the parameters that a task adds are worth by
  themselves.

  Args:
    spec: spec of a network with the option `width`.
    parameters: the most parameters.

  Raises:
    ValueError: the network has no width, or one channel is too wide.
  """
  options = dict(spec.options)
  if not isinstance(options.get('width'), int):
    raise ValueError(f'network {spec.network!r} has no option width')
  if options.get('widths') is not None:
    raise ValueError(
      f'network {spec.network!r} has widths of single layers, which its width '
      'does not change'
    )
  low, high = 0, options['width'] + 1
  while high - low > 1:
    width = (low + high) // 2
    if count(_with(spec, options, width)) <= parameters:
      low = width
    else:
      high = width
  if not low:
    raise ValueError(
      f'network {spec.network!r} of width 1 has more than {parameters} '
      'parameters'
    )
  return _with(spec, options, low)


def count(spec: generator_lib.Spec) -> int:
  """Returns the number of parameters of a network; computes nothing."""
  return trees.count(jax.eval_shape(spec.build().init, jax.random.key(0)))


def _with(
  spec: generator_lib.Spec, options: Mapping[str, Any], width: int
) -> generator_lib.Spec:
  changed = generator_lib.freeze({**options, 'width': width})
  return dataclasses.replace(spec, options=changed)
