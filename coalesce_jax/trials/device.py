"""Times networks against each other, as a device runs them.

Both are float32 ONNX programs in ONNX Runtime on one core, in turns.

Shapes: B batch.
"""

import functools
import importlib.util
from typing import Any

import numpy as np

from coalesce_jax.core import types
from coalesce_jax.export import export
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.trials import timing

# Samples of a timed call are so many at least.
_SAMPLES = 64


def measure(
  networks: dict[str, tuple[generator_lib.Spec, types.Params]],
  batches: tuple[int, ...] = (1, 64),
  rounds: int = 9,
) -> dict[str, Any] | None:
  """Returns milliseconds of a sample, and how much faster others are.

  Args:
    networks: spec and parameters by name; the first one is the large network.
    batches: B.
    rounds: timed calls of each.

  Returns:
    By B, `milliseconds` by name and `faster` by the names of the others. None
    without ONNX Runtime.
  """
  if importlib.util.find_spec('onnxruntime') is None:
    return None
  programs = {name: _program(*each) for name, each in networks.items()}
  first, *others = networks
  found = {}
  for batch in batches:
    calls = max(1, _SAMPLES // batch)
    cases = {
      name: functools.partial(_run, program, spec, batch, calls)
      for (name, program), (spec, _) in zip(
        programs.items(), networks.values(), strict=True
      )
    }
    spent = timing.interleave(cases, rounds=rounds)
    found[str(batch)] = {
      'milliseconds': {
        name: 1e3 * timing.median(times) / (calls * batch)
        for name, times in spent.items()
      },
      'faster': {
        name: timing.ratio(spent[first], spent[name]) for name in others
      },
    }
  return found


def _program(spec: generator_lib.Spec, params: types.Params) -> Any:
  """Returns the function that runs a float32 ONNX program on one core."""
  kind = (
    translator_lib.Translator
    if spec.condition_shape
    else generator_lib.Generator
  )
  model = kind(spec.build(), params, spec)
  program = export.build(model, weights='float32').contents['']
  return export.FORMATS['onnx'].load(program)[0]


def _run(
  program: Any, spec: generator_lib.Spec, batch: int, calls: int
) -> None:
  shape = spec.condition_shape or (spec.latent_size,)
  x = np.random.default_rng(0).uniform(-1, 1, (batch, *shape))
  for _ in range(calls):
    program(x.astype(np.float32))
