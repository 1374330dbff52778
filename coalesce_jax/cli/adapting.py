"""Defines the subcommands of the edge node: adapt, ternarize."""

from typing import Any

from absl import flags
import jax
import jax.numpy as jnp

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import baselines
from coalesce_jax.methods import fine_tuning
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.networks import registry
from coalesce_jax.training import loop


def define_adapt(values: Values) -> None:
  """Defines the flags of `adapt`."""
  defaults = adaptation.Config()
  flags.DEFINE_list(
    'nodes', None, 'Bundles; several are coalesced first.',
    flag_values=values,
  )  # fmt: skip
  common.string(values, 'local', None, 'Folder or array file of local images.')
  flags.DEFINE_list(
    'weights',
    None,
    'Weights of the nodes, sum 1; default equal.',
    flag_values=values,
  )
  flags.DEFINE_list(
    'judges', None, 'Bundles whose critics form the critic ensemble of the '
    'local images; default the critic of the metamodel.', flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'anchor', defaults.anchor,
    'Proximal weight: position between local samples, 0, and metamodel, 1.',
    flag_values=values,
  )  # fmt: skip
  common.string(
    values,
    'augment',
    defaults.game.augment,
    'Augmentation, see the README; "" is none.',
  )
  flags.DEFINE_bool(
    'freeze_d', False, 'Freeze the image-side critic layers.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'early_stopping',
    False,
    'Stop early by held-out local images.',
    flag_values=values,
  )
  flags.DEFINE_bool(
    'ternary', False, 'Ternarize the result as well.', flag_values=values
  )
  flags.DEFINE_integer(
    'barycenter_steps', barycenter_lib.Config().schedule.steps,
    'Generator steps of the metamodel.', flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    'ternary_steps', adaptation.TERNARIZE.schedule.steps,
    'Generator steps of the ternarization.', flag_values=values,
  )  # fmt: skip
  _define_packing(values)
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, defaults)
  common.required(values, 'nodes', 'local', 'out')


def adapt(values: Values, stop: Stop) -> dict[str, Any]:
  """Adapts a bundle, or the metamodel of several bundles, to local images."""
  if values.packing != '2bit' and not values.ternary:
    raise ValueError(f'--packing={values.packing} needs --ternary')
  nodes = common.load_nodes(values.nodes)
  if values.ternary and len(nodes) == 1:
    _refuse_mixture(values.nodes[0], nodes[0])
  weights = common.numbers('weights', values.weights)
  checks.check_weights(weights, len(nodes))
  checks.same_samples(nodes)
  judges = tuple(bundle.load(path) for path in values.judges or ())
  local = common.local(values.local, nodes[0].spec)
  freeze = baselines.FREEZE_D if values.freeze_d else ()
  chunk = loop.chunk_of(values.steps, adaptation.Config().schedule.chunk)
  select = chunk if values.early_stopping else 0
  config = common.configured(
    values,
    adaptation.Config(),
    game={'augment': values.augment, 'freeze': freeze},
    schedule={'select_every': select},
    anchor=values.anchor,
  )
  spec = checks.with_critic(nodes[0].spec)
  fine_tuning.check_judges(judges, spec, config, values.judges)
  digests = common.digests([*values.nodes, *(values.judges or ())]) | {
    'local_sha256': files.digest([local])
  }
  work = common.work(values, common.checked_out(values.out), stop, digests)
  key_meta, key_adapt, key_ternary = jax.random.split(
    jax.random.key(values.seed), 3
  )
  meta = nodes[0]
  if len(nodes) > 1:
    meta, _ = barycenter_lib.barycenter(
      key_meta,
      nodes,
      weights,
      config=common.configured(
        values, barycenter_lib.Config(), steps=values.barycenter_steps
      ),
      hooks=work.hooks(None),
    )
  edge, _ = adaptation.adapt(
    key_adapt, meta, jnp.asarray(local), config=config, hooks=work.hooks(None),
    judges=judges,
  )  # fmt: skip
  result = common.last(work, 'adapted')
  result['float_bytes'] = bundle.size_bytes(edge)
  if values.ternary:
    edge, _ = _ternarized(
      values, key_ternary, edge, local, work, values.ternary_steps
    )
  common.save(
    values.out, edge, 'adapt', values, common.dataset(nodes),
    packing=values.packing,
  )  # fmt: skip
  return {
    'bundle': values.out,
    'bytes': bundle.size_bytes(edge, values.packing),
    'workdir': str(work.path),
    'local_samples': len(local),
    **result,
  }


def define_ternarize(values: Values) -> None:
  """Defines the flags of `ternarize`."""
  common.string(values, 'node', None, 'Bundle of a float generator.')
  common.string(values, 'local', None, 'Folder or array file of local images.')
  common.string(
    values,
    'augment',
    adaptation.TERNARIZE.game.augment,
    'Augmentation; "" is none.',
  )
  _define_packing(values)
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, adaptation.TERNARIZE)
  common.required(values, 'node', 'local', 'out')


def ternarize(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains a ternary copy of a bundle, held near the float generator."""
  generator = checks.usable(bundle.load(values.node), values.node)
  _refuse_mixture(values.node, generator)
  local = common.local(values.local, generator.spec)
  digests = common.digests([values.node]) | {
    'local_sha256': files.digest([local])
  }
  work = common.work(values, common.checked_out(values.out), stop, digests)
  small, _ = _ternarized(
    values, jax.random.key(values.seed), generator, local, work, values.steps
  )
  common.save(
    values.out, small, 'ternarize', values, common.dataset([generator]),
    packing=values.packing,
  )  # fmt: skip
  return {
    'bundle': values.out,
    'bytes': bundle.size_bytes(small, values.packing),
    'float_bytes': bundle.size_bytes(generator),
    'workdir': str(work.path),
  }


def _define_packing(values: Values) -> None:
  flags.DEFINE_enum(
    'packing', '2bit', list(packing.PACKINGS), 'Packing of ternary weights in '
    'the bundle; trits are 1.6 bits each.', flag_values=values,
  )  # fmt: skip


def _refuse_mixture(path: str, generator: generator_lib.Generator) -> None:
  if generator.spec.network == registry.MIXTURE:
    raise ValueError(f'{path}: a mixture of nodes cannot be ternarized')


def _ternarized(values, key, generator, local, work, steps):
  config = common.configured(
    values,
    adaptation.ternarize_default(generator.spec),
    steps=steps,
    game={'augment': values.augment},
  )
  return adaptation.ternarize(
    key, generator, jnp.asarray(local), config=config, hooks=work.hooks(None)
  )
