"""Where patches lie, and how many products they need."""

import itertools

import pytest

from coalesce_jax.ops import patch_geometry
from coalesce_jax.parallel import batch_shards


def made(out=(8, 8), channels=32, features=64, kernel=4, stride=2, batch=None):
  """A geometry without padding of so many patches."""
  image = tuple((n - 1) * stride + kernel for n in out)
  shape = (kernel, kernel, channels, features)
  return patch_geometry.geometry(image, shape, stride, ((0, 0), (0, 0)), batch)


@pytest.mark.parametrize('kernel,stride', [(4, 2), (5, 2), (3, 1), (2, 3)])
def test_blocks_hold_every_patch_and_nothing_beyond_the_last(kernel, stride):
  pads = ((1, 0), (0, 2))
  for image in itertools.product((5, 8), (6, 9)):
    shape = patch_geometry.geometry(image, (kernel, kernel, 1, 1), stride, pads)
    assert (shape.kernel, shape.stride) == (kernel, stride)
    # What a patch reads of each block on its way: all of its pixels, in order.
    blocks = [[j // stride for j in range(kernel)].count(i) for i in range(9)]
    assert list(shape.phases) == [n for n in blocks if n]
    for axis in (0, 1):
      low, high = pads[axis]
      starts = range(0, image[axis] + low + high - kernel + 1, stride)
      assert shape.out[axis] == len(starts)
      end = starts[-1] + len(shape.phases) * stride
      assert shape.blocks[axis] * stride == end
      assert shape.edges[axis] == (low, end - low - image[axis])


def test_a_kernel_larger_than_the_padded_image_is_refused():
  def shape(height, width):
    return patch_geometry.geometry(
      (height, width), (4, 4, 1, 1), 2, ((1, 1), (0, 0))
    ).out

  assert shape(2, 4) == (1, 1)
  for image in ((1, 4), (2, 3)):
    with pytest.raises(ValueError, match=r'4 exceeds the padded .*\(\d, \d\)'):
      shape(*image)


@pytest.mark.parametrize(
  'changes,directions',
  [
    # The narrower factor has 4 C rows, or 2 F.
    ({}, 2),
    ({'channels': 31}, 1),
    ({'features': 63}, 1),
    ({'channels': 16, 'features': 32}, 1),
    ({'channels': 15}, 0),
    ({'features': 31}, 0),
    # Two whole blocks on each axis, of more than one patch.
    ({'kernel': 3, 'channels': 128}, 0),
    ({'kernel': 5}, 0),
    ({'kernel': 2, 'stride': 1, 'channels': 128}, 2),
    ({'kernel': 2, 'stride': 1, 'channels': 127}, 1),
    ({'out': (2, 2)}, 2),
    ({'out': (1, 8)}, 0),
    ({'out': (8, 1)}, 0),
  ],
)
def test_wide_convolutions_are_tiled(changes, directions):
  assert made(**changes).tiled == directions


@pytest.mark.parametrize(
  'out,batch,changes,found',
  [
    # Three taps: rows of the narrower factor, patches, outputs of a tile.
    ((16, 16), 1, {'kernel': 3, 'channels': 128}, (1, 2)),
    ((16, 16), 2, {'kernel': 3, 'channels': 128}, (2, 2)),
    ((16, 16), 2, {'kernel': 3, 'channels': 127}, (0, 0)),
    ((16, 16), 2, {'kernel': 3, 'channels': 128, 'features': 63}, (0, 0)),
    ((16, 16), 8, {'kernel': 3, 'channels': 255}, (2, 2)),
    ((16, 16), 8, {'kernel': 3, 'channels': 256, 'features': 128}, (2, 4)),
    ((18, 16), 8, {'kernel': 3, 'channels': 256, 'features': 128}, (2, 2)),
    # Four taps.
    ((15, 15), 5, {'kernel': 4, 'channels': 64}, (2, 3)),
    ((15, 15), 4, {'kernel': 4, 'channels': 64}, (0, 0)),
    ((15, 15), 5, {'kernel': 4, 'channels': 63}, (0, 0)),
  ],
)
def test_stride_one_is_tiled(out, batch, changes, found):
  shape = made(out, **{'stride': 1, 'batch': batch} | changes)
  assert (shape.tiled, shape.tile) == found
  assert shape.out == out or not found[0]


def test_outputs_fill_whole_tiles():
  shape = made((31, 31), channels=64, stride=1, batch=2)
  assert shape.out == (33, 33)
  # The last tile reads two pixels beyond the image.
  assert shape.edges == ((0, 2), (0, 2))
  assert shape.blocks == (36, 36)
  assert patch_geometry.product_sizes(shape) == [(11, 11)] * 36
  assert len(patch_geometry.product_groups(shape)) == 1
  # Too many in vain: 36 for 25.
  assert made((5, 5), channels=64, stride=1, batch=99).tile == 0


def test_plain_programs_are_not_tiled():
  with patch_geometry.plain():
    assert made().tiled == 0
  assert made().tiled == 2
  with pytest.raises(KeyError), patch_geometry.plain():
    raise KeyError
  assert made().tiled == 2


def test_products_are_stacked_where_a_share_has_one_core():
  assert not made().stacked
  with batch_shards.split(2):
    assert made().stacked and made(channels=16).stacked
    assert not made(channels=1).stacked


@pytest.mark.parametrize(
  # Eight results are two tiles of three and two: 4 + 4 + 3 products; seven two
  # tiles and one: 4 + 4 + 2. A filter of two taps has two products a result.
  'count,products',
  [(8, 11), (7, 10), (6, 8), (3, 4), (2, 3)],
)
def test_tiles_save_products(count, products):
  sizes = patch_geometry.product_sizes(made((count, count)))
  assert len(sizes) == 16
  assert sum(h * w for h, w in sizes) == products**2
  columns = patch_geometry.product_sizes(made((count, count), channels=16))
  assert len(columns) == 4
  assert sum(h * w for h, w in columns) == products * count
  # Rows and columns are not confused.
  columns = patch_geometry.product_sizes(made((5, count), channels=16))
  assert {h for h, _ in columns} == {5}
  other = patch_geometry.product_sizes(made((count, 6)))
  assert [w for _, w in other] == [2] * 16
  assert sum(h for h, _ in other[:4]) == products
  assert other[:4] == other[12:]


def test_products_of_no_values_are_left_out_and_equal_sizes_join():
  # Two results: three products of one value, and none of the third kind.
  shape = made((2, 2))
  some = [[i] for i in range(16) if i % 4 != 2 and i // 4 != 2]
  assert patch_geometry.product_groups(shape) == some
  together = patch_geometry.product_groups(shape._replace(stacked=True))
  assert together == [[i for (i,) in some]]
  # Four: one tile and one more, so that the outer two have a value more.
  groups = patch_geometry.product_groups(made((4, 4))._replace(stacked=True))
  sizes = patch_geometry.product_sizes(made((4, 4)))
  assert [len(group) for group in groups] == [4, 4, 4, 4]
  assert sorted(sum(groups, [])) == list(range(16))
  assert {sizes[i] for i in groups[0]} == {(2, 2)}
  for group in groups:
    assert len({sizes[i] for i in group}) == 1
