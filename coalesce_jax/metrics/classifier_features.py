"""Trains, stores and reads small classifiers as feature networks.

Shapes: N images, H, W, C image, M classes.
"""

from collections.abc import Callable
import functools
import io
import pathlib
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np
import optax

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import augmentation
from coalesce_jax.data import pixels
from coalesce_jax.data import samples
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.networks import classifier
from coalesce_jax.training import loop
from coalesce_jax.training import task as task_lib


def random(
  image_shape: tuple[int, ...], seed: int = 0
) -> features_lib.Features:
  """Makes a network of random weights, for data without labels.

  Random convolutional features can rank the generators of one data set. They
  are not comparable between data sets.

  Args:
    image_shape: (H, W, C).
    seed: seed of the weights.
  """
  network = _network(tuple(image_shape), 1, 64)
  params = network.init(jax.random.key(seed))
  return features_lib.Features(
    'random64', network.apply, params, tuple(image_shape), 0, float('nan')
  )


def fit(
  images: np.ndarray,
  labels: np.ndarray,
  *,
  name: str,
  seed: int = 0,
  epochs: int = 8,
  width: int = 16,
  batch: int = 128,
  learning_rate: float = 2e-3,
  shift: bool = False,
  flip: bool = False,
  hooks: loop.Hooks | None = None,
) -> features_lib.Features:
  """Trains a classifier on labelled images.

  Args:
    images: `[N, H, W, C]`, uint8 or in [-1, 1].
    labels: int32 `[N]`, 0 to M - 1.
    name: name of the network.
    seed: seed of the initial weights and of the order of images.
    epochs: passes over the data.
    width: channels of the first convolution.
    batch: images per step.
    learning_rate: initial learning rate of AdamW, with cosine decay.
    shift: whether to augment by small translations.
    flip: whether to augment by mirror images.
    hooks: effects of the loop.

  Raises:
    ValueError: the values of the images are ambiguous or not finite.
    Interrupted: `hooks.stop` returned True.
  """
  images = samples.checked(images, tuple(images.shape[1:]), 'images')
  shape, classes = tuple(images.shape[1:]), int(labels.max()) + 1
  network = _network(shape, classes, 64, width)
  steps = max(1, len(images) * epochs // batch)
  kinds = ','.join(
    k for k, on in (('translation', shift), ('flip', flip)) if on
  )
  learned = _task(
    network, augmentation.build(kinds), batch,
    optax.adamw(
      optax.cosine_decay_schedule(learning_rate, steps), weight_decay=1e-4
    ),
  )  # fmt: skip
  key_init, key_run = jax.random.split(jax.random.key(seed))
  result = loop.drive(
    learned, learned.init(key_init), (jnp.asarray(images), jnp.asarray(labels)),
    key_run, loop.Schedule(steps, loop.chunk_of(steps, 200)), hooks,
  )  # fmt: skip
  return features_lib.Features(
    name, network.apply, result.model, shape, classes, float('nan')
  )


class _State(NamedTuple):
  step: jax.Array
  params: types.Params
  optimizer: Any


def _task(
  network: classifier.FeatureNetwork,
  augment: Callable[[Any, Any], Any] | None,
  batch: int,
  optimizer: optax.GradientTransformation,
) -> task_lib.Task:
  """Makes the task of a classifier; its inputs are images and labels."""

  def init(key: types.PRNGKey) -> _State:
    params = network.init(key)
    return _State(jnp.int32(0), params, optimizer.init(params))

  def loss(params: types.Params, x: Any, y: Any) -> jax.Array:
    _, logits = network.apply(params, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

  def step(
    state: _State, inputs: tuple[Any, Any], key: types.PRNGKey
  ) -> tuple[_State, types.Metrics]:
    images, labels = inputs
    key = jax.random.fold_in(key, state.step)
    rows = jax.random.randint(key, (batch,), 0, images.shape[0])
    x = pixels.decode(images[rows])
    x = x if augment is None else augment(key, x)
    value, gradients = jax.value_and_grad(loss)(state.params, x, labels[rows])
    updates, made = optimizer.update(gradients, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    return _State(state.step + 1, params, made), {'loss': value}

  return task_lib.Task(init, step, lambda state: state.params)


def cached(
  images: np.ndarray,
  labels: np.ndarray | None,
  folder: pathlib.Path,
  hooks: loop.Hooks | None = None,
) -> features_lib.Features:
  """Returns a network for a user's own data, and trains it at most once.

  Args:
    images: uint8 `[N, H, W, C]`.
    labels: int32 `[N]`. With None, or with one class only, the features are
      `random`.
    folder: the folder where trained networks are kept.
    hooks: effects of the loop that trains it.

  Raises:
    Interrupted: `hooks.stop` returned True; nothing is kept.
  """
  if labels is None or len(np.unique(labels)) < 2:
    return random(images.shape[1:])
  digest = files.digest([images.tobytes(), labels.tobytes()])[:16]
  path = folder / f'features-{digest}.npz'
  name = f'own64-{digest[:8]}'
  found = _kept(path, name)
  if found is not None:
    return found
  files.check_writable(folder)
  with locks.holding(folder / f'.{path.name}.lock', str(path), wait=True):
    # Another process may have trained it meanwhile.
    found = _kept(path, name)
    if found is not None:
      return found
    logging.info('training a feature network on %d images', len(images))
    epochs = max(8, 200_000 // len(images))
    network = fit(
      images, labels, name=name, epochs=min(epochs, 200), hooks=hooks
    )
    write(path, network)
  return network


def _kept(path: pathlib.Path, name: str) -> features_lib.Features | None:
  """Reads a network; None is a missing or damaged file."""
  if not path.is_file():
    return None
  try:
    return read(path, name)
  except ValueError as error:
    logging.warning('%s: training it again', error)
    return None


def write(path: pathlib.Path, features: features_lib.Features) -> None:
  """Writes a network to an .npz file, with weights in float16."""
  arrays: dict[str, Any] = {
    k: np.asarray(v, np.float16)
    for k, v in trees.flatten(features.params).items()
  }
  arrays['meta'] = np.array(
    [*features.image_shape, features.classes, features.accuracy], np.float32
  )
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **arrays)
  files.write_bytes(path, buffer.getvalue())


def read(path: pathlib.Path, name: str) -> features_lib.Features:
  """Reads a network that `write` stored, and never loads pickles.

  Raises:
    ValueError: the file is damaged; one line.
  """
  try:
    with open(path, 'rb') as file, np.load(file, allow_pickle=False) as stored:
      arrays = {k: np.asarray(stored[k], np.float32) for k in stored.files}
    *shape, classes, accuracy = arrays.pop('meta').tolist()
    image_shape = tuple(int(n) for n in shape)
    network = _network(
      image_shape,
      int(classes),
      arrays['features/bias'].shape[0],
      arrays['conv_0/bias'].shape[0],
    )
    wanted = trees.flatten(jax.eval_shape(network.init, jax.random.key(0)))
    if {k: v.shape for k, v in wanted.items()} != {
      k: v.shape for k, v in arrays.items()
    }:
      raise ValueError('not the arrays of a network')
    params = trees.unflatten(arrays)
  # On damaged bytes numpy and zipfile raise about ten types of errors.
  except Exception as error:
    text = str(error) or type(error).__name__
    raise ValueError(
      f'{path}: damaged ({text.splitlines()[0][:200]})'
    ) from None
  return features_lib.Features(
    name, network.apply, params, image_shape, int(classes), accuracy
  )


@functools.cache
def _network(shape, classes, features, width=16):
  return classifier.make(shape, classes, features, width)
