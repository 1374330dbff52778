"""A proof of the seam: a classifier, four seeds, killed and resumed."""

import pathlib
import subprocess
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

from coalesce_jax.runs import checkpoints
from coalesce_jax.training import loop
from coalesce_jax.training import task

ADAM = optax.adam(1e-2)


class State(NamedTuple):
  step: jax.Array
  params: Any
  moments: Any


def init(key):
  params = {'w': jax.random.normal(key, (64, 10)) / 8, 'b': jnp.zeros(10)}
  return State(jnp.int32(0), params, ADAM.init(params))


def logits(params, x):
  return x @ params['w'] + params['b'][None]


def step(state, data, key):
  rows = jax.random.randint(jax.random.fold_in(key, state.step), (32,), 0, 1500)
  loss = lambda params: optax.softmax_cross_entropy_with_integer_labels(  # noqa: E731
    logits(params, data['x'][rows]), data['y'][rows]).mean()  # fmt: skip
  value, gradient = jax.value_and_grad(loss)(state.params)
  updates, moments = ADAM.update(gradient, state.moments)
  params = optax.apply_updates(state.params, updates)
  return State(state.step + 1, params, moments), {'loss': value}


def train(folder=None, pause=0.0):
  digits = datasets.load_digits()
  data = {'x': jnp.float32(digits.data / 16), 'y': jnp.asarray(digits.target)}
  data = jax.tree.map(lambda a: jnp.broadcast_to(a, (4, *a.shape)), data)
  keys, hooks = jax.random.split(jax.random.key(0), 4), loop.Hooks()
  if folder:
    kept = checkpoints.open(folder, config_hash='a')
    hooks = loop.Hooks(restore=kept.restore, save=kept.save,
                       log=lambda step, row: time.sleep(pause))  # fmt: skip
  return digits, loop.drive(
    task.Task(init, step, lambda state: state.params), jax.vmap(init)(keys),
    data, keys, loop.Schedule(300, 50, save_seconds=0.0), hooks)  # fmt: skip


def test_four_classifiers_learn_and_resume_to_the_same_bits(tmp_path):
  child = subprocess.Popen([sys.executable, __file__, str(tmp_path / 'kept')])
  while not list(tmp_path.glob('kept/*/manifest.json')):
    assert child.poll() is None
    time.sleep(0.05)
  child.kill()
  assert child.wait() != 0
  (digits, whole), (_, resumed) = train(), train(tmp_path / 'kept')
  for a, b in zip(
    *map(jax.tree.leaves, (whole.state, resumed.state)), strict=True
  ):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
  assert len(resumed.history['step']) < len(whole.history['step']) == 6
  for s in range(4):
    params = jax.tree.map(lambda leaf, s=s: leaf[s], whole.model)
    guess = logits(params, digits.data[1500:] / 16).argmax(-1)
    assert np.mean(guess == digits.target[1500:]) > 0.85


if __name__ == '__main__':
  train(pathlib.Path(sys.argv[1]), pause=0.5)
