"""Omniglot from archives like those that are published, but smaller."""

import io
import zipfile

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import omniglot


def png(column, side=105):
  """A page with one column of ink."""
  page = np.full((side, side), 255, np.uint8)
  page[:, column : column + 12] = 0
  buffer = io.BytesIO()
  Image.fromarray(page).convert('1').save(buffer, 'PNG')
  return buffer.getvalue()


def write(path, members):
  with zipfile.ZipFile(path, 'w') as made:
    for name, data in members.items():
      made.writestr(name, data)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('omniglot')
  for k, alphabets in enumerate((('Korean', 'Greek'), ('Greek', 'Tagalog')), 1):
    name = f'images_background_small{k}'
    members = {f'{name}/': b''}
    for alphabet in alphabets:
      for c in (1, 2):
        for drawer in range(1, 21):
          file = f'{name}/{alphabet}/character{c:02d}/0{c}00_{drawer:02d}.png'
          members[file] = png(40 * c - 30)
    write(path / f'{name}.zip', members)
  runs = {}
  for run in range(1, 21):
    lines = []
    for k in range(1, 21):
      runs[f'run{run:02d}/training/class{k:02d}.png'] = png(4 * k)
      runs[f'run{run:02d}/test/item{k:02d}.png'] = png(4 * k)
      answer = k % 20 + 1
      lines.append(
        f'run{run:02d}/test/item{k:02d}.png '
        f'run{run:02d}/training/class{answer:02d}.png'
      )
    runs[f'run{run:02d}/class_labels.txt'] = '\n'.join(lines)
  write(path / 'all_runs.zip', runs)
  return path


def test_characters_of_both_archives_are_counted_once(folder):
  found = omniglot.characters(folder, 21)
  assert found.alphabets == ('Greek', 'Korean', 'Tagalog')
  assert found.images.shape == (120, 21, 21, 1)
  assert found.images.dtype == np.uint8
  assert sorted(set(found.character)) == list(range(6))
  assert list(found.drawer[:20]) == list(range(20))
  # The ink of the first characters is on the left, of the others in the middle.
  dark = found.images[:, :, :, 0].mean(1).argmin(1)
  np.testing.assert_array_equal(dark < 6, found.character % 2 == 0)


def test_a_node_is_an_alphabet_a_group_of_drawers_and_a_rotation(folder):
  data = omniglot.characters(folder, 21)
  images, owned, names = omniglot.nodes(data, ('Tagalog', 'Korean'))
  assert len(owned) == len(names) == 2 * 2 * 4
  assert images.shape == (480, 21, 21, 1)
  every = [row for each in owned for rows in each.values() for row in rows]
  assert len(set(every)) == len(every) == 2 * 2 * 20 * 4
  for each, (alphabet, group, turn) in zip(owned, names, strict=True):
    for label, rows in each.items():
      base = rows - turn * 120
      assert set(data.character[base]) == {label}
      assert set(data.drawer[base]) == set(range(10 * group, 10 * group + 10))
      assert {data.alphabets[a] for a in data.alphabet[base]} == {alphabet}
      wanted = np.rot90(data.images[base[0]], turn)
      np.testing.assert_array_equal(images[rows[0]], wanted)
  with pytest.raises(ValueError, match="no alphabet 'Latin', there are Greek"):
    omniglot.nodes(data, ('Latin',))


def test_the_official_runs_have_their_answers(folder):
  found = omniglot.runs(folder, 21)
  assert len(found) == 20
  assert found[0].support.shape == found[0].query.shape == (20, 21, 21, 1)
  np.testing.assert_array_equal(found[3].answers, [*range(1, 20), 0])
  np.testing.assert_array_equal(found[0].support, found[0].query)


def test_archives_that_were_not_published_are_refused(folder, tmp_path):
  with pytest.raises(ValueError, match='sha256'):
    omniglot.find(str(folder))
  for bad, message in ((png(3, 40), '105 x 105'), (b'no', 'not a PNG')):
    for k in (1, 2):
      name = f'images_background_small{k}'
      write(
        tmp_path / f'{name}.zip',
        {f'{name}/Greek/character01/0100_01.png': bad},
      )
    with pytest.raises(ValueError, match=message):
      omniglot.characters(tmp_path)


def test_archives_that_are_missing_are_named_with_what_to_do(
  tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.delenv('COALESCE_DATA', raising=False)
  with pytest.raises(ValueError, match='download images_background_small1'):
    omniglot.find()
