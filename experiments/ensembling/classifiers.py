"""Trains several weak classifiers as one program.

Shapes: M models, N images, H, W, C image, L classes.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.networks import classifier
from coalesce_jax.training import loop
from coalesce_jax.training import optimizers
from coalesce_jax.training import schedules
from coalesce_jax.training import task

_CHUNK = 10


class State(NamedTuple):
  """The state of one model."""

  step: jax.Array
  params: Any
  moments: Any


@functools.lru_cache(maxsize=8)
def _task(
  shape: tuple[int, ...], classes: int, width: int, batch: int, rate: float
) -> tuple[task.Task, classifier.FeatureNetwork]:
  network = classifier.make((shape[0], shape[1], shape[2]), classes, 64, width)
  adam = optimizers.adam(rate, 0.9, 0.999)

  def init(key: types.PRNGKey) -> State:
    params = network.init(key)
    return State(jnp.int32(0), params, adam.init(params))

  def loss(params, images, labels):
    _, logits = network.apply(params, pixels.decode(images))
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return each.mean()

  def step(state, inputs, key):
    key = jax.random.fold_in(key, state.step)
    images, labels = inputs
    rows = jax.random.randint(key, (batch,), 0, len(labels))
    value, gradient = jax.value_and_grad(loss)(
      state.params, images[rows], labels[rows]
    )
    updates, moments = adam.update(gradient, state.moments)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, moments), {'loss': value}

  return task.Task(init, step, lambda state: state.params), network


def chosen(
  rng: np.random.Generator, labels: np.ndarray, config: Any
) -> np.ndarray:
  """Draws the training images of each model, with its own shares of classes.

  Args:
    rng: random numbers.
    labels: `[N]`; no class is empty.
    config: see `configs/default.py`.

  Returns:
    Numbers of images, `[M, images]`.
  """
  of_class = [np.flatnonzero(labels == k) for k in range(labels.max() + 1)]
  found = []
  for _ in range(config.models):
    shares = rng.dirichlet(np.full(len(of_class), config.concentration))
    kinds = rng.choice(len(of_class), config.images, p=shares)
    found.append([rng.choice(of_class[k]) for k in kinds])
  return np.array(found)


def train(
  key: types.PRNGKey,
  images: np.ndarray,
  labels: np.ndarray,
  classes: int,
  config: Any,
) -> Callable[[np.ndarray], np.ndarray]:
  """Trains M classifiers.

  Args:
    key: consumed.
    images: uint8 `[M, N, H, W, C]`.
    labels: `[M, N]`.
    classes: L.
    config: see `configs/default.py`.

  Returns:
    ``images [N, H, W, C] -> probabilities [M, N, L]``.
  """
  made, network = _task(
    images.shape[2:], classes, config.width, config.batch_size,
    config.learning_rate,
  )  # fmt: skip
  key_init, key_run = jax.random.split(key)
  state = jax.vmap(made.init)(jax.random.split(key_init, len(images)))
  inputs = jnp.asarray(images), jnp.asarray(labels)
  schedule = schedules.Schedule(config.steps, min(_CHUNK, config.steps))
  keys = jax.random.split(key_run, len(images))
  params = loop.drive(made, state, inputs, keys, schedule).model

  @jax.jit
  def of_batch(images: jax.Array) -> jax.Array:
    apply = jax.vmap(network.apply, (0, None))
    return jax.nn.softmax(apply(params, pixels.decode(images))[1])

  def predict(images: np.ndarray) -> np.ndarray:
    return np.concatenate(
      [of_batch(images[i : i + 500]) for i in range(0, len(images), 500)], 1
    )

  return predict
