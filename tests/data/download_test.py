"""Packages: searched in order, fetched by a client, unpacked without trust."""

import os
import shutil
import threading

import pytest

from coalesce_jax.core import user_cache
from coalesce_jax.data import download
from tests import locked
from tests.data.packed import archive
from tests.data.packed import sha

GOOD = {'a.bin': b'good', 'b.bin': b'also good'}


def place(folder, members=GOOD):
  folder.mkdir(parents=True, exist_ok=True)
  for name, data in members.items():
    (folder / name).write_bytes(data)
  return folder


@pytest.fixture
def world(tmp_path, monkeypatch):
  """A machine with nothing on it; no test reaches the network."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.delenv('COALESCE_DATA', raising=False)
  monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
  package = download.Package(
    files={name: sha(data) for name, data in GOOD.items()},
    client=('fetcher', 'pack'),
    archive='toy-*.tgz',
    archive_sha256='',
    debian=str(tmp_path / 'debian'),
    advice='fetch it',
  )
  monkeypatch.setattr(download, 'PACKAGES', {'toy': package})
  return tmp_path


def client(world, script):
  (world / 'bin').mkdir()
  path = world / 'bin' / 'fetcher'
  path.write_text(f'#!/bin/sh\n{script}\n')
  path.chmod(0o755)


def fetches(world, source):
  client(world, f"{shutil.which('cp', path=os.defpath)} '{source}' toy-1.tgz")


def test_the_first_place_of_the_order_is_taken(world, monkeypatch):
  assert download.find('toy') is None
  places = [
    (world / 'debian', lambda: None),
    (world / 'cache' / 'coalesce_jax' / 'toy', lambda: None),
    (world / 'env', lambda: monkeypatch.setenv(
      'COALESCE_DATA', str(world / 'env')
    )),
  ]  # fmt: skip
  for folder, act in places:
    place(folder), act()
    assert download.find('toy') == folder
  mine = place(world / 'mine' / 'toy')
  assert download.find('toy', str(world / 'mine')) == mine
  assert download.find('toy', str(mine)) == mine


def test_a_folder_without_the_files_is_passed_over(world):
  found = place(world / 'cache' / 'coalesce_jax' / 'toy')
  place(world / 'mine', {'a.bin': b'good'})
  assert download.find('toy', str(world / 'mine')) == found


def test_no_folder_for_data_dir_is_refused(world):
  with pytest.raises(ValueError, match='nowhere'):
    download.find('toy', str(world / 'nowhere'))


def test_another_digest_is_refused_wherever_it_lies(world, monkeypatch):
  evil = GOOD | {'b.bin': b'also evil'}
  place(world / 'cache/coalesce_jax/toy', evil)
  place(world / 'mine', evil)
  for folder in (None, str(world / 'mine')):
    with pytest.raises(ValueError, match=r'b\.bin: sha256 .* remove the file'):
      download.find('toy', folder)
  monkeypatch.setenv('COALESCE_DATA', str(world / 'mine'))
  with pytest.raises(ValueError, match=r'mine/b\.bin: sha256'):
    download.find('toy')


def test_damaged_files_of_the_cache_are_replaced(world):
  folder = place(world / 'cache/coalesce_jax/toy', GOOD | {'b.bin': b''})
  # By those of another place, or by new ones.
  place(world / 'debian')
  assert download.find('toy') == world / 'debian'
  shutil.rmtree(world / 'debian')
  members = {f'package/{k}': v for k, v in GOOD.items()}
  fetches(world, archive(world / 'source.tgz', members))
  assert download.find('toy') == folder
  assert (folder / 'b.bin').read_bytes() == GOOD['b.bin']


def test_a_second_process_takes_what_the_first_one_downloads(world):
  client(world, 'exit 1')
  target = world / 'cache' / 'toy'
  target.mkdir(parents=True)
  first = locked.elsewhere(target.parent / '.toy.lock')
  timer = threading.Timer(0.2, lambda: (place(target), first.communicate()))
  timer.start()
  assert download.fetch('toy', target)
  timer.join()


def test_a_client_fetches_into_the_cache_once(world):
  members = {f'package/{k}': v for k, v in GOOD.items()}
  fetches(world, archive(world / 'source.tgz', members))
  found = download.find('toy')
  assert found == user_cache.folder() / 'toy'
  assert {p.name: p.read_bytes() for p in found.iterdir()} == GOOD
  (world / 'source.tgz').unlink()
  assert download.find('toy') == found


@pytest.mark.parametrize('script', ['exit 1', 'exit 0', 'exec /nonexistent'])
def test_a_client_that_fails_is_no_source(world, script):
  client(world, script)
  assert download.find('toy') is None


def test_a_client_that_hangs_is_no_source(world, monkeypatch):
  client(world, f'exec {shutil.which("sleep", path=os.defpath)} 30')
  monkeypatch.setattr(download, 'TIMEOUT_S', 0.2)
  assert download.find('toy') is None


def test_an_archive_with_another_digest_is_refused(world, monkeypatch):
  fetches(world, archive(world / 'source.tgz', GOOD))
  package = download.PACKAGES['toy']._replace(archive_sha256='0' * 64)
  monkeypatch.setitem(download.PACKAGES, 'toy', package)
  with pytest.raises(ValueError, match='not what was published'):
    download.find('toy')
  assert not list((world / 'cache').rglob('*.bin'))


def test_an_archive_that_is_wanted_itself_is_kept_whole(world):
  source = archive(world / 'source.tgz', GOOD)
  data = source.read_bytes()
  package = download.PACKAGES['toy']._replace(
    files={'toy-1.tgz': sha(data)}, archive_sha256=sha(data)
  )
  fetches(world, source)
  folder = download.find('kept', package=package)
  assert (folder / 'toy-1.tgz').read_bytes() == data
  (folder / 'toy-1.tgz').write_bytes(data[:-1])
  assert download.find('kept', package=package) == folder
  assert (folder / 'toy-1.tgz').read_bytes() == data


def test_every_file_of_every_package_has_a_digest():
  for package in download.PACKAGES.values():
    for digest in package.files.values():
      assert len(digest) == 64 and set(digest) <= set('0123456789abcdef')
