"""Data sets: known ones by their contents, users' own, splits."""

import sys
import types

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.core import user_cache
from coalesce_jax.data import datasets
from coalesce_jax.data import download
from coalesce_jax.data import shapes


def test_digits_split_is_stratified_and_complete():
  train, test = (datasets.load('digits', s) for s in datasets.SPLITS)
  assert len(train.images) + len(test.images) == 1797
  assert train.images.shape[1:] == (8, 8, 1)
  assert train.images.dtype == np.uint8 and train.images.max() == 255
  counts = np.bincount(test.labels)
  assert counts.min() >= 34 and counts.max() <= 37


@pytest.mark.parametrize('split', datasets.SPLITS)
@pytest.mark.parametrize('name', list(datasets.PACKAGES))
def test_known_data_are_what_was_published(name, split):
  """Shapes, classes, a first label known from elsewhere, and all pixels."""
  folder = user_cache.folder() / name
  if not all((folder / f).is_file() for f in datasets.PACKAGES[name].files):
    pytest.skip(f'{name} is not on this machine; `coalesce data` fetches it')
  data = datasets.load(name, split)
  assert data.images.shape[1:] == (
    (32, 32, 3) if name == 'cifar10' else (28, 28, 1)
  )
  assert data.images.dtype == np.uint8 and data.labels.dtype == np.int32
  assert datasets.contents(*data[1:3]) == datasets.CONTENTS[name, split]
  first = {'mnist': (5, 7), 'fashion_mnist': (9, 9), 'cifar10': (6, 3)}[name]
  assert data.labels[0] == first[datasets.SPLITS.index(split)]
  count = {'train': 50_000 if name == 'cifar10' else 60_000, 'test': 10_000}
  assert len(data.images) == count[split]
  if name != 'mnist':
    assert set(np.bincount(data.labels)) == {count[split] // 10}


def test_contents_do_not_depend_on_order_but_on_all_else():
  rng = np.random.default_rng(0)
  x = rng.integers(0, 256, (20, 3, 3, 1), dtype=np.uint8)
  y = rng.integers(0, 10, 20)
  order = rng.permutation(20)
  assert datasets.contents(x, y) == datasets.contents(x[order], y[order])
  assert datasets.contents(x, y) != datasets.contents(x, y[order])
  assert datasets.contents(x, y) != datasets.contents(x[:-1], y[:-1])


@pytest.fixture
def offline(monkeypatch, tmp_path):
  """Nothing found, nothing fetched."""
  monkeypatch.setattr(download, 'find', lambda name, data_dir: None)
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)


@pytest.mark.parametrize('name', list(datasets.PACKAGES))
def test_what_is_nowhere_says_what_to_do(offline, name):
  with pytest.raises(ValueError, match='not found; .*--data_dir') as caught:
    datasets.load(name, 'train')
  assert '\n' not in str(caught.value)


def fake_tfds(monkeypatch, images, labels):
  module = types.ModuleType('tensorflow_datasets')
  module.load = lambda name, split, batch_size: {
    'image': images, 'label': labels
  }  # fmt: skip
  module.as_numpy = lambda data: data
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', module)


def test_other_sources_are_taken_for_the_same_contents(offline, monkeypatch):
  x = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
  y = np.arange(5)
  monkeypatch.setitem(
    datasets.CONTENTS, ('mnist', 'train'), datasets.contents(x, y)
  )
  fake_tfds(monkeypatch, x[::-1], y[::-1])
  data = datasets.load('mnist', 'train')
  assert data.origin == 'TFDS' and data.labels.tolist() == [4, 3, 2, 1, 0]
  fake_tfds(monkeypatch, x[::-1], y)
  with pytest.raises(ValueError, match='other images or labels'):
    datasets.load('mnist', 'train')


def test_a_source_that_fails_is_none(offline, monkeypatch):
  fake_tfds(monkeypatch, None, None)
  monkeypatch.setattr(
    sys.modules['tensorflow_datasets'], 'load', lambda *a, **k: 1 / 0
  )
  with pytest.raises(ValueError, match='not found'):
    datasets.load('mnist', 'train')


def write_folder(folder, counts, start=0):
  for name, count in counts.items():
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
      image = Image.new('L', (8, 8), start + 10 * i)
      image.save(folder / name / f'{i}.png')


def test_a_folder_of_the_user_is_a_data_set(tmp_path):
  write_folder(tmp_path / 'mine' / 'train', {'0': 3, '1': 3})
  write_folder(tmp_path / 'mine' / 'test', {'0': 1, '1': 1})
  train = datasets.load(str(tmp_path / 'mine'), 'train')
  assert train.name == 'mine' and train.images.shape == (6, 8, 8, 1)
  assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
  assert len(datasets.load(str(tmp_path / 'mine'), 'test').images) == 2


def test_labels_agree_between_splits_that_lack_a_class(tmp_path):
  write_folder(tmp_path / 'train', {'ant': 1, 'bee': 1, 'cat': 1})
  write_folder(tmp_path / 'test', {'bee': 2, 'dog': 1})
  parts = [datasets.load(str(tmp_path), s) for s in datasets.SPLITS]
  assert [p.labels.tolist() for p in parts] == [[0, 1, 2], [1, 1, 3]]


def test_a_users_images_are_brought_to_one_shape(tmp_path):
  write_folder(tmp_path, {'a': 2})
  Image.new('RGB', (30, 20)).save(tmp_path / 'a' / 'z.png')
  with pytest.raises(ValueError, match='name one size'):
    datasets.load(str(tmp_path), 'train')
  data = datasets.load(str(tmp_path), 'train', image_shape=(16, 16, 3))
  assert data.images.shape[1:] == (16, 16, 3)
  with pytest.raises(ValueError, match='is needed'):
    datasets.load('digits', 'train', image_shape=(16, 16, 3))


