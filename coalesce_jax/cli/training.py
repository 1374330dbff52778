"""Defines the subcommands that train generators: pretrain, barycenter."""

from typing import Any

from absl import flags
import jax

from coalesce_jax.cli import common
from coalesce_jax.cli import node_data
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import files
from coalesce_jax.data import datasets
from coalesce_jax.gan import objectives
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import pretraining
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib


def define_pretrain(values: Values) -> None:
  """Defines the flags of `pretrain`."""
  common.string(values, 'dataset', 'digits', 'Data set, folder or array file.')
  common.string(values, 'data_dir', None, 'Folder that is searched first.')
  common.string(
    values, 'split', 'overlapping', 'Classes of each node; see the README.'
  )
  node_data.define(values)
  common.string(values, 'network', 'dcgan', 'Architecture.')
  flags.DEFINE_integer('width', 24, 'Width of the network.', flag_values=values)
  flags.DEFINE_integer(
    'latent_size', 64, 'Size of the latents.', flag_values=values
  )
  common.string(values, 'out', None, 'Folder for the bundles of the nodes.')
  common.define_training(values, pretraining.Config())
  common.required(values, 'out')


def pretrain(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains one generator for each node."""
  wanted = node_data.wanted(values, values.network)
  data = datasets.load(values.dataset, 'train', values.data_dir, wanted)
  split = node_data.nodes(data, values.split, bool(values['split'].present))
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
  pretraining.check([node.images for node in split], spec)
  config = common.configured(values, pretraining.Config())
  out = files.check_writable(values.out)
  work = common.work(values, values.out, stop)
  nodes, _ = pretraining.pretrain(
    jax.random.key(values.seed), [node.images for node in split], spec,
    config=config, hooks=work.hooks(None),
  )  # fmt: skip
  paths = []
  classes = [node.classes for node in split]
  for k, node in enumerate(nodes):
    path = out / f'node_{k}.safetensors'
    common.save(path, node, 'pretrain', values, data.name, classes[k])
    paths.append(str(path))
  return {'bundles': paths, 'classes': classes, 'workdir': str(work.path)}


def define_barycenter(values: Values) -> None:
  """Defines the flags of `barycenter`."""
  flags.DEFINE_list('nodes', None, 'Bundles.', flag_values=values)
  flags.DEFINE_list(
    'weights',
    None,
    'Weights of the bundles, sum 1; default equal.',
    flag_values=values,
  )
  flags.DEFINE_enum(
    'method', 'joint', barycenter_lib.METHODS, 'Method.', flag_values=values
  )
  flags.DEFINE_enum(
    'objective', None, objectives.NAMES, 'Objective.', flag_values=values
  )
  flags.DEFINE_list(
    'radii', None, "Radii of the 'ball' objective.", flag_values=values
  )
  flags.DEFINE_integer(
    'fixed_samples', 0, 'Samples of each bundle, drawn once; 0 draws new '
    'samples at every step.', lower_bound=0, flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    'refine_steps', 0, 'Steps of discriminator optimal transport (DOT), which '
    'moves fixed samples by the critic of their bundle.',
    lower_bound=0, flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool(
    'new_generator', False, 'Start from new parameters instead of those of the '
    'first bundle: better after thousands of steps.', flag_values=values,
  )  # fmt: skip
  common.string(values, 'out', None, 'Bundle to write.')
  common.define_training(values, barycenter_lib.Config())
  common.required(values, 'nodes', 'out')


def barycenter(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns the barycenter of bundles."""
  nodes = common.load_nodes(values.nodes)
  weights = common.numbers('weights', values.weights)
  if weights is not None:
    checks.check_weights(weights, len(nodes))
  refine = common.refine(values, nodes)
  config = common.configured(
    values,
    barycenter_lib.Config(),
    start=None if values.new_generator else 0,
    fixed_samples=values.fixed_samples,
    refine=refine,
  )
  radii = common.numbers('radii', values.radii)
  barycenter_lib.check(nodes, values.method, values.objective, radii, config)
  work = common.work(
    values, common.checked_out(values.out), stop, common.digests(values.nodes)
  )
  meta, _ = barycenter_lib.barycenter(
    jax.random.key(values.seed),
    nodes,
    weights,
    method=values.method,
    objective=values.objective,
    radii=radii,
    config=config,
    hooks=work.hooks(None),
  )
  common.save(values.out, meta, 'barycenter', values, common.dataset(nodes))
  recursive = values.method == 'recursive'
  stage = f'barycenter_{len(nodes) - 1}' if recursive else 'barycenter'
  return {
    'bundle': values.out,
    'bytes': bundle.size_bytes(meta),
    'workdir': str(work.path),
    **common.last(work, stage),
  }
