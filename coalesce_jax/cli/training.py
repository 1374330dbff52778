"""Subcommands that train: pretrain, barycenter, adapt, ternarize."""

from typing import Any

from absl import flags
import jax
import jax.numpy as jnp

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.gan import objectives
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import baselines
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import pretraining
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary_config


def define_pretrain(values: Values) -> None:
  """Flags of `pretrain`."""
  common.string(values, 'dataset', 'digits', 'Data set, folder or array file.')
  common.string(values, 'data_dir', None, 'Folder that is searched first.')
  common.string(
    values, 'split', 'overlapping', 'Classes by node; see the README.'
  )
  common.string(values, 'network', 'dcgan', 'Architecture.')
  flags.DEFINE_integer('width', 24, 'Its width.', flag_values=values)
  flags.DEFINE_integer('latent_size', 64, 'Z.', flag_values=values)
  common.string(values, 'out', None, 'Folder of the bundles, one a node.')
  common.define_training(values, 3000)
  common.required(values, 'out')


def pretrain(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains one generator a node."""
  data = datasets.load(values.dataset, 'train', values.data_dir)
  if data.labels is None:
    split, parts = None, [data.images]
  else:
    split = partition.parse(values.split)
    parts = [
      data.images[partition.indices(data.labels, classes)]
      for classes in split.nodes
    ]
  width = generator_lib.freeze({'width': values.width})
  spec = generator_lib.Spec(
    network=values.network,
    latent_size=values.latent_size,
    image_shape=data.images.shape[1:],
    options=width,
    critic=values.network,
    critic_options=width,
  )
  spec.build(), spec.build_critic()
  config = pretraining.Config(
    game=common.game(values, decay_steps=values.steps),
    schedule=common.schedule(values),
  )
  out = files.check_writable(values.out)
  work = common.work(values, values.out, stop)
  made, _ = pretraining.pretrain(
    jax.random.key(values.seed), parts, spec, config=config,
    hooks=work.hooks(None),
  )  # fmt: skip
  paths = []
  for k, member in enumerate(made):
    classes = 'all' if split is None else ','.join(map(str, split.nodes[k]))
    path = out / f'node_{k}.safetensors'
    common.save(path, member, 'pretrain', values, data.name, classes)
    paths.append(str(path))
  return {'bundles': paths, 'workdir': str(work.path)}


def define_barycenter(values: Values) -> None:
  """Flags of `barycenter`."""
  flags.DEFINE_list('nodes', None, 'Bundles.', flag_values=values)
  flags.DEFINE_list(
    'weights', None, 'One a bundle, sum 1; default equal.', flag_values=values
  )
  flags.DEFINE_enum(
    'method', 'joint', barycenter_lib.METHODS, 'How.', flag_values=values
  )
  flags.DEFINE_enum(
    'objective', None, objectives.NAMES, 'Which point.', flag_values=values
  )
  flags.DEFINE_list(
    'radii', None, "Of the 'ball' objective.", flag_values=values
  )
  flags.DEFINE_integer(
    'fixed_samples', 0, 'Samples of each bundle, drawn once; 0 draws new ones '
    'at every step.', lower_bound=0, flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    'refine_steps', 0, 'Steps that fixed samples are moved by the critic of '
    'their bundle; 0 leaves them.', lower_bound=0, flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'new_generator', False, 'Start from new parameters instead of those of the '
    'first bundle: better after thousands of steps.', flag_values=values,
  )  # fmt: skip
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, 1000)
  common.required(values, 'nodes', 'out')


def barycenter(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns the barycenter of bundles."""
  members = common.load_nodes(values.nodes)
  weights = common.numbers('weights', values.weights)
  if weights is not None:
    checks.check_weights(weights, len(members))
  refine = common.refine(values, members)
  config = barycenter_lib.Config(
    game=common.game(values, decay_steps=values.steps),
    schedule=common.schedule(values),
    start=None if values.new_generator else 0,
    warmup=common.warmup(values),
    fixed_samples=values.fixed_samples,
    refine=refine,
  )
  radii = common.numbers('radii', values.radii)
  barycenter_lib.check(members, values.method, values.objective, radii, config)
  work = common.work(
    values, common.checked_out(values.out), stop, common.digests(values.nodes)
  )
  meta, _ = barycenter_lib.barycenter(
    jax.random.key(values.seed),
    members,
    weights,
    method=values.method,
    objective=values.objective,
    radii=radii,
    config=config,
    hooks=work.hooks(None),
  )
  common.save(values.out, meta, 'barycenter', values, common.dataset(members))
  recursive = values.method == 'recursive'
  part = f'barycenter_{len(members) - 1}' if recursive else 'barycenter'
  return {
    'bundle': values.out,
    'bytes': bundle.size_bytes(meta),
    'workdir': str(work.path),
    **common.last(work, part),
  }


def define_adapt(values: Values) -> None:
  """Flags of `adapt`."""
  flags.DEFINE_list(
    'nodes', None, 'Bundles; more than one are coalesced first.',
    flag_values=values,
  )  # fmt: skip
  common.string(values, 'local', None, 'Folder or array file of local images.')
  flags.DEFINE_list(
    'weights', None, 'Of the nodes, sum 1; default equal.', flag_values=values
  )
  flags.DEFINE_list(
    'judges', None, 'Bundles whose critics judge the local images together; '
    "default the metamodel's alone.", flag_values=values,
  )  # fmt: skip
  flags.DEFINE_float(
    'anchor', 0.5, 'Position between local samples, 0, and metamodel, 1.',
    flag_values=values,
  )  # fmt: skip
  common.string(values, 'augment', 'translation', 'See the README; "" is none.')
  flags.DEFINE_bool(
    'freeze_d', False, 'Freeze the image-side critic layers.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'early_stopping', False, 'On held-out local images.', flag_values=values
  )
  flags.DEFINE_bool(
    'ternary', False, 'Ternarize the result as well.', flag_values=values
  )
  flags.DEFINE_integer(
    'barycenter_steps', 1000, 'Of the metamodel.', flag_values=values
  )
  _define_packing(values)
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, 500)
  common.required(values, 'nodes', 'local', 'out')