def test_a_shape_is_selected_for_both_splits_together(tmp_path):
  for half, side in (('train', 30), ('test', 9)):
    (tmp_path / half).mkdir()
    for i in range(3 if half == 'train' else 1):
      Image.new('L', (side, side + 1)).save(tmp_path / half / f'{i}.png')
  wanted = shapes.Wanted(sides=(8, 28, 32))
  for half in datasets.SPLITS:
    data = datasets.load(str(tmp_path), half, image_shape=wanted)
    assert data.images.shape[1:] == (32, 32, 1)
  wanted = shapes.Wanted(size=(5, 6), channels=3)
  row = datasets.summary(str(tmp_path), image_shape=wanted)
  assert row['train'] == {'shape': [3, 5, 6, 3]}


def test_arrays_and_named_data_keep_their_shape(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((10, 4, 5), np.uint8))
  for name in (str(tmp_path / 'a.npy'), 'digits'):
    wanted = shapes.Wanted(channels=1, sides=(28,))
    shape = datasets.load(name, 'train', image_shape=wanted).images.shape
    assert shape[1:] in ((4, 5, 1), (8, 8, 1))
    with pytest.raises(ValueError, match='only folders of pictures'):
      datasets.load(name, 'train', image_shape=shapes.Wanted(size=(6, 6)))


def test_names_of_classes_are_kept(tmp_path):
  write_folder(tmp_path / 'own', {'dog': 2, 'cat\n': 3})
  data = datasets.load(str(tmp_path / 'own'), 'train')
  assert data.classes == {'cat\n': 0, 'dog': 1}
  row = datasets.summary(str(tmp_path / 'own'))
  assert row['names'] == {'cat\\n': 0, 'dog': 1}
  write_folder(tmp_path / 'halves' / 'train', {'a': 1, 'b': 1})
  write_folder(tmp_path / 'halves' / 'test', {'c': 1})
  for half in datasets.SPLITS:
    data = datasets.load(str(tmp_path / 'halves'), half)
    assert data.classes == {'a': 0, 'b': 1, 'c': 2}
  assert datasets.classes(str(tmp_path / 'halves')) == {'a': 0, 'b': 1, 'c': 2}
  assert datasets.classes('digits') == datasets.classes('a\0') == {}
  assert not datasets.load('digits', 'train').classes
  assert 'names' not in datasets.summary('digits')


def test_an_address_is_no_folder():
  with pytest.raises(ValueError, match='a URL; download it'):
    datasets.load('https://example.org/x', 'train')


def test_an_array_of_the_user_is_split_once_and_for_all(tmp_path):
  data = np.arange(10 * 16, dtype=np.uint8).reshape(10, 4, 4)
  np.save(tmp_path / 'a.npy', data)
  parts = [datasets.load(str(tmp_path / 'a.npy'), s) for s in datasets.SPLITS]
  both = np.concatenate([p.images for p in parts])
  assert [len(p.images) for p in parts] == [8, 2]
  np.testing.assert_array_equal(
    np.sort(both.reshape(-1)), np.sort(data.reshape(-1))
  )
  again = datasets.load(str(tmp_path / 'a.npy'), 'test')
  np.testing.assert_array_equal(again.images, parts[1].images)


def test_labelled_data_are_split_class_by_class(tmp_path):
  labels = np.repeat([0, 1, 7], [100, 10, 2])
  images = np.arange(112, dtype=np.uint8).reshape(112, 1, 1)
  np.savez(tmp_path / 'a.npz', images=images, labels=labels)
  train, test = (
    datasets.load(str(tmp_path / 'a.npz'), s) for s in datasets.SPLITS
  )
  assert np.bincount(test.labels)[[0, 1, 7]].tolist() == [20, 2, 1]
  assert np.bincount(train.labels)[[0, 1, 7]].tolist() == [80, 8, 1]
  assert not set(train.images.ravel()) & set(test.images.ravel())


def test_the_summary_says_where_and_how_many(tmp_path):
  row = datasets.summary('digits')
  assert row['origin'] == 'scikit-learn' and row['sha256_ok'] is None
  assert sum(row['train']['classes']) == row['train']['shape'][0] == 1442
  np.save(tmp_path / 'a.npy', np.zeros((10, 4, 4), np.uint8))
  row = datasets.summary(str(tmp_path / 'a.npy'))
  assert row['test'] == {'shape': [2, 4, 4, 1]}


@pytest.mark.parametrize(
  ('name', 'split', 'match'),
  [
    ('nope', 'train', 'data set'),
    ('no/such/folder', 'train', 'no such file'),
    ('digits', 'valid', 'split'),
  ],
)
def test_unknown_names_are_refused(name, split, match):
  with pytest.raises(ValueError, match=match):
    datasets.load(name, split)


def test_one_image_is_no_data_set(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((1, 4, 4), np.uint8))
  with pytest.raises(ValueError, match='one image cannot be split'):
    datasets.load(str(tmp_path / 'a.npy'), 'train')


def test_both_splits_of_a_folder_are_read_at_once(tmp_path, caplog):
  for k in range(10):
    Image.new('L', (8, 8), k).save(tmp_path / f'{k}.png')
  with caplog.at_level('INFO'):
    train, test = datasets.both(str(tmp_path))
  told = [r for r in caplog.records if '10 images of' in r.getMessage()]
  assert len(told) == 1
  for split, data in zip(datasets.SPLITS, (train, test), strict=True):
    alone = datasets.load(str(tmp_path), split)
    np.testing.assert_array_equal(data.images, alone.images)
  assert sorted(len(data.images) for data in (train, test)) == [2, 8]
