"""Pictures of a folder: found at every depth, the rest counted."""

import os
import re

import pytest

from coalesce_jax.data import folders


def touch(root, *names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def names(paths, root):
  return [path.relative_to(root).as_posix() for path in paths]


def test_pictures_are_found_at_every_depth_in_order(tmp_path):
  touch(
    tmp_path, 'b.png', 'a.JPG', 'cat/2.png', 'cat/x/1.webp', 'cat/w/y/3.gif'
  )
  touch(tmp_path, 'dog/deep/0.bmp')
  found = folders.find(tmp_path)
  assert names(found.direct, tmp_path) == ['a.JPG', 'b.png']
  assert list(found.below) == ['cat', 'dog']
  assert names(found.below['cat'], tmp_path) == [
    'cat/2.png', 'cat/w/y/3.gif', 'cat/x/1.webp'
  ]  # fmt: skip
  assert names(found.below['dog'], tmp_path) == ['dog/deep/0.bmp']
  assert found.folders == 5 and found.left_out == {}
  assert found.report() == '5 folders; left out: nothing'


def test_all_that_is_left_out_is_counted_by_its_reason(tmp_path):
  touch(tmp_path, 'a.png', '.b.png', '.cache/c.png', 'd.heic', 'e.HEIC')
  touch(tmp_path, 'x/note', 'x/y/.DS_Store')
  (tmp_path / 'gone.png').symlink_to('nowhere')
  (tmp_path / 'self.png').symlink_to('self.png')
  os.mkfifo(tmp_path / 'pipe.png')
  found = folders.find(tmp_path)
  assert found.left_out == {
    'hidden': 3, '.heic': 2, 'broken links': 2, 'that are no files': 1,
    'without ending': 1,
  }  # fmt: skip
  assert names(found.direct, tmp_path) == ['a.png'] and found.below == {}
  assert found.report() == (
    '1 folder; left out: 3 hidden, 2 .heic, 2 broken links, 1 that are no '
    'files, 1 without ending'
  )


def test_many_kinds_are_counted_together(tmp_path):
  touch(tmp_path, *(f'{i}.{c}' for i, c in enumerate('abcdefghh')))
  report = folders.find(tmp_path).report()
  assert report.startswith('0 folders; left out: 2 .h, 1 .a, ')
  assert report.endswith('2 more kinds')


def test_links_in_a_circle_end_and_other_links_are_followed(tmp_path):
  touch(tmp_path, 'home/cat/a.png', 'away/b.png')
  (tmp_path / 'home' / 'cat' / 'up').symlink_to('..')
  (tmp_path / 'home' / 'dog').symlink_to('../away')
  (tmp_path / 'home' / 'again').symlink_to('../away')
  found = folders.find(tmp_path / 'home')
  assert {k: len(v) for k, v in found.below.items()} == {'again': 1, 'cat': 1}
  assert found.left_out == {'links to folders that were read': 2}


@pytest.mark.parametrize(
  ('inside', 'match'),
  [
    ([], 'TIFF images inside; the folder is empty'),
    (['a.heic', 'b.heic', 'c.txt'], 'it holds 2 .heic, 1 .txt$'),
    (['a.npz'], 'it holds 1 .npz; name the array file itself'),
    (['x.npy/y'], 'it holds 1 without ending$'),
  ],
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path, inside, match):
  touch(tmp_path, *inside)
  assert re.search(f'^no PNG, JPEG.*{match}', folders.find(tmp_path).nothing())


def test_a_folder_that_cannot_be_read_is_refused(tmp_path):
  touch(tmp_path, 'a.png')
  with pytest.raises(ValueError, match='a.png: not readable .Not a directory'):
    folders.find(tmp_path / 'a.png')
  with pytest.raises(ValueError, match='nowhere: not readable'):
    folders.find(tmp_path / 'nowhere')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_closed_folder_inside_is_refused(tmp_path):
  touch(tmp_path, 'a.png', 'closed/b.png')
  (tmp_path / 'closed').chmod(0)
  with pytest.raises(ValueError, match='closed: not readable .Permission'):
    folders.find(tmp_path)
  (tmp_path / 'closed').chmod(0o700)
