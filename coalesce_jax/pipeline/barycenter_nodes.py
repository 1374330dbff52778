"""Coalescence over real nodes, from the values of a Flower run.

Every node trains a generator and a critic on its own images and sends them as a
bundle, never an image. The server computes the barycenter of the bundles and
returns it. What arrives is untrusted: its size is bounded before it is kept,
and the bundle reader checks the rest.

Shapes: K nodes.
"""

from collections.abc import Mapping
import functools
import os
import pathlib
import tempfile
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.federated import exchange
from coalesce_jax.federated import flower
from coalesce_jax.federated import members as members_lib
from coalesce_jax.federated import node as node_lib
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import pretraining
from coalesce_jax.models import bundle
from coalesce_jax.models import checks
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import node_settings
from coalesce_jax.pipeline import stages

# Name of the only array of a message.
_BUNDLE = 'bundle'
# Bytes of a bundle, at most, beside those of its parameters.
_MARGIN = 1 << 20
Values = Mapping[str, Any]
Content = exchange.Content


def client() -> Any:
  """Returns Flower's app of a node."""
  return flower.client_app(make)


def server() -> Any:
  """Returns Flower's app of the server."""
  return flower.server_app(lead)


def values(config: Any, out: str) -> dict[str, Any]:
  """Returns the values of a run for the nodes of a configuration.

  Args:
    config: see `pipeline.defaults`. Its data are read, for the shape of images.
    out: folder at the server for what it writes.

  Raises:
    ValueError: bad settings or data, or several seeds; one line.
  """
  config_lib.validate(config)
  if config.seeds != 1:
    raise ValueError(f'seeds {config.seeds}: real nodes learn one seed')
  data = datasets.load(config.dataset, 'train', config.data_dir or None)
  split = partition.parse(config.split, data.classes)
  shape = data.images.shape[1:]
  config_lib.spec(config, shape)
  return {
    node_settings.CONFIG: node_settings.dumps(config),
    node_settings.OUT: out,
    node_settings.COUNT: len(split.nodes),
    node_settings.IMAGE_SHAPE: node_settings.shown(shape),
    node_settings.TIMEOUT: 3600.0,
    node_settings.WAIT: 120.0,
  }


def _read(run: Values) -> tuple[Any, generator.Spec]:
  """Returns the configuration and the architecture of a run."""
  config = node_settings.config(run, defaults.get_config())
  config_lib.validate(config)
  return config, config_lib.spec(config, node_settings.image_shape(run))


def make(run: Values, node: Values) -> Mapping[str, exchange.Handler]:
  """Returns what a node does for each kind of message.

  * 'query' says which node this is.
  * 'train' trains a generator on the images of the node, and sends it.
  * 'evaluate' takes the barycenter, and keeps it in the file `out` of the node.

  Args:
    run: values of the run, see `values`.
    node: values of the node. `data` is a folder or file of its own images.
      Without it the node takes part number `partition-id` of the data of the
      run.

  Raises:
    ValueError: bad settings or data; one line.
  """
  config, spec = _read(run)
  position = node_settings.position(node, run[node_settings.COUNT])
  images = _images(config, spec, node, position)
  examples = {exchange.EXAMPLES: len(images)}

  def query(given: Content) -> Content:
    del given
    return Content({}, {node_lib.POSITION: position, **examples})

  def train(given: Content) -> Content:
    key = jax.random.wrap_key_data(
      jnp.asarray(given.values[node_lib.KEY], jnp.uint32)
    )
    ((made,), _) = pretraining.pretrain(
      key, [images], spec, config=config_lib.pretrain(config)
    )
    data = exchange.file_block(bundle.encode(made))
    return Content({_BUNDLE: data}, examples)

  def evaluate(given: Content) -> Content:
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'meta.safetensors'
      made = received(given, spec, path, 'the barycenter')
    if node.get(node_settings.KEEP):
      bundle.save(node[node_settings.KEEP], made)
    return Content({}, examples)

  return {'query': query, 'train': train, 'evaluate': evaluate}


def _images(
  config: Any, spec: generator.Spec, node: Values, position: int
) -> np.ndarray:
  own = node_settings.own(node, config.data_dir, spec.image_shape)
  if own is not None:
    return own.images
  data = datasets.load(config.dataset, 'train', config.data_dir or None)
  if data.labels is None:
    raise ValueError(f'{config.dataset}: there are no labels to split it by')
  split = partition.parse(config.split, data.classes)
  rows = partition.indices(data.labels, split.nodes[position])
  return data.images[rows]