def adapt(values: Values, stop: Stop) -> dict[str, Any]:
  """Coalesces bundles where there are several, then adapts to local images."""
  if values.packing != '2bit' and not values.ternary:
    raise ValueError(f'--packing={values.packing} needs --ternary')
  members = common.load_nodes(values.nodes)
  if values.ternary and len(members) == 1:
    _refuse_mixture(values.nodes[0], members[0])
  weights = common.numbers('weights', values.weights)
  checks.check_weights(weights, len(members))
  checks.same_samples(members)
  judges = tuple(bundle.load(path) for path in values.judges or ())
  local = common.local(values.local, members[0].spec)
  freeze = baselines.FREEZE_D if values.freeze_d else ()
  select = loop.chunk_of(values.steps) if values.early_stopping else 0
  config = adaptation.Config(
    game=common.game(
      values, objective='w1_squared', augment=values.augment, freeze=freeze
    ),
    schedule=common.schedule(values, select_every=select),
    anchor=values.anchor,
    warmup=common.warmup(values),
  )
  spec = checks.with_critic(members[0].spec)
  fine_tuning.check_judges(judges, spec, config, values.judges)
  digests = common.digests([*values.nodes, *(values.judges or ())]) | {
    'local_sha256': files.digest([local])
  }
  work = common.work(values, common.checked_out(values.out), stop, digests)
  key_meta, key_adapt, key_ternary = jax.random.split(
    jax.random.key(values.seed), 3
  )
  meta = members[0]
  if len(members) > 1:
    steps = values.barycenter_steps
    meta, _ = barycenter_lib.barycenter(
      key_meta,
      members,
      weights,
      config=barycenter_lib.Config(
        game=common.game(values, decay_steps=steps),
        schedule=loop.Schedule(steps=steps, chunk=loop.chunk_of(steps)),
        warmup=min(100, steps // 5),
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
    edge, _ = _ternarized(values, key_ternary, edge, local, work)
  common.save(
    values.out, edge, 'adapt', values, common.dataset(members),
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
  """Flags of `ternarize`."""
  common.string(values, 'node', None, 'Bundle of a float generator.')
  common.string(values, 'local', None, 'Folder or array file of local images.')
  common.string(values, 'augment', 'translation', '"" is none.')
  _define_packing(values)
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, 1500)
  common.required(values, 'node', 'local', 'out')


def ternarize(values: Values, stop: Stop) -> dict[str, Any]:
  """Ternarizes a bundle, anchored at its own law."""
  generator = bundle.load(values.node)
  _refuse_mixture(values.node, generator)
  local = common.local(values.local, generator.spec)
  digests = common.digests([values.node]) | {
    'local_sha256': files.digest([local])
  }
  work = common.work(values, common.checked_out(values.out), stop, digests)
  small, _ = _ternarized(
    values, jax.random.key(values.seed), generator, local, work
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
    'packing', '2bit', list(packing.PACKINGS), 'Of ternary weights in the '
    'bundle; trits are 1.6 bits each.', flag_values=values,
  )  # fmt: skip


def _refuse_mixture(path: str, generator: generator_lib.Generator) -> None:
  if generator.spec.network == registry.MIXTURE:
    raise ValueError(f'{path}: a mixture of nodes cannot be ternarized')


def _ternarized(values, key, generator, local, work):
  names = (
    ('(?!out/).*kernel',) if generator.spec.network != 'mlp' else ('.*/kernel',)
  )
  config = adaptation.Config(
    game=common.game(
      values, objective='w1', augment=values.augment, decay_steps=values.steps
    ),
    schedule=common.schedule(values),
    anchor=0.75,
    warmup=common.warmup(values),
    ternary=ternary_config.Ternary(leaves=names),
  )
  return adaptation.ternarize(
    key, generator, jnp.asarray(local), config=config, hooks=work.hooks(None)
  )
