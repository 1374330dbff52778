"""Archives: read without trust, whatever they name and however large."""

import shutil
import subprocess

import pytest

from coalesce_jax.data import archives
from tests.data.packed import archive
from tests.data.packed import sha

GOOD = {'a.bin': b'good', 'b.bin': b'also good'}


def test_paths_inside_an_archive_are_not_followed(tmp_path):
  source = archive(
    tmp_path / 'a.tgz',
    {'../../evil': b'evil', '/evil': b'evil', 'x/../../../a.bin': b'good'},
  )
  target = tmp_path / 'out' / 'deep'
  archives.unpack(source, {'a.bin': sha(b'good')}, target)
  assert [p.name for p in target.iterdir()] == ['a.bin']
  assert not list(tmp_path.rglob('evil'))


@pytest.mark.parametrize('name', ['other', 'package/a.bin'])
def test_links_and_missing_members_are_refused(tmp_path, name):
  source = archive(tmp_path / 'a.tgz', {'b.bin': b''}, link=name)
  with pytest.raises(ValueError, match=r'a\.tgz: no a\.bin inside'):
    archives.unpack(source, {'a.bin': sha(b'good')}, tmp_path / 'out')


def test_members_with_another_digest_are_not_written(tmp_path):
  source = archive(tmp_path / 'a.tgz', {'a.bin': b'evil'})
  with pytest.raises(ValueError, match='sha256 of a.bin'):
    archives.unpack(source, {'a.bin': sha(b'good')}, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_members_that_are_too_large_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(archives, 'MAX_MEMBER_BYTES', 3)
  source = archive(tmp_path / 'a.tgz', {'a.bin': b'good'})
  with pytest.raises(ValueError, match='has 4 bytes'):
    archives.unpack(source, {'a.bin': sha(b'good')}, tmp_path / 'out')


@pytest.mark.parametrize('name', ['a.tgz', 'a.deb'])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path, name):
  (tmp_path / name).write_bytes(b'something else')
  with pytest.raises(ValueError, match='not unpacked') as caught:
    archives.unpack(tmp_path / name, {'a.bin': ''}, tmp_path / 'out')
  assert '\n' not in str(caught.value)


def test_archives_that_are_cut_short_are_refused(tmp_path):
  source = archive(tmp_path / 'a.tgz', {'a.bin': bytes(range(256)) * 40})
  data = source.read_bytes()
  for length in (len(data) // 3, len(data) // 2, len(data) - 12):
    source.write_bytes(data[:length])
    with pytest.raises(ValueError, match=r'a\.tgz: '):
      archives.unpack(source, {'a.bin': '0'}, tmp_path / 'out')


@pytest.mark.skipif(not shutil.which('dpkg-deb'), reason='dpkg-deb not there')
def test_debian_packages_are_unpacked(tmp_path):
  control = tmp_path / 'tree' / 'DEBIAN' / 'control'
  control.parent.mkdir(parents=True)
  control.write_text(
    'Package: toy\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\n'
    'Description: toy\n'
  )
  share = tmp_path / 'tree' / 'usr' / 'share'
  share.mkdir(parents=True)
  for name, data in GOOD.items():
    (share / name).write_bytes(data)
  subprocess.run(
    ['dpkg-deb', '--build', tmp_path / 'tree', tmp_path / 'toy_1.deb'],
    check=True,
    capture_output=True,
  )
  wanted = {name: sha(data) for name, data in GOOD.items()}
  archives.unpack(tmp_path / 'toy_1.deb', wanted, tmp_path / 'out')
  assert {p.name: p.read_bytes() for p in (tmp_path / 'out').iterdir()} == GOOD


def test_files_are_read_by_their_whole_name(tmp_path):
  source = archive(
    tmp_path / 'a.tgz',
    {'p/b.svg': b'2', 'p/a.svg': b'1', 'p/a.png': b'3', 'q/p/a.svg': b'4'},
    link='p/c.svg',
  )
  assert archives.read(source, r'p/[^/]+\.svg') == {
    'p/a.svg': b'1',
    'p/b.svg': b'2',
  }
  assert archives.names(source, r'.*/a\..*') == [
    'p/a.png',
    'p/a.svg',
    'q/p/a.svg',
  ]


@pytest.mark.parametrize('limit', ['member', 'all'])
def test_files_that_are_too_large_are_not_read(tmp_path, monkeypatch, limit):
  source = archive(tmp_path / 'a.tgz', {'a': b'12', 'b': b'34'})
  if limit == 'all':
    monkeypatch.setattr(archives, 'MAX_BYTES', 3)
  with pytest.raises(ValueError, match=r'a\.tgz: . has 2 bytes, more than'):
    archives.read(source, '.', 1 if limit == 'member' else 2)


@pytest.mark.parametrize('read', [archives.read, archives.names])
def test_a_damaged_archive_is_refused_in_one_line(tmp_path, read):
  (tmp_path / 'a.tgz').write_bytes(b'something else')
  with pytest.raises(ValueError, match='not unpacked') as caught:
    read(tmp_path / 'a.tgz', '.*')
  assert '\n' not in str(caught.value)
