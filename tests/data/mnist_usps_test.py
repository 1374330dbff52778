"""USPS as text, and both domains."""

import gzip

import numpy as np
import pytest

from coalesce_jax.data import datasets
from coalesce_jax.data import mnist_usps
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs


def write(path, rows):
  text = '\n'.join(' '.join(f'{v:.3f}' for v in row) for row in rows)
  path.write_bytes(gzip.compress(text.encode()))


def rows(count, value=1.0):
  return [[k % 10] + [-1.0] * 255 + [value] for k in range(count)]


def test_digits_are_white_on_black_with_their_class(tmp_path):
  write(tmp_path / 'a.gz', rows(12))
  images, classes = mnist_usps.read(tmp_path / 'a.gz')
  assert images.shape == (12, 16, 16, 1) and images.dtype == np.uint8
  assert images[3, 15, 15, 0] == 255 and images[3].sum() == 255
  assert classes.tolist() == [*range(10), 0, 1]


@pytest.mark.parametrize(
  'content,match',
  [
    (b'not gzip', 'damaged'),
    (gzip.compress(b'1 2 3'), 'not lines of 257 numbers'),
    (gzip.compress(b'a b'), 'not lines of 257 numbers'),
    (gzip.compress(b''), 'not lines of 257 numbers'),
    (gzip.compress(b'nan ' * 257), 'not lines of 257 numbers'),
    (gzip.compress(b'2 ' * 257), r'numbers in \[-1, 1\]'),
    (gzip.compress(b'0.5 ' * 257), 'class 0 to 9'),
    (gzip.compress(b' ' * (1 + (1 << 25))), 'more than'),
  ],
  ids=[
    'not gzip', 'few', 'letters', 'empty', 'not numbers', 'too large',
    'no class', 'bomb',
  ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content, match):
  (tmp_path / 'a.gz').write_bytes(content)
  with pytest.raises(ValueError, match=match):
    mnist_usps.read(tmp_path / 'a.gz')


def test_missing_files_are_named_with_advice(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.delenv('COALESCE_DATA', raising=False)
  with pytest.raises(ValueError, match=r'zip\.train\.gz .*--data_dir'):
    pairs.load('mnist_usps')


def test_both_domains_are_resized_and_keep_their_classes(tmp_path, monkeypatch):
  (tmp_path / 'usps').mkdir()
  for k, file in enumerate(mnist_usps.FILES.values()):
    write(tmp_path / 'usps' / file, rows(6 + k))
  digits = datasets.load('digits', 'train')
  digits = digits._replace(images=digits.images[:9], labels=digits.labels[:9])
  monkeypatch.setattr(datasets, 'load', lambda *_: digits)
  settings = pair_settings.Settings(load_size=20, crop_size=16)
  train, held = pairs.load('mnist_usps', settings, str(tmp_path))
  assert train.condition.shape == (9, 20, 20, 3)
  assert train.target.shape == (6, 20, 20, 3) and not train.paired
  assert held.target.shape == (7, 16, 16, 3) and not held.paired
  assert train.labels[1].tolist() == [0, 1, 2, 3, 4, 5]
  assert len(train.labels[0]) == 9
