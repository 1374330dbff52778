"""Zip archives of others: bounds before memory, and no paths."""

import zipfile

import pytest

from coalesce_jax.data import zips


def archive(folder, members, **options):
  path = folder / 'a.zip'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as made:
    for name, data in members:
      made.writestr(name, data, **options)
  return path


def test_members_that_match_are_read_in_order(tmp_path):
  path = archive(
    tmp_path, [('b/2.png', b'two'), ('b/1.png', b'one'), ('c.txt', b'no')]
  )
  found = zips.read(path, r'b/\d\.png')
  assert found == {'b/1.png': b'one', 'b/2.png': b'two'}
  assert list(found) == ['b/1.png', 'b/2.png']


def test_nothing_is_written_for_names_that_lead_elsewhere(tmp_path):
  path = archive(tmp_path, [('../../x.png', b'a'), ('/etc/x.png', b'b')])
  before = sorted(tmp_path.parent.rglob('*'))
  assert len(zips.read(path, r'.*')) == 2
  assert zips.read(path, r'[^/]+/x\.png') == {}
  assert sorted(tmp_path.parent.rglob('*')) == before


@pytest.mark.parametrize(
  ('bounds', 'message'),
  [
    ({'max_member_bytes': 99}, 'big has 100 bytes, more than 99'),
    ({'max_bytes': 149}, '150 bytes, more than 149'),
    ({'max_members': 1}, '2 members, more than 1'),
  ],
)
def test_what_is_too_large_is_refused(tmp_path, bounds, message):
  path = archive(tmp_path, [('big', b'0' * 100), ('small', b'1' * 50)])
  assert len(zips.read(path, r'.*')) == 2
  with pytest.raises(ValueError, match=message):
    zips.read(path, r'.*', **bounds)


def test_a_member_that_unpacks_to_more_than_it_promises_is_refused(tmp_path):
  path = archive(tmp_path, [('bomb', b'0' * 100_000)])
  data = path.read_bytes()
  # Both headers claim ten bytes.
  claim = (100_000).to_bytes(4, 'little')
  assert data.count(claim) == 2
  path.write_bytes(data.replace(claim, (10).to_bytes(4, 'little')))
  with pytest.raises(ValueError, match=r'a\.zip: '):
    zips.read(path, r'.*')


def test_damaged_and_missing_archives_are_refused_in_one_line(tmp_path):
  path = archive(tmp_path, [('one', b'0123456789' * 50)])
  good = path.read_bytes()
  for bad in (b'', b'PK', good[:-30], good.replace(good[40:44], b'\0\1\2\3')):
    path.write_bytes(bad)
    with pytest.raises(ValueError, match=r'a\.zip: ') as error:
      zips.read(path, r'.*')
    assert '\n' not in str(error.value)
  with pytest.raises(ValueError, match='no.zip: not unpacked'):
    zips.read(tmp_path / 'no.zip', r'.*')


def test_a_list_of_members_that_is_too_long_is_refused_unread(tmp_path):
  path = archive(tmp_path, [('one', b'1')])
  data = path.read_bytes()
  end = data.rindex(b'PK\5\6')
  claim = (1 << 30).to_bytes(4, 'little')
  path.write_bytes(data[: end + 12] + claim + data[end + 16 :])
  with pytest.raises(ValueError, match='its list of members is too long'):
    zips.read(path, r'.*')
  path.write_bytes(data[:end] + b'PK\6\6' + data[end:])
  with pytest.raises(ValueError, match='a zip64 archive'):
    zips.read(path, r'.*')
