"""Tasks with a name, from tiny packages of the same form as the real ones."""

import io
import json

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import earth
from coalesce_jax.data import pair_names
from coalesce_jax.data import pair_packages
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pair_tasks
from coalesce_jax.data import pairs
from tests.data.packed import archive
from tests.data.packed import sha

SMALL = pair_settings.Settings(crop_size=8)
FIGURES = [f'thing-{k:02d}' for k in range(20)]


def svg(colour):
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2">'
    f'<rect width="2" height="2" fill="{colour}"/></svg>'
  ).encode()


def png(colour):
  buffer = io.BytesIO()
  Image.new('RGBA', (4, 4), colour).save(buffer, 'PNG')
  return buffer.getvalue()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
  """Puts archives where packages are searched; nothing is downloaded."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setenv('COALESCE_DATA', str(tmp_path))
  monkeypatch.setenv('PATH', str(tmp_path / 'nothing'))

  def put(name, members):
    (file,) = pair_packages.PACKAGES[name].files
    path = archive(tmp_path / file, members)
    package = pair_packages.PACKAGES[name]._replace(
      files={file: sha(path.read_bytes())}
    )
    monkeypatch.setitem(pair_packages.PACKAGES, name, package)
    return path

  return put


def fluent(shelf):
  names = [*FIGURES, 'man-cook-default', 'woman-cook-default', 'cook-default']
  members = {}
  for k, name in enumerate(names):
    for style, colour in (
      ('high-contrast', f'#0000{k:02x}'),
      ('flat', f'#ff{k:02x}00'),
      ('modern', f'#00{k:02x}ff'),
    ):
      members[f'package/icons/{style}/{name}.svg'] = svg(colour)
  # It has no outline, like skin tones.
  members['package/icons/flat/cook-dark.svg'] = svg('#ffffff')
  members['package/icons/modern/cook-dark.svg'] = svg('#ffffff')
  return shelf('fluentui-emoji', members)


def test_pairs_of_one_figure_are_aligned_and_on_one_side(shelf):
  fluent(shelf)
  train, held = pairs.load('fluent_flat_modern', SMALL)
  assert len(train.names) + len(held.names) == 23
  assert train.condition.shape[1:] == train.target.shape[1:] == (8, 8, 3)
  for half in (train, held):
    assert half.paired and half.names == half.target_names
    assert half.licence == 'MIT' and 'Microsoft' in half.attribution
    # Green says which figure it is, in both styles.
    np.testing.assert_array_equal(half.condition[..., 1], half.target[..., 1])
    assert (half.condition[..., 0] == 255).all()
    assert (half.target[..., 2] == 255).all()
    cooks = [name for name in half.names if 'cook' in name]
    assert len(cooks) in (0, 3)
  assert not set(train.names) & set(held.names)


def test_the_second_load_needs_no_package(shelf):
  path = fluent(shelf)
  first = pairs.load('fluent_outline_flat', SMALL)
  path.unlink()
  second = pairs.load('fluent_outline_flat', SMALL)
  np.testing.assert_array_equal(first[1].target, second[1].target)
  with pytest.raises(ValueError, match='npm pack fluentui-emoji@1.3.0'):
    pairs.load('fluent_flat_modern', SMALL)


def test_a_changed_package_is_refused(shelf):
  path = fluent(shelf)
  path.write_bytes(path.read_bytes()[:-1] + b'x')
  with pytest.raises(ValueError, match='sha256'):
    pairs.load('fluent_outline_flat', SMALL)


def test_direction_sizes_and_channels_are_as_wanted(shelf):
  fluent(shelf)
  forward = pairs.load('fluent_flat_modern', SMALL)
  settings = pair_settings.Settings(
    direction='BtoA', load_size=9, crop_size=8, condition_channels=1
  )
  train, held = pairs.load('fluent_flat_modern', settings)
  assert train.target.shape[1:] == (9, 9, 3)
  assert train.condition.shape[1:] == (9, 9, 1)
  np.testing.assert_array_equal(held.target, forward[1].condition)
  assert train.names == forward[0].names


def test_a_size_that_is_no_square_is_refused(shelf):
  with pytest.raises(ValueError, match='8x9 is no square'):
    pairs.load('openmoji', pair_settings.Settings(crop_size=(8, 9)))


def openmoji_members():
  rows = [(f'1F4{k:02X}', f'thing {k}', 'objects', '') for k in range(20)]
  rows += [
    ('E100', 'man barista', 'extras-openmoji', ''),
    ('E101', 'woman barista', 'extras-openmoji', ''),
    ('1F1E6', 'regional indicator', 'extras-unicode', ''),
    ('1F3C1', 'a flag', 'flags', ''),
    ('1F44B-1F3FB', 'hand, light', 'people-body', '1'),
  ]
  members = {
    'package/data/openmoji.csv': '\n'.join(
      ['hexcode,annotation,group,skintone']
      + [f'{a},"{b}",{c},{d}' for a, b, c, d in rows]
    ).encode()
  }
  for k, row in enumerate(rows):
    members[f'package/black/svg/{row[0]}.svg'] = svg(f'#0000{k:02x}')
    members[f'package/color/svg/{row[0]}.svg'] = svg(f'#{k:02x}0000')
  return members


def test_line_art_has_neither_flags_nor_letters_nor_skin_tones(shelf):
  shelf('openmoji', openmoji_members())
  train, held = pairs.load('openmoji', SMALL)
  names = train.names + held.names
  assert len(names) == 22 and 'E100 man barista' in names
  assert not any('flag' in n or 'hand' in n or 'regional' in n for n in names)
  for half in (train, held):
    assert half.licence == 'CC BY-SA 4.0'
    for name, image in zip(half.names, half.target, strict=True):
      if 'thing' in name:
        assert (image[..., 0] == int(name.split()[-1])).all()
  baristas = [n for n in held.names if 'barista' in n]
  assert len(baristas) in (0, 2)


@pytest.mark.parametrize(
  'change,match',
  [
    ({'package/data/openmoji.csv': b'a,b\n1,2\n'}, 'no list of emoji'),
    ({'package/color/svg/1F400.svg': None}, 'no color picture 1F400'),
    ({'package/color/svg/1F400.svg': b'<svg'}, '1F400.*not rendered'),
  ],
)
def test_a_package_with_other_contents_is_refused(shelf, change, match):
  members = openmoji_members() | change
  shelf('openmoji', {k: v for k, v in members.items() if v is not None})
  with pytest.raises(ValueError, match=match):
    pairs.load('openmoji', SMALL)


def vendors(shelf, count=40):
  rows = [f'1f4{k:02x}' for k in range(count)]
  listed = [
    {
      'image': f'{code}.png',
      'short_name': f'thing_{k}',
      'has_img_google': True,
      'has_img_twitter': True,
    }
    for k, code in enumerate(rows)
  ]
  listed.append(listed[0] | {'image': 'x.png', 'has_img_twitter': False})
  for vendor, red in (('google', 255), ('twitter', 0)):
    members = {'package/emoji.json': json.dumps(listed).encode()}
    for k, code in enumerate(rows):
      members[f'package/img/{vendor}/64/{code}.png'] = png((red, k, 9, 255))
    members[f'package/img/{vendor}/64/{rows[0]}.png'] = png((0, 0, 0, 0))
    shelf(f'emoji-datasource-{vendor}', members)
  return [f'{code} thing_{k}' for k, code in enumerate(rows)]


def test_two_vendors_are_paired_by_code_on_white(shelf):
  rows = vendors(shelf)
  train, held = pairs.load('emoji_pairs', SMALL)
  assert sorted(train.names + held.names) == rows
  for half in (train, held):
    for name, one, two in zip(
      half.names, half.condition, half.target, strict=True
    ):
      k = rows.index(name)
      colours = [[255, k, 9], [0, k, 9]] if k else [[255] * 3] * 2
      assert [one[0, 0].tolist(), two[0, 0].tolist()] == colours


def test_unpaired_domains_share_no_figure_and_are_scored_on_pairs(shelf):
  vendors(shelf)
  paired, truth = pairs.load('emoji_pairs', SMALL)
  train, held = pairs.load('emoji', SMALL)
  assert not train.paired and held.paired and held.names == truth.names
  assert not set(train.names) & set(train.target_names)
  assert set(train.names) | set(train.target_names) == set(paired.names)
  assert min(len(train.names), len(train.target_names)) > 5
  np.testing.assert_array_equal(held.target, truth.target)


def test_equal_pictures_of_other_names_stay_together(shelf):
  members = openmoji_members()
  for k in range(20):
    code = f'1F4{k:02X}'
    # Line art differs but for four pairs of pictures.
    level = k - k % 2 if k < 8 else k
    members[f'package/black/svg/{code}.svg'] = svg(f'#0000{9 * level:02x}')
  shelf('openmoji', members)
  for settings in (SMALL, pair_settings.Settings(crop_size=64)):
    train, held = pairs.load('openmoji', settings)
    seen = {image.tobytes() for image in train.condition}
    assert not seen & {image.tobytes() for image in held.condition}
    assert len(train.names) + len(held.names) == 22
  small, _ = pairs.load('openmoji', SMALL)
  assert small.names == train.names


def test_land_is_where_the_elevation_is_above_zero():
  height = np.zeros((64, 128, 1), np.uint8)
  # A quarter of tile (3, 5), and all of tile (31, 63).
  height[6, 10] = 1
  height[62:, 126:] = 200
  land = earth.land_of_tiles(height)
  assert land.shape == (32, 64) and land.sum() == 1.25
  assert land[3, 5] == 0.25 and land[31, 63] == 1.0


def test_tiles_of_one_block_of_the_earth_stay_together(tmp_path, monkeypatch):
  # Each tile has its place as its colour.
  rows, columns = np.mgrid[:32, :64]
  place = np.stack([rows * 8, columns * 4, 0 * rows], -1).astype(np.uint8)
  whole = Image.fromarray(place).resize((512, 256), Image.Resampling.NEAREST)
  for name in ('earth-blue-marble.jpg', 'earth-day.jpg', 'earth-water.png'):
    whole.save(tmp_path / name, quality=95)
  land = np.zeros((32, 64), np.uint8)
  land[8:24] = 1
  Image.fromarray(land).save(tmp_path / 'earth-topology.png')
  package = pair_packages.PACKAGES['three-globe']
  files = {n: sha((tmp_path / n).read_bytes()) for n in package.files}
  monkeypatch.setitem(
    pair_packages.PACKAGES, 'three-globe', package._replace(files=files)
  )
  settings = pair_settings.Settings(crop_size=8)
  train, held = pairs.load('earth_relief', settings, str(tmp_path))
  assert len(train.names) + len(held.names) == 16 * 64
  blocks = []
  for half in (train, held):
    at = np.array([[int(n[1:3]), int(n[4:6])] for n in half.names])
    for images in (half.condition, half.target):
      np.testing.assert_allclose(
        images[:, 4, 4, :2], at * [8, 4], atol=6
      )  # fmt: skip
    blocks.append({tuple(row) for row in at // 4})
  assert not blocks[0] & blocks[1]
  assert len(blocks[0]) + len(blocks[1]) == 64 and 5 < len(blocks[1]) < 25


def test_names_and_digests_are_complete():
  assert pair_names.TASKS == tuple(pair_tasks.TASKS)
  for package in pair_packages.PACKAGES.values():
    for digest in (*package.files.values(), package.archive_sha256):
      assert len(digest) == 64 and set(digest) <= set('0123456789abcdef')
    assert '@' in package.client[-1]
  for task in pair_tasks.TASKS.values():
    assert task.terms.licence and task.terms.attribution
