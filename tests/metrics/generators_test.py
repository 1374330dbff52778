"""Scores of generators against Gaussians in the plain pixels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from coalesce_jax.core import types
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import features
from coalesce_jax.metrics import generators
from coalesce_jax.models import generator as generator_lib

SHAPE = (8, 8, 1)
# Images of a few values; the features are those, the logits two of them.
GAUSSIAN = types.Network(
  lambda key: {},
  lambda params, z: jnp.tile(
    jnp.tanh(params['scale'] * z)[:, :, None, None], (1, 4, 8, 1)
  ),
)
PIXELS = features.Features(
  'pixels',
  lambda params, x: (x[:, :2, 0, 0], x[:, :2, 0, 0]),
  {},
  SHAPE,
  2,
  float('nan'),
)
SPEC = generator_lib.Spec('mlp', 2, SHAPE)


def made(scale, **provenance):
  spec = dataclasses.replace(SPEC, provenance=provenance)
  params = {'scale': jnp.asarray(scale, jnp.float32)}
  return generator_lib.Generator(GAUSSIAN, params, spec)


def real_images(n=40, seed=0):
  z = np.random.default_rng(seed).normal(size=(n, 2))
  return np.float32(np.tile(np.tanh(z)[:, :, None, None], (1, 4, 8, 1)))


def distance(x, y):
  """The squared distance of Gaussian fits, by a matrix square root."""
  x, y = (np.asarray(images, np.float64)[:, :2, 0, 0] for images in (x, y))
  one, other = np.cov(x.T), np.cov(y.T)
  root = linalg.sqrtm(one @ other).real
  gap = ((x.mean(0) - y.mean(0)) ** 2).sum()
  return gap + np.trace(one + other - 2.0 * root)


@pytest.mark.parametrize('samples,seed', [(None, 0), (30, 3)])
def test_scores_are_those_of_samples_of_the_seed(samples, seed):
  images, one = real_images(), made(0.5)
  found = generators.evaluate(
    one, images, features=PIXELS, samples=samples, seed=seed
  )
  fake = one.sample(jax.random.key(seed), samples or 40)
  assert found['frechet'] == pytest.approx(distance(fake, images), rel=1e-4)
  assert found['features'] == 'pixels'
  assert 'copied' not in found
  # The floor is of two halves, which the seed deals.
  order = np.random.default_rng(seed).permutation(40)
  floor = distance(images[order[:20]], images[order[20:]])
  assert found['real'] == pytest.approx(floor, rel=1e-4)


def test_images_trained_on_show_copies():
  one = made(1.0)
  local = np.asarray(one.sample(jax.random.key(0), 40))
  found = generators.evaluate(one, real_images(), features=PIXELS, local=local)
  assert found['copied'] == 1.0 and found['memorisation'] == 0.0


@pytest.mark.parametrize(
  'wanted,provenance,name',
  [
    (None, {}, 'random64'),
    (None, {'dataset': 'digits'}, 'digits64'),
    # Its network takes larger images.
    (None, {'dataset': 'mnist'}, 'random64'),
    (None, {'dataset': 'own'}, 'random64'),
    ('digits', {}, 'digits64'),
    ('random', {'dataset': 'digits'}, 'random64'),
  ],
)
def test_features_are_those_of_the_data_unless_others_are_named(
  wanted, provenance, name
):
  found = generators.evaluate(
    made(1.0, **provenance), real_images(20), features=wanted
  )
  assert found['features'] == name


def test_uint8_and_lists_are_images_too():
  images = real_images(20)
  levels = np.uint8(np.round((images + 1.0) * 127.5))
  one, other = (
    generators.evaluate(made(0.5), given, features=PIXELS)['frechet']
    for given in (images.tolist(), levels)
  )
  assert one == pytest.approx(other, rel=0.05)


@pytest.mark.parametrize(
  'images,message',
  [
    (real_images(19), r'images \(19, 8, 8, 1\): at least 20 .* needed$'),
    (real_images(20)[..., 0], r'images \(20, 8, 8\): at least 20'),
    (
      np.zeros((20, 8, 9, 1)),
      r'images are \(8, 9, 1\), the generator makes \(8, 8, 1\)',
    ),
  ],
)
def test_bad_images_are_refused(images, message):
  with pytest.raises(ValueError, match=message):
    generators.evaluate(made(1.0), images, features=PIXELS)


@pytest.mark.parametrize(
  'images,local,message',
  [
    (real_images() / 2 + 0.5, None, r'images: .*pass images \* 2 - 1'),
    (real_images(), real_images() * 127.5 + 127.5, 'local images: .*from'),
    (np.full((20, *SHAPE), np.nan), None, '1280 NaN'),
    (real_images(), real_images()[:, :4], r'local images are \(4, 8, 1\)'),
    (real_images(), real_images()[:0], 'local images: there are none'),
    ('DIR', None, 'images: a path'),
    (real_images()[..., 0].swapaxes(1, 2), None, r'images\[..., None\]'),
  ],
)
def test_unclear_values_are_refused(images, local, message):
  with pytest.raises(ValueError, match=message):
    generators.evaluate(made(1.0), images, features=PIXELS, local=local)


def test_a_generator_of_vectors_is_refused():
  spec = dataclasses.replace(SPEC, image_shape=(2,))
  with pytest.raises(ValueError, match=r'makes vectors \(2,\), not images'):
    generators.evaluate(made(1.0)._replace(spec=spec), real_images())


def test_replicas_are_scored_one_by_one():
  images = real_images()
  real = evaluate.reference(PIXELS, images)
  replicas, alone = made([0.5, 2.0]), [made(0.5), made(2.0)]
  keys = [jax.random.key(5), jax.random.key(6)]
  found = generators.frechet(replicas, real, 30, keys)
  for value, one, key in zip(found, alone, keys, strict=True):
    expected = distance(one.sample(key, 30), images)
    assert value == pytest.approx(expected, rel=1e-4)
  # Of all measures the samples are those of one key a replica, and the local
  # images of each are its own.
  drawn = [
    np.asarray(one.sample(jax.random.key(10_000 + s), 30))
    for s, one in enumerate(alone)
  ]
  scores = generators.scores(replicas, real, 30, [drawn[0], images[:20]])
  assert scores['frechet'] == pytest.approx(
    [distance(fake, images) for fake in drawn], rel=1e-4
  )
  assert scores['copied'][0] == 1.0 and scores['copied'][1] < 1.0
  plain = generators.scores(replicas, real, 30)
  assert 'copied' not in plain and 'copied' in scores
  assert plain['frechet'] == scores['frechet'] and len(plain['kid']) == 2


@pytest.mark.parametrize('samples', [0, -1, 5, 2.5, True, 10**9])
def test_numbers_of_samples_are_checked_before_anything_is_drawn(samples):
  with pytest.raises(ValueError, match=f'samples={samples} is not a number'):
    generators.evaluate(None, real_images(), samples=samples)


def test_samples_that_are_not_finite_are_refused():
  one = made(0.5)
  params = jax.tree.map(lambda leaf: leaf * np.nan, one.params)
  with pytest.raises(ValueError, match='^generator: 40 of 40 samples are not'):
    generators.evaluate(
      one._replace(params=params), real_images(), features=PIXELS
    )
