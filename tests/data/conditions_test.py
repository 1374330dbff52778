"""Pictures to translate: found by looking, and read one at a time."""

from PIL import Image
import pytest

from coalesce_jax.data import conditions
from coalesce_jax.data import pair_settings

OWN = pair_settings.Settings(preprocess='none')


def picture(path, size):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (size, size), (200, 10, 10)).save(path)


@pytest.mark.parametrize('inner', ['testA', 'A', '.'])
def test_conditions_alone_keep_their_sizes(tmp_path, inner):
  picture(tmp_path / inner / 'one.png', 8)
  picture(tmp_path / inner / 'two.png', 10)
  found = conditions.find(str(tmp_path), OWN)
  assert found.read(0).shape == (8, 8, 3) and found.names == ['one', 'two']
  assert found.read(1).shape == (10, 10, 3)
  settings = pair_settings.Settings(crop_size=6, condition_channels=1)
  found = conditions.find(str(tmp_path), settings)
  assert {found.read(k).shape for k in range(2)} == {(6, 6, 1)}


def test_conditions_alone_need_names_and_sizes(tmp_path):
  picture(tmp_path / 'one.png', 8)
  picture(tmp_path / 'two.png', 4)
  with pytest.raises(ValueError, match=r'two\.png: 4x4 pixels, at least 5'):
    conditions.find(str(tmp_path), OWN, 5)
  picture(tmp_path / 'two.jpg', 4)
  with pytest.raises(ValueError, match='two files named two, with other endin'):
    conditions.find(str(tmp_path), OWN)
  with pytest.raises(ValueError, match='none: no such file or folder'):
    conditions.find(str(tmp_path / 'none'), OWN)
