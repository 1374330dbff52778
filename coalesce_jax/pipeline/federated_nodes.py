"""Federated meta-learning over real nodes, from the values of a Flower run.

A node has images of its own, or takes its part of a data set that all have,
which is how the run is tried on one machine.
"""

from collections.abc import Mapping
import os
from typing import Any

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.data import tasks
from coalesce_jax.data import user_data
from coalesce_jax.federated import classifier
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import exchange
from coalesce_jax.federated import flower
from coalesce_jax.federated import learn
from coalesce_jax.federated import node as node_lib
from coalesce_jax.federated import privacy
from coalesce_jax.federated import server as server_lib
from coalesce_jax.federated import settings
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import federated_defaults
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import node_settings

Values = Mapping[str, Any]


def client() -> Any:
  """Returns Flower's app of a node."""
  return flower.client_app(make)


def server() -> Any:
  """Returns Flower's app of the server."""
  return flower.server_app(lead)


def values(config: Any, out: str) -> dict[str, Any]:
  """Returns the values of a run for the nodes of a configuration.

  Args:
    config: see `federated_defaults`. Its data are read, for the shape of images
      and the number of nodes.
    out: folder at the server for what it writes.

  Raises:
    ValueError: bad settings or data, or several seeds; one line.
  """
  federated_config.validate(config)
  if config.seeds != 1:
    raise ValueError(f'seeds {config.seeds}: real nodes learn one seed')
  problem = federated_data.load(config)
  return {
    node_settings.CONFIG: node_settings.dumps(config),
    node_settings.OUT: out,
    node_settings.COUNT: len(problem.train.samples),
    node_settings.IMAGE_SHAPE: node_settings.shown(
      problem.train.images.shape[1:]
    ),
    node_settings.CLASSES: problem.classes,
    node_settings.TIMEOUT: 600.0,
    node_settings.WAIT: 120.0,
    node_settings.CLIP: 0.0,
    node_settings.NOISE: 0.0,
  }


def _read(run: Values) -> tuple[Any, settings.Config, classifier.Spec]:
  """Returns configuration, settings of learning, and network of a run."""
  config = node_settings.config(run, federated_defaults.get_config())
  learning = federated_config.validate(config)
  spec = federated_config.spec(
    config, node_settings.image_shape(run), run[node_settings.CLASSES]
  )
  return config, learning, spec


def make(run: Values, node: Values) -> Mapping[str, exchange.Handler]:
  """Returns what a node does for each kind of message.

  Args:
    run: values of the run, see `values`.
    node: values of the node. `data` is a folder or file of its own labelled
      images. Without it the node takes part number `partition-id` of the data
      of the run.

  Raises:
    ValueError: bad settings or data; one line.
  """
  config, learning, spec = _read(run)
  count = run[node_settings.COUNT]
  position = node_settings.position(node, count)
  shape = tasks.Shape(
    config.ways, config.shots, config.queries,
    relabelled=config.partition == 'alphabets',
  )  # fmt: skip
  data = node_settings.own(node, config.data_dir, spec.image_shape)
  if data is not None:
    if data.labels is None:
      raise ValueError(
        f'{node[node_settings.DATA]}: there are no labels; give it one '
        'sub-folder a class'
      )
    seed = None
    if config.permute:
      # An order of its own for each node, the same for every message.
      own = files.digest([data.images.tobytes(), data.labels.tobytes()])
      seed = 3 * config.seed + int(own[:12], 16)
    elif not shape.relabelled:
      user_data.check_numbered(node[node_settings.DATA])
    mine = tasks.nodes(
      data.images, [tasks.by_class(data.labels)], shape, permute=seed
    )
  else:
    problem = federated_data.load(config)
    mine = node_lib.only(problem.train, position)
  learn.checked(spec, mine, shape, 'images of the node')
  return node_lib.handlers(
    spec, learning, shape, mine, position=position,
    clip=float(run[node_settings.CLIP]), count=config.tasks,
  )  # fmt: skip


def lead(channel: exchange.Channel, run: Values) -> None:
  """Leads a whole run, and writes what comes of it.

  The folder `out` gets `meta.safetensors` after each round, and at the end
  `summary.json` with the rounds, the scores and the refused answers.

  Args:
    channel: how nodes are reached.
    run: values of the run, see `values`.

  Raises:
    ValueError: bad settings, or no answer of a node can be used; one line.
  """
  config, learning, spec = _read(run)
  out = files.check_writable(run[node_settings.OUT])
  path = os.path.join(out, 'meta.safetensors')
  fixed = not (config.partition == 'alphabets' or config.permute)

  def keep(params: Any) -> None:
    meta = learn.Meta.learned(spec, params, learning, fixed)
    classifier_files.save(path, meta)

  found = server_lib.serve(
    channel, spec, learning, keys.of_seeds(config.seed, 1)[0],
    count=run[node_settings.COUNT],
    timeout=float(run[node_settings.TIMEOUT]),
    wait=float(run[node_settings.WAIT]),
    privacy=privacy.Privacy(
      float(run[node_settings.CLIP]), float(run[node_settings.NOISE])
    ),
    keep=keep,
  )  # fmt: skip
  files.write_json(
    out / 'summary.json',
    {
      'meta': path,
      'rounds': found.history,
      'scores': found.scores,
      'refused': found.refused,
    },
  )
  logging.info('wrote %s', path)
