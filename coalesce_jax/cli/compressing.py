"""Makes generators smaller: compress."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.cli import adapting
from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.compress import agents
from coalesce_jax.compress import edge
from coalesce_jax.compress import macs
from coalesce_jax.compress import method_names
from coalesce_jax.compress import shrinking
from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.data import pixels
from coalesce_jax.export import export as export_lib
from coalesce_jax.metrics import energy
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.trials import device

# Samples of the distance to local images.
_SAMPLES = 1000


def compress(values: Values, stop: Stop) -> dict[str, Any]:
  """Makes a generator smaller, and trains what is left of it."""
  outputs.file('out', values.out, outputs.BUNDLE)
  if values.onnx is not None:
    outputs.file('onnx', values.onnx, ('.onnx',))
    export_lib.require('onnx', 'onnxruntime')
  outputs.is_no_input('out', values.out, node=[values.node])
  if values.packing != '2bit' and not values.ternary:
    raise ValueError(f'--packing={values.packing} needs --ternary')
  _read_by(values)
  large = common.load('node', values.node)
  try:
    edge.check(large, values.method, values.macs)
  except ValueError as error:
    raise ValueError(f'{values.node}: {error}') from None
  common.say_new_critics([values.node], [large])
  local = common.local(values.local, large.spec, values.node)
  config = common.configured(
    values, edge.default(large.spec), game={'augment': values.augment},
    anchor=values.anchor,
  )  # fmt: skip
  steps = values.agent_steps
  schedule = loop.Schedule(steps, loop.chunk_of(steps, 20))
  how = shrinking.Config(
    agents.Config(schedule), density_weight=values.density_weight
  )
  digests = common.digests([values.node]) | {
    'local_sha256': files.digest([local])
  }
  with common.work(
    values, values.out, stop, digests, images=values.local
  ) as work:
    key, key_ternary = jax.random.split(jax.random.key(values.seed))
    small, _ = edge.compress(
      key, large, jnp.asarray(local), values.macs, method=values.method,
      config=config, how=how, hooks=work.hooks(None),
    )  # fmt: skip
    after = _measured(small, local)
    if values.ternary:
      small = adapting.ternarized(
        values, key_ternary, small, local, work, values.ternary_steps
      )
      after['float_distance'] = after['distance']
      after['distance'] = _measured(small, local)['distance']
    made = common.save(
      values.out, small, 'compress', values, common.dataset([large]),
      packing=values.packing, critic=values.critic == 'keep',
    )  # fmt: skip
    if values.onnx is not None:
      program = export_lib.write(
        values.onnx, common.load('out', values.out),
        source_sha256=bundle.inspect(values.out)['payload_sha256'],
      )  # fmt: skip
      made |= {'onnx': values.onnx, 'onnx_bytes': len(program.contents[''])}
    before = _measured(large, local) | {'bytes': bundle.size_bytes(large)}
    after['bytes'] = made['bytes']
    try:
      times = device.measure(
        {
          'before': (large.spec, large.params),
          'after': (small.spec, small.params),
        },
        batches=(1,),
      )
    except ValueError:
      # The network has no ONNX graph.
      times = None
    if times is not None:
      spent = times['1']['milliseconds']
      before['milliseconds'] = round(spent['before'], 4)
      after['milliseconds'] = round(spent['after'], 4)
    return {
      **made, 'workdir': str(work.path), 'before': before, 'after': after,
    }  # fmt: skip


def _read_by(values: Values) -> None:
  """Refuses flags that the method does not read."""
  method = method_names.METHODS[values.method]
  for flag, read, does in (
    ('density_weight', method.local, 'does not keep the local density'),
    ('agent_steps', method.channels == 'density', 'has no agents'),
  ):
    if values[flag].present and not read:
      raise ValueError(
        f'--{flag}: method {values.method!r} {does}; leave it out'
      )


def _measured(
  generator: generator_lib.Generator, local: np.ndarray
) -> dict[str, Any]:
  """Returns counts of a generator, and the energy distance to local images."""
  made = generator.sample(jax.random.key(0), _SAMPLES)
  far = energy.energy_distance(pixels.decode(jnp.asarray(local)), made)
  return {
    'macs': macs.total(generator.spec),
    'parameters': trees.count(generator.params),
    'distance': round(float(far), 6),
  }
