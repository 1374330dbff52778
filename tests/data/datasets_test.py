"""Data sets: found, verified, unpacked without trust."""

import io
import tarfile

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import datasets


@pytest.fixture(autouse=True)
def _fresh():
  datasets.find.cache_clear()
  yield
  datasets.find.cache_clear()


def test_digits_split_is_stratified_and_complete():
  train, test = (datasets.load('digits', s) for s in datasets.SPLITS)
  assert len(train.images) + len(test.images) == 1797
  assert train.images.shape[1:] == (8, 8, 1)
  assert train.images.dtype == np.uint8 and train.images.max() == 255
  counts = np.bincount(test.labels)
  assert counts.min() >= 34 and counts.max() <= 37


def offline(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.delenv('COALESCE_DATA', raising=False)
  monkeypatch.setattr(datasets.shutil, 'which', lambda name: None)
  monkeypatch.setattr(datasets, '_from_tfds', lambda name, target: False)
  plain = {k: v._replace(debian='') for k, v in datasets.PACKAGES.items()}
  monkeypatch.setattr(datasets, 'PACKAGES', plain)


@pytest.mark.parametrize('name', list(datasets.PACKAGES))
def test_what_is_nowhere_says_what_to_do(monkeypatch, tmp_path, name):
  offline(monkeypatch, tmp_path)
  with pytest.raises(ValueError, match='not found; .*--data_dir'):
    datasets.load(name, 'train')


def test_files_with_another_digest_are_refused(monkeypatch, tmp_path):
  offline(monkeypatch, tmp_path)
  for file in datasets.PACKAGES['mnist'].files:
    (tmp_path / file).write_bytes(b'something else')
  with pytest.raises(ValueError, match='sha256'):
    datasets.load('mnist', 'train', str(tmp_path))


def archive(path, members):
  with tarfile.open(path, 'w:gz') as tar:
    for name, data in members:
      info = tarfile.TarInfo(name)
      info.size = len(data)
      tar.addfile(info, io.BytesIO(data))
    link = tarfile.TarInfo('package/link')
    link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
    tar.addfile(link)


def test_paths_inside_an_archive_are_not_followed(tmp_path):
  archive(
    tmp_path / 'a.tgz',
    [('../../evil', b'evil'), ('package/data/../../../wanted', b'good')],
  )
  datasets.unpack(tmp_path / 'a.tgz', {'wanted'}, tmp_path / 'out' / 'deep')
  inside = sorted(p.name for p in (tmp_path / 'out' / 'deep').iterdir())
  assert inside == ['sha256.json', 'wanted']
  assert not list(tmp_path.rglob('evil'))
  assert (tmp_path / 'out' / 'deep' / 'wanted').read_bytes() == b'good'


def test_links_and_missing_members_are_refused(tmp_path):
  archive(tmp_path / 'a.tgz', [('package/other', b'x')])
  for wanted in ('link', 'nothing'):
    with pytest.raises(ValueError, match=f'no {wanted} inside'):
      datasets.unpack(tmp_path / 'a.tgz', {wanted}, tmp_path / 'out')


def test_a_folder_of_the_user_is_a_data_set(tmp_path):
  for part, count in (('train', 6), ('test', 2)):
    for i in range(count):
      folder = tmp_path / 'mine' / part / str(i % 2)
      folder.mkdir(parents=True, exist_ok=True)
      Image.new('L', (8, 8), 10 * i).save(folder / f'{i}.png')
  train = datasets.load(str(tmp_path / 'mine'), 'train')
  assert train.images.shape == (6, 8, 8, 1)
  assert sorted(train.labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_an_array_of_the_user_is_split_once_and_for_all(tmp_path):
  data = np.arange(10 * 16, dtype=np.uint8).reshape(10, 4, 4)
  np.save(tmp_path / 'a.npy', data)
  parts = [datasets.load(str(tmp_path / 'a.npy'), s) for s in datasets.SPLITS]
  both = np.concatenate([p.images for p in parts])
  assert [len(p.images) for p in parts] == [8, 2]
  np.testing.assert_array_equal(
    np.sort(both.reshape(-1)), np.sort(data.reshape(-1))
  )


@pytest.mark.parametrize(
  'name,split,match',
  [('nope', 'train', 'data set'), ('digits', 'valid', 'split')],
)
def test_unknown_names_are_refused(name, split, match):
  with pytest.raises(ValueError, match=match):
    datasets.load(name, split)
