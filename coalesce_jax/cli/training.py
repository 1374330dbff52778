"""Trains generators: pretrain, barycenter."""

import pathlib
from typing import Any

import jax

from coalesce_jax.cli import common
from coalesce_jax.cli import node_data
from coalesce_jax.cli import outputs
from coalesce_jax.cli import particles
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import replacing
from coalesce_jax.data import datasets
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import pretraining
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib


def pretrain(values: Values, stop: Stop) -> dict[str, Any]:
  """Trains one generator for each node."""
  out = pathlib.Path(outputs.folder('out', values.out))
  config = common.configured(values, pretraining.Config(), start=values.start)
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
  paths = [str(out / f'node_{k}.safetensors') for k in range(len(split))]
  for path in paths:
    replacing.check_file(path, replacing.BUNDLE)
  named = values.dataset in datasets.NAMES
  with common.work(
    values, values.out, stop, results=paths,
    images=None if named else values.dataset,
  ) as work:  # fmt: skip
    nodes, _ = pretraining.pretrain(
      jax.random.key(values.seed), [node.images for node in split], spec,
      config=config, hooks=work.hooks(None),
    )  # fmt: skip
    classes = [node.classes for node in split]
    for path, node, held in zip(paths, nodes, classes, strict=True):
      common.save(path, node, 'pretrain', values, data.name, classes=held)
    return {'bundles': paths, 'classes': classes, 'workdir': str(work.path)}


def barycenter(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns the barycenter of bundles."""
  particles.refuse(values)
  if values.method == 'particles':
    return particles.sample(values, stop)
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input('out', values.out, nodes=values.nodes)
  nodes = common.load_nodes(values.nodes)
  weights = values.weights
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
  radii = values.radii
  barycenter_lib.check(nodes, values.method, values.objective, radii, config)
  with common.work(
    values, values.out, stop, common.digests(values.nodes)
  ) as work:
    common.say_new_critics(values.nodes, nodes)
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
    made = common.save(
      values.out, meta, 'barycenter', values, common.dataset(nodes)
    )
    recursive = values.method == 'recursive'
    stage = f'barycenter_{len(nodes) - 1}' if recursive else 'barycenter'
    return {
      **made,
      'workdir': str(work.path),
      **common.last(work, stage),
    }
