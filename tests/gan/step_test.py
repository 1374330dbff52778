"""A whole step of the game against the same mathematics in NumPy.

Generator and critics are linear and every source has one sample, so that all
expectations are known: what is left is the algorithm.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import game
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from tests import adam

Z = np.array([0.5, -2.0])
REAL = np.array([[3.0, 1.0], [-1.0, 2.0]])
HELD = np.array([[2.5, 1.5], [-1.5, 1.0]])
WEIGHTS, RADII = np.array([0.3, 0.7]), np.array([0.0, 1.5])
AIM, PULL = np.array([1.0, 1.0]), 0.2
SETTINGS = {
  'batch_size': 4, 'critic_steps': 2, 'penalty_weight': 3.0,
  'learning_rate': 0.1, 'critic_learning_rate': 0.2, 'beta1': 0.5,
  'beta2': 0.8, 'epsilon': 0.1, 'decay_steps': 10, 'ema': 0.5,
  'constant_steps': 1,
  'w1_smoothing': 0.9, 'ball_penalty': 2.0, 'ball_rate': 0.3,
}  # fmt: skip
WARMUP, RATE, CRITIC_RATE = 2, 0.7, 0.9


def reference(objective, steps, start, critics):
  """The states of all steps: generator, average, critics, distances."""
  s, theta, w = SETTINGS, start.copy(), critics.copy()
  ema, w1, multipliers = start.copy(), np.zeros(2), np.zeros(2)
  start_w1 = np.zeros(2)
  betas = s['beta1'], s['beta2']
  first = adam.Adam(
    s['learning_rate'], *betas, 10, s['epsilon'], theta.shape, constant=1
  )
  adams = [
    adam.Adam(s['critic_learning_rate'], *betas, 20, 1e-8, 2, constant=2)
    for _ in w
  ]
  found = []
  for t in range(1, steps + 1):
    fake = theta[0] * Z + theta[1]
    slopes = np.zeros(2)
    for _ in range(2):
      for k in range(2):
        slopes[k] = np.linalg.norm(w[k])
        excess = 2 * s['penalty_weight'] * (slopes[k] - 1) / slopes[k]
        gradient = excess * w[k] - (REAL[k] - fake)
        w[k] += CRITIC_RATE * adams[k].update(gradient)
    steep = np.maximum(slopes, 1.0)
    now = ((HELD - fake) * w).sum(1) / steep
    w1 = 0.9 * w1 + 0.1 * now
    distance = w1 / (1 - 0.9**t)
    c = {
      'w1': WEIGHTS,
      'w1_squared': 2 * WEIGHTS * np.maximum(distance, 0),
      'ball': np.array(
        [1.0, max(0.0, multipliers[1] + 2.0 * (distance - RADII)[1])]
      ),
    }[objective]
    by_fake = -((c / steep)[:, None] * w).sum(0) + PULL * (fake - AIM)
    step = first.update(np.array([by_fake * Z, by_fake]))
    theta = theta + (t > WARMUP) * RATE * step
    decay = min(0.5, (1 + t) / (10 + t))
    ema = decay * ema + (1 - decay) * theta
    if t <= WARMUP:
      start_w1 = distance
    elif objective == 'ball':
      excess = np.clip((distance - RADII)[1], -0.5, 0.5)
      multipliers[1] = max(0.0, multipliers[1] + 0.3 * excess)
    value = {
      'w1': (WEIGHTS * distance).sum(),
      'w1_squared': (WEIGHTS * distance**2).sum(),
      'ball': distance[0],
    }[objective]
    found.append(
      {
        'theta': theta, 'ema': ema, 'critics': w.copy(), 'w1': w1.copy(),
        'start_w1': start_w1.copy(), 'multipliers': multipliers.copy(),
        'now': now, 'distance': distance, 'c': c, 'slope': slopes,
        'penalty': (slopes - 1) ** 2, 'value': value,
      }
    )  # fmt: skip
  return found


def pull(params, batch, weight):
  del params
  return weight / 2.0 * jnp.mean(jnp.sum((batch.samples - AIM[None]) ** 2, -1))


def one(row):
  return sources.array(jnp.asarray(row, jnp.float32)[None])


@pytest.mark.parametrize('objective', ['w1', 'w1_squared', 'ball'])
def test_steps_are_those_of_the_equations(objective):
  task = game.make(
    game.Config(objective=objective, **SETTINGS),
    generator=types.Network(None, lambda p, z: p['a'][None] * z + p['b'][None]),
    critic=types.Network(None, lambda p, x: x @ p),
    terms=(terms.Term(pull, 'pull'),),
  ).task
  inputs = game.inputs(
    tuple(map(one, REAL)),
    prior=one(Z),
    held_out=tuple(map(one, HELD)),
    weights=WEIGHTS,
    radii=RADII,
    generator_rate=RATE,
    critic_rate=CRITIC_RATE,
    warmup=WARMUP,
    terms={'pull': jnp.float32(PULL)},
  )
  start = np.array([[1.0, 0.5], [0.2, -0.4]])
  critics = np.array([[0.9, 0.6], [0.3, -1.4]])
  key = jax.random.key(0)
  params = {'a': jnp.float32(start[0]), 'b': jnp.float32(start[1])}
  state = task.init(key, params, jnp.float32(critics), inputs)
  step = jax.jit(task.step)
  for t, wanted in enumerate(reference(objective, 6, start, critics), 1):
    state, metrics = step(state, inputs, key)
    assert int(state.step) == t
    model = task.model(state)
    found = {
      'theta': np.stack([state.generator['a'], state.generator['b']]),
      'ema': np.stack([model['a'], model['b']]),
      'critics': state.critics,
      'w1': state.w1,
      'start_w1': state.start_w1,
      'now': metrics['w1'],
      'distance': metrics['w1_smooth'],
      'c': metrics['coefficient'],
      'slope': metrics['slope'],
      'penalty': metrics['penalty'],
      'value': metrics['objective'],
    }
    if objective == 'ball':
      found['multipliers'] = state.objective
      np.testing.assert_array_equal(metrics['multiplier'], state.objective)
    for name, value in found.items():
      np.testing.assert_allclose(
        value, wanted[name], rtol=2e-3, atol=2e-4, err_msg=f'{name}, step {t}'
      )
    length = wanted['start_w1'].max()
    np.testing.assert_allclose(
      [metrics['distance'], metrics['residual']],
      [length, wanted['distance'].sum() - length], rtol=2e-3, atol=2e-3,
    )  # fmt: skip
    # A generator beyond an end counts as at the end.
    to_first, to_second = (max(d, 0.0) for d in wanted['distance'])
    ratio = to_first / (to_first + to_second)
    np.testing.assert_allclose(metrics['position'], ratio, rtol=5e-3)
  # The ball was left, the distances are not negligible.
  assert np.abs(wanted['distance']).max() > 0.1
