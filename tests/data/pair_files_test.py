"""A user's pairs: layouts found by looking, and what is wrong with them."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import pair_layouts
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs

OWN = pair_settings.Settings(preprocess='none')
A, B = (200, 10, 10), (10, 10, 200)


def picture(path, colours=(A,), size=8, mode='RGB'):
  """Writes squares of colours side by side; the green level marks them."""
  path.parent.mkdir(parents=True, exist_ok=True)
  whole = Image.new(mode, (size * len(colours), size))
  for k, colour in enumerate(colours):
    whole.paste(Image.new(mode, (size, size), colour), (k * size, 0))
  whole.save(path)


def marked(colour, k):
  return (colour[0], 10 + k, colour[2])


def side_by_side(root, count, first=0):
  for k in range(first, first + count):
    picture(root / f'{k:03d}.png', (marked(A, k), marked(B, k)))


def two_folders(root, count, inner=''):
  for k in range(count):
    picture(root / 'A' / inner / f'{k:03d}.png', (marked(A, k),))
    picture(root / 'B' / inner / f'{k:03d}.webp', (marked(B, k),))


def check_pairs(half):
  """Asserts that A is red, B is blue, and both have the green of the name."""
  assert half.paired and half.names == half.target_names
  for name, a, b in zip(half.names, half.condition, half.target, strict=True):
    k = int(name.rpartition('/')[2])
    np.testing.assert_allclose(a[4, 4], marked(A, k), atol=4)
    np.testing.assert_allclose(b[4, 4], marked(B, k), atol=4)


def test_files_side_by_side_are_cut_in_the_middle(tmp_path):
  side_by_side(tmp_path, 20)
  train, held = pairs.load(str(tmp_path), OWN)
  check_pairs(train), check_pairs(held)
  assert train.condition.shape[1:] == (8, 8, 3)
  assert sorted(train.names + held.names) == [f'{k:03d}' for k in range(20)]
  assert 1 <= len(held.names) <= 5 and train.layout.startswith('aligned')
  swapped, _ = pairs.load(
    str(tmp_path), pair_settings.Settings(preprocess='none', direction='BtoA')
  )
  np.testing.assert_array_equal(swapped.target, train.condition)


@pytest.mark.parametrize('held', ['test', 'val'])
def test_folders_of_the_splits_are_taken(tmp_path, held):
  side_by_side(tmp_path / 'train', 4)
  side_by_side(tmp_path / held, 3, first=50)
  train, test = pairs.load(str(tmp_path), OWN)
  check_pairs(train), check_pairs(test)
  assert len(train.names) == 4 and test.names == ('050', '051', '052')
  two_folders(tmp_path / 'other', 3, 'train')
  two_folders(tmp_path / 'other', 2, held)
  train, test = pairs.load(str(tmp_path / 'other'), OWN)
  check_pairs(train), check_pairs(test)
  assert (len(train.names), len(test.names)) == (3, 2)


def test_test_is_held_out_rather_than_val(tmp_path):
  for part, count in (('train', 4), ('val', 3), ('test', 2)):
    side_by_side(tmp_path / part, count)
  assert len(pairs.load(str(tmp_path), OWN)[1].names) == 2


@pytest.mark.parametrize('inner', ['', 'train'])
def test_two_folders_are_paired_by_name_and_one_in_ten_held_out(
  tmp_path, inner
):
  two_folders(tmp_path, 12, inner)
  train, held = pairs.load(str(tmp_path), OWN)
  check_pairs(train), check_pairs(held)
  assert len(train.names) + len(held.names) == 12 and held.names
  more, _ = pairs.load(str(tmp_path), OWN)
  assert more.names == train.names


def test_a_new_pair_moves_no_other(tmp_path):
  two_folders(tmp_path, 12)
  _, before = pairs.load(str(tmp_path), OWN)
  two_folders(tmp_path, 30)
  train, after = pairs.load(str(tmp_path), OWN)
  assert set(before.names) <= set(after.names)
  assert not set(before.names) & set(train.names)


def test_unaligned_domains_may_differ_in_number_and_channels(tmp_path):
  for k in range(5):
    picture(tmp_path / 'trainA' / f'{k}.png', (marked(A, k),))
  for k in range(3):
    picture(tmp_path / 'trainB' / f'x{k}.png', (50 + k,), mode='L')
  picture(tmp_path / 'testA' / 'a.png')
  picture(tmp_path / 'testB' / 'b.png', (7,), mode='L')
  train, held = pairs.load(str(tmp_path), OWN)
  assert not train.paired and not held.paired
  assert train.condition.shape == (5, 8, 8, 3)
  assert train.target.shape == (3, 8, 8, 1)
  assert train.target_names == ('x0', 'x1', 'x2') and held.names == ('a',)
  assert train.target[:, 0, 0, 0].tolist() == [50, 51, 52]
  settings = pair_settings.Settings(preprocess='none', target_channels=3)
  assert pairs.load(str(tmp_path), settings)[0].target.shape == (3, 8, 8, 3)


def test_geometry_is_that_of_the_settings(tmp_path):
  two_folders(tmp_path, 6)
  settings = pair_settings.Settings(load_size=(12, 10), crop_size=6)
  train, held = pairs.load(str(tmp_path), settings)
  assert train.condition.shape[1:3] == train.target.shape[1:3] == (12, 10)
  assert held.condition.shape[1:3] == (6, 6)
  too_large = pair_settings.Settings(preprocess='crop', crop_size=9)
  with pytest.raises(ValueError, match='8x8 are smaller than crop_size 9x9'):
    pairs.load(str(tmp_path), too_large)


def test_transparency_and_deep_levels_are_counted(tmp_path):
  for k in range(4):
    picture(tmp_path / 'A' / f'{k}.png', ((0, 0, 0, 0),), mode='RGBA')
    deep = Image.fromarray(np.full((8, 8), 257 * k, np.uint16))
    (tmp_path / 'B').mkdir(exist_ok=True)
    deep.save(tmp_path / 'B' / f'{k}.tif')
  train, held = pairs.load(str(tmp_path), OWN)
  assert train.condition.min() == 255
  assert set(train.target.ravel()) | set(held.target.ravel()) == {0, 1, 2, 3}
  row = pairs.summary(train, held)
  assert row['notes'] == {
    'with_transparency_on_white': 4,
    'reduced_to_8_bits': 4,
  }
  assert row['file_sizes'] == {'8x8': 8} and row['paired'] is True


def broken(root, case):
  """Makes a folder with one thing wrong."""
  if case != 'side':
    two_folders(root, 6)
  extra = root / 'A' / '9.png'
  if case == 'partner':
    for k in range(5):
      picture(root / 'A' / f'no{k}.png')
  elif case == 'partner of B':
    picture(root / 'B' / 'only.png')
  elif case == 'sizes':
    picture(extra, size=8), picture(root / 'B' / '9.png', size=9)
  elif case == 'damaged':
    extra.write_bytes(b'none'), picture(root / 'B' / '9.png')
  elif case == 'twice':
    picture(root / 'A' / '000.jpg')
  elif case == 'empty':
    for path in (root / 'B').iterdir():
      path.unlink()
  elif case == 'no B':
    (root / 'B').rename(root / 'C')
  elif case == 'no trainB':
    picture(root / 'trainA' / 'a.png')
  elif case == 'side':
    side_by_side(root, 3)
    picture(root / 'odd.png', (A, B, A), size=7)
  elif case == 'mixed':
    picture(extra, size=9), picture(root / 'B' / '9.png', size=9)


@pytest.mark.parametrize(
  'case,match',
  [
    ('partner', '5 of 11 files of A have no partner .* no0, no1, no2 and 2 mo'),
    ('partner of B', '1 of 7 files of B have no partner .* in A: only; rename'),
    ('sizes', r'A/9\.png: 8x8, but its partner .*B/9\.png is 9x9'),
    ('damaged', r'A/9\.png: not a readable image'),
    ('twice', 'A has two files named 000'),
    ('empty', 'B: no .* images inside; the folder is empty'),
    ('no B', 'a folder A but no B'),
    ('no trainB', 'trainB: no such folder'),
    ('side', r'odd\.png: 21 pixels wide'),
    ('mixed', r'9\.png: size \(9, 9, 3\) .* use resize_and_crop'),
  ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, case, match):
  broken(tmp_path, case)
  with pytest.raises(ValueError, match=match) as caught:
    pairs.load(str(tmp_path), OWN)
  assert '\n' not in str(caught.value)


def test_folders_of_other_names_are_no_layout_unless_said(tmp_path):
  side_by_side(tmp_path / 'cats', 4)
  side_by_side(tmp_path / 'dogs', 4)
  with pytest.raises(ValueError, match='in folders named cats, dogs, but pair'):
    pairs.load(str(tmp_path), OWN)
  said = pair_settings.Settings(preprocess='none', layout='aligned')
  train, held = pairs.load(str(tmp_path), said)
  check_pairs(train), check_pairs(held)
  assert len(train.names) + len(held.names) == 8
  # Domains are never files side by side.
  (tmp_path / 'cats').rename(tmp_path / 'testA')
  for settings in (OWN, said):
    with pytest.raises(ValueError, match='in folders named .*testA') as caught:
      pairs.load(str(tmp_path), settings)
    assert "'aligned'" not in str(caught.value)


def test_one_pair_or_another_layout_is_refused(tmp_path):
  side_by_side(tmp_path, 1)
  with pytest.raises(ValueError, match='one image cannot be split'):
    pairs.load(str(tmp_path), OWN)
  settings = pair_settings.Settings(preprocess='none', layout='unaligned')
  with pytest.raises(ValueError, match='no folders trainA and trainB'):
    pairs.load(str(tmp_path), settings)
  with pytest.raises(ValueError, match='not one of fluent_outline_flat'):
    pairs.load('nothing', OWN)
  with pytest.raises(ValueError, match='a file; pairs are in a folder'):
    pair_layouts.find(str(tmp_path / '000.png'))


def test_folders_a_and_b_may_be_classes(tmp_path):
  two_folders(tmp_path, 3)
  assert pair_layouts.is_clear(str(tmp_path))
  picture(tmp_path / 'A' / 'more.png')
  assert not pair_layouts.is_clear(str(tmp_path))
  side_by_side(tmp_path / 'plain', 3)
  assert not pair_layouts.is_clear(str(tmp_path / 'plain'))
  picture(tmp_path / 'trainA' / 'a.png'), picture(tmp_path / 'trainB' / 'a.png')
  assert pair_layouts.is_clear(str(tmp_path))


def test_arrays_keep_their_precision_and_channels(tmp_path):
  rng = np.random.default_rng(0)
  deep = rng.integers(0, 65536, (12, 6, 8, 5), np.uint16)
  signed = np.linspace(-1, 1, 12 * 6 * 8, dtype=np.float32).reshape(12, 6, 8)
  np.savez(tmp_path / 'a.npz', condition=deep, target=signed)
  train, held = pairs.load(str(tmp_path / 'a.npz'), OWN)
  rows = {n: int(n.split('-')[1]) for n in train.names + held.names}
  assert sorted(rows.values()) == list(range(12)) and held.names
  for half in (train, held):
    at = [rows[n] for n in half.names]
    np.testing.assert_allclose(
      half.condition, deep[at] / 65535 * 2.0 - 1.0, atol=1e-6
    )
    np.testing.assert_allclose(half.target, signed[at, ..., None], atol=1e-6)
  unit = (signed + 1) / 2
  np.savez(tmp_path / 'b.npz', A=unit, B=np.uint8(deep[..., :3] // 257))
  train, _ = pairs.load(str(tmp_path / 'b.npz'), OWN)
  assert train.condition.min() < -0.9 and train.target.dtype == np.uint8


@pytest.mark.parametrize(
  'arrays,match',
  [
    ({'A': np.zeros((3, 8, 8), np.uint8)}, "no arrays 'A' and 'B'"),
    ({'A': np.zeros((3, 8, 8)), 'B': np.zeros((2, 8, 8))}, '3 images A and 2'),
    ({'A': np.zeros((3, 8, 8)), 'B': np.zeros((3, 8, 9))}, 'B of 8x9'),
    ({'A': np.zeros((3, 8)), 'B': np.zeros((3, 8, 9))}, 'A: shape'),
    ({'A': np.zeros((3, 8, 8, 65)), 'B': np.zeros((3, 8, 8))}, '64 channels'),
    ({'A': np.full((3, 8, 8), np.nan), 'B': np.zeros((3, 8, 8))}, 'NaN'),
    ({'A': np.zeros((1, 8, 8)), 'B': np.zeros((1, 8, 8))}, 'one pair'),
    (dict.fromkeys('AB', np.zeros((3, 1, 8, 8))), 'A: .* channels first; save'),
    ({'A': np.array([{}] * 3), 'B': np.zeros((3, 8, 8))}, 'Python objects'),
  ],
)
def test_other_arrays_are_refused(tmp_path, arrays, match):
  np.savez(tmp_path / 'a.npz', **arrays)
  with pytest.raises(ValueError, match=match) as caught:
    pairs.load(str(tmp_path / 'a.npz'), OWN)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['a.npz', 'a.npy'])
def test_a_damaged_or_other_file_is_refused(tmp_path, name):
  np.save(tmp_path / 'a.npy', np.zeros((3, 8, 8), np.uint8))
  (tmp_path / 'a.npz').write_bytes(b'PK none')
  with pytest.raises(ValueError, match=f'{name}: ') as caught:
    pairs.load(str(pathlib.Path(tmp_path) / name), OWN)
  assert '\n' not in str(caught.value)