def received(
  content: Content, spec: generator.Spec, path: pathlib.Path, name: str
) -> generator.Generator:
  """Returns the generator of an untrusted message, which is kept in a file.

  Args:
    content: untrusted.
    spec: the architecture that it must have.
    path: file that keeps its bundle. A refused one is removed.
    name: name of the sender, for messages.

  Raises:
    ValueError: the message carries anything but one bundle of this architecture
      within the bounds of `models.bundle`, or its samples are unusable; one
      line.
  """
  data = exchange.file_bytes(content.arrays, _BUNDLE, _most(spec))
  files.write_bytes(path, data)
  try:
    made = bundle.load(path)
    if not isinstance(made, generator.Generator):
      raise ValueError(f'{name}: no generator')
    checks.same_architecture(
      [generator.Generator(spec.build(), made.params, spec, None), made],
      ['the run', name],
    )
    return checks.usable(made, name)
  except ValueError:
    path.unlink()
    raise


def _most(spec: generator.Spec) -> int:
  """Returns the bytes that a bundle of this architecture has at most."""
  shapes = [
    jax.eval_shape(network.init, jax.random.key(0))
    for network in (spec.build(), spec.build_critic())
  ]
  count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
  return 4 * count + _MARGIN


def lead(channel: exchange.Channel, run: Values) -> None:
  """Leads a whole run, and writes what comes of it.

  The folder `out` gets the bundles `node_0.safetensors` ... that nodes sent,
  their barycenter `meta.safetensors`, and `summary.json`.

  Args:
    channel: how nodes are reached.
    run: values of the run, see `values`.

  Raises:
    ValueError: bad settings, or the bundles of fewer than two nodes can be
      used; one line.
  """
  config, spec = _read(run)
  out = files.check_writable(run[node_settings.OUT])
  count, timeout = run[node_settings.COUNT], float(run[node_settings.TIMEOUT])
  lines: list[str] = []
  refuse = members_lib.noted(lines)
  members_lib.wait(channel, count, float(run[node_settings.WAIT]))
  known = members_lib.update(
    channel, members_lib.Members(), count, timeout, refuse
  )
  ask = functools.partial(members_lib.ask, channel)
  key = keys.of_stage(config.seed, 1, stages.TABLE['pretrain'].number or 0)[0]
  found = ask(
    known, 'train',
    {
      k: Content({}, {node_lib.KEY: _numbers(jax.random.fold_in(key, k))})
      for k in known.places
    },
    timeout, lambda content: content, refuse,
  )  # fmt: skip
  made: dict[int, generator.Generator] = {}
  for k, content in found.items():
    path = out / f'node_{k}.safetensors'
    try:
      made[k] = received(content, spec, path, f'node {k}')
    except ValueError as error:
      refuse(f'node {k}', error)
  if len(made) < 2:
    raise ValueError(
      f'bundles of {len(made)} nodes can be used, a barycenter needs two'
      + (f'; the last refused: {lines[-1]}' if lines else '')
    )
  part = config.barycenter
  meta, _ = barycenter_lib.barycenter(
    keys.of_stage(config.seed, 1, stages.TABLE['barycenter'].number or 0)[0],
    list(made.values()), config=config_lib.barycenter(config),
    method=part.method, objective=part.objective or None,
  )  # fmt: skip
  to = os.path.join(out, 'meta.safetensors')
  bundle.save(to, meta)
  known = members_lib.update(channel, known, count, timeout, refuse)
  sent = Content({_BUNDLE: exchange.file_block(bundle.encode(meta))}, {})
  took = ask(
    known, 'evaluate', dict.fromkeys(known.places, sent), timeout,
    lambda content: None, refuse,
  )  # fmt: skip
  files.write_json(
    out / 'summary.json',
    {
      'meta': to,
      'nodes': list(made),
      'returned_to': list(took),
      'refused': lines,
    },
  )
  logging.info('wrote %s', to)


def _numbers(key: jax.Array) -> list[int]:
  return np.asarray(jax.random.key_data(key)).tolist()
