"""The commands of the edge node: adapt, ternarize."""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import baselines
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import piggyback_adaptation
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop


def adapt(values: Values, stop: Stop) -> dict[str, Any]:
  """Adapts a bundle, or the metamodel of several bundles, to local images."""
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input(
    'out', values.out, nodes=values.nodes, judges=values.judges
  )
  if values.packing != '2bit' and not values.ternary:
    raise ValueError(f'--packing={values.packing} needs --ternary')
  nodes = common.load_nodes(values.nodes)
  borrowed = values.method == 'piggyback'
  if values['share'].present and not borrowed:
    raise ValueError('--share is a setting of --method=piggyback')
  if borrowed:
    _check_borrowed(values, nodes)
  if values.ternary and len(nodes) == 1:
    _refuse_mixture(values.nodes[0], nodes[0])
  weights = values.weights
  checks.check_weights(weights, len(nodes))
  judges = tuple(
    common.load('judges', path, used=False) for path in values.judges or ()
  )
  local = common.local(values.local, nodes[0].spec, values.nodes[0])
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
  fine_tuning.check_leaves(spec, config)
  fine_tuning.check_judges(judges, spec, config, values.judges, values.nodes[0])
  digests = common.digests([*values.nodes, *(values.judges or ())]) | {
    'local_sha256': files.digest([local])
  }
  with common.work(
    values, values.out, stop, digests, images=values.local
  ) as work:
    if len(nodes) > 1 or not judges:
      common.say_new_critics(values.nodes, nodes)
    key_meta, key_adapt, key_ternary = jax.random.split(
      jax.random.key(values.seed), 3
    )
    meta = nodes[0]
    if len(nodes) > 1 and not borrowed:
      meta, _ = barycenter_lib.barycenter(
        key_meta,
        nodes,
        weights,
        config=common.configured(
          values, barycenter_lib.Config(), steps=values.barycenter_steps
        ),
        hooks=work.hooks(None),
      )
    hooks = work.hooks(None)
    if borrowed:
      edge, _ = piggyback_adaptation.borrow(
        key_adapt, nodes, jnp.asarray(local), share=values.share,
        config=config, hooks=hooks,
      )  # fmt: skip
      result = common.last(work, 'piggyback')
      result['stored'] = piggyback_adaptation.stored(
        edge.spec, values.share, len(nodes)
      )
    else:
      edge, _ = adaptation.adapt(
        key_adapt, meta, jnp.asarray(local), config=config, hooks=hooks,
        judges=judges,
      )  # fmt: skip
      result = common.last(work, 'adapted')
    result['float_bytes'] = bundle.size_bytes(edge)
    if values.ternary:
      edge = ternarized(
        values, key_ternary, edge, local, work, values.ternary_steps
      )
    made = common.save(
      values.out, edge, 'adapt', values, common.dataset(nodes),
      packing=values.packing, critic=values.critic == 'keep',
    )  # fmt: skip
    return {
      **made,
      'workdir': str(work.path),
      'local_samples': len(local),
      **result,
    }


def ternarize(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains a ternary copy of a bundle, held near the float generator."""
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input('out', values.out, node=[values.node])
  generator = common.load('node', values.node)
  _refuse_mixture(values.node, generator)
  local = common.local(values.local, generator.spec, values.node)
  digests = common.digests([values.node]) | {
    'local_sha256': files.digest([local])
  }
  with common.work(
    values, values.out, stop, digests, images=values.local
  ) as work:
    common.say_new_critics([values.node], [generator])
    small = ternarized(
      values, jax.random.key(values.seed), generator, local, work, values.steps
    )
    made = common.save(
      values.out, small, 'ternarize', values, common.dataset([generator]),
      packing=values.packing, critic=values.critic == 'keep',
    )  # fmt: skip
    return {
      **made,
      'float_bytes': bundle.size_bytes(generator),
      'workdir': str(work.path),
    }


def _check_borrowed(
  values: Values, nodes: list[generator_lib.Generator]
) -> None:
  """Checks flags and bundles for filters of several nodes.

  Raises:
    ValueError: a flag is given that this method does not have, or the bundles
      do not have one architecture whose layers are known.
  """
  for flag in ('anchor', 'weights', 'judges', 'barycenter_steps'):
    if values[flag].present:
      raise ValueError(f'--{flag} is a setting of --method=barycenter')
  spec = checks.same_architecture(nodes, values.nodes)
  piggyback_adaptation.rules(spec, values.share)


def _refuse_mixture(path: str, generator: generator_lib.Generator) -> None:
  if generator.spec.network == registry.MIXTURE:
    raise ValueError(f'{path}: a mixture of nodes cannot be ternarized')


def ternarized(
  values: Values,
  key: Any,
  generator: generator_lib.Generator,
  local: Any,
  work: workdir.Workspace,
  steps: int,
) -> generator_lib.Generator:
  """Returns the ternary copy of a generator.

  Args:
    values: the flags.
    key: one key; consumed.
    generator: the float generator.
    local: local images.
    work: the work folder.
    steps: generator steps.
  """
  config = common.configured(
    values,
    adaptation.ternarize_default(generator.spec),
    steps=steps,
    game={'augment': values.augment},
  )
  made, _ = adaptation.ternarize(
    key, generator, jnp.asarray(local), config=config, hooks=work.hooks(None)
  )
  return made
