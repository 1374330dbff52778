"""Samples of callers: what is an array, and what is told to be passed."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import images
from coalesce_jax.data import samples

SHAPE = (8, 8, 1)
LEVELS = np.random.default_rng(0).integers(0, 256, (9, *SHAPE), dtype=np.uint8)
SIGNED = np.float32(LEVELS / 127.5 - 1.0)


def passed(given, shape=SHAPE):
  return samples.checked(samples.array(given, shape), shape)


class Tensor:
  """A tensor of another library that NumPy can read, or not."""

  def __init__(self, values, error=None):
    self.values, self.error, self.shape = values, error, values.shape

  def __array__(self, dtype=None, copy=None):
    if self.error:
      raise self.error
    return self.values


@pytest.mark.parametrize('given', [LEVELS, SIGNED, jnp.asarray(SIGNED)])
def test_good_arrays_are_passed_on_as_they_are(given):
  assert passed(given) is given


@pytest.mark.parametrize(
  'given', [list(SIGNED), SIGNED.tolist(), Tensor(SIGNED), tuple(SIGNED)]
)
def test_lists_and_tensors_become_one_array(given):
  np.testing.assert_allclose(passed(given), SIGNED, atol=1e-7)


def test_booleans_are_black_and_white_images_and_numbers_of_vectors():
  given = SIGNED > 0
  np.testing.assert_array_equal(passed(given), np.uint8(255) * given)
  vectors = passed(given[..., 0, 0], (8,))
  np.testing.assert_array_equal(vectors, np.float32(given[..., 0, 0]))


def test_pictures_are_converted_like_files(tmp_path):
  rng = np.random.default_rng(1)
  pictures = []
  for i, size in enumerate([(20, 30, 4), (8, 8), (40, 9, 3)]):
    picture = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
    picture.save(tmp_path / f'{i}.png')
    pictures.append(picture)
  np.testing.assert_array_equal(
    passed(pictures), images.load(tmp_path, SHAPE).images
  )


def test_vectors_may_have_any_finite_numbers():
  vectors = np.array([[0.0, 300.0], [0.5, 0.7]], np.float32)
  assert passed(vectors, (2,)) is vectors
  whole = passed(np.array([[0, 300], [-4, 7]]), (2,))
  assert whole.dtype == np.float32 and whole.tolist() == [[0, 300], [-4, 7]]
  half = passed(jnp.asarray(vectors, jnp.bfloat16), (2,))
  assert half.dtype == np.float32
  with pytest.raises(ValueError, match='1 NaN and 0 infinite.*row 1'):
    passed(np.array([[0.0, 1.0], [np.nan, 1.0]]), (2,))


def test_traced_values_are_not_looked_at():
  shapes = []

  @jax.jit
  def run(x):
    y = passed(x)
    shapes.append(y is x)
    return y.sum()

  run(jnp.full((9, *SHAPE), 0.5))
  jax.vmap(lambda x: passed(x).sum())(jnp.full((2, 9, *SHAPE), 0.5))
  assert shapes == [True]


@pytest.mark.parametrize(
  ('given', 'match'),
  [
    (SIGNED / 2 + 0.5, r'float32 from 0 to 1, which is \[0, 1\].*\* 2 - 1'),
    (SIGNED / 4 + 0.75, 'too few are dark'),
    (np.float32(LEVELS), "from 0 to 255.*astype"),
    (LEVELS.astype(np.int64), "int64 from 0 to 255.*astype"),
    (LEVELS.astype(object), 'values are object, not numbers'),
    (np.where(LEVELS == LEVELS[3], np.nan, SIGNED), 'NaN and 0 infinite'),
    (iter(LEVELS), 'iterator, not an array; pass an array .N, 8, 8, 1'),
    (None, 'NoneType, not an array'),
    ({'x': LEVELS}, 'dict, not an array'),
    ([{'x': 1}], 'list, not an array'),
    (3.0, 'float, not an array'),
    ('DIR', r"a path.*data.images.load\('DIR', \(8, 8, 1\)\).images$"),
    (pathlib.Path('DIR'), r"a path.*load\('DIR'"),
    (images.Images(LEVELS, None), r'Images, not an array; pass its .images'),
    (Image.new('L', (8, 8)), 'one picture; pass a list'),
    ([LEVELS[0], LEVELS[1, :7]], r'different shapes, .*\(7, 8, 1\).*pass one'),
    ([[1, 2], [3]], 'list is no array'),
    (Tensor(SIGNED, TypeError('use cpu()\nfirst')), r'Tensor.*\(use cpu\(\)\)'),
    (Tensor(SIGNED, RuntimeError()), r'\(RuntimeError\); pass a NumPy array'),
  ],
)  # fmt: skip
def test_what_is_unclear_is_refused_with_what_to_pass(given, match):
  with pytest.raises(ValueError, match=f'^images: .*{match}') as caught:
    passed(given)
  assert '\n' not in str(caught.value)


def test_pictures_are_no_vectors():
  with pytest.raises(ValueError, match='pass an array .N, 2. of'):
    passed([Image.new('L', (1, 2))], (2,))


@pytest.mark.parametrize(
  ('shape', 'wanted', 'change'),
  [
    ((9, 3, 8, 8), (8, 8, 3), lambda x: np.moveaxis(x, -3, -1)),
    ((9, 8, 7), (8, 7, 1), lambda x: x[..., None]),
    ((9, 8, 7, 3), (8, 7, 1), lambda x: x.mean(-1, keepdims=True)),
    ((9, 8, 7, 1), (8, 7, 3), lambda x: x.repeat(3, -1)),
  ],
)
def test_the_advice_leads_to_the_wanted_shape(shape, wanted, change):
  assert samples.advice(shape[1:], wanted)
  assert change(np.zeros(shape)).shape == (9, *wanted)


def test_there_is_advice_only_where_one_is_known():
  assert 'channels are first' in samples.advice((3, 8, 8), (8, 8, 3))
  assert 'PATH, (8, 8, 1)' in samples.advice((9, 9, 4), (8, 8, 1))
  assert samples.advice((5,), (8, 8, 1)) == ''
  assert samples.advice((3,), (2,)) == ''


def test_whole_numbers_of_vectors_are_their_values():
  for dtype in (np.uint8, np.int8, np.int64, np.uint16):
    found = passed(np.array([[0, 100], [7, 90]], dtype), (2,))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[0, 100], [7, 90]])


@pytest.mark.parametrize(
  'given,message',
  [
    (np.full((3, 2), -1e39), 'too large for float32'),
    (np.ma.masked_array(np.ones((1, 2)), [[True, False]]), 'masked'),
  ],
)
def test_vectors_that_would_change_are_refused(given, message):
  with pytest.raises(ValueError, match=f'^images: .*{message}'):
    passed(given, (2,))


@pytest.mark.parametrize('dtype', ['>f4', '>f8', '>f2', np.longdouble])
def test_floats_that_jax_misreads_are_converted(dtype):
  for given, shape in ((SIGNED, SHAPE), (SIGNED[..., 0, 0], (8,))):
    found = jnp.asarray(passed(given.astype(dtype), shape))
    np.testing.assert_allclose(found, given, atol=1e-3)


def test_samples_of_the_right_shape_need_no_advice():
  assert not samples.advice((8, 8, 1), (8, 8, 1))
  assert not samples.advice((8, 8, 3), (8, 8, 3))
