"""Pictures of every mode become 8-bit images as a page would show them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import decoding

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
ALPHA[0], ALPHA[1] = 0, 255


def saved(path, image, **options):
  image.save(path, **options)
  return path


def shown(colours, alpha):
  """Colours over white, in float64."""
  a = alpha[..., None] / 255.0
  colours = colours if colours.ndim == 3 else colours[..., None]
  return colours * a + 255.0 * (1.0 - a)


def png(path, depth, kind, rows):
  """A PNG file of raw rows, which Pillow cannot write itself."""

  def chunk(name, data):
    body = name + data
    size, check = len(data), zlib.crc32(body)
    return struct.pack('>I', size) + body + struct.pack('>I', check)

  height, width = rows.shape[:2]
  header = struct.pack('>IIBBBBB', width, height, depth, kind, 0, 0, 0)
  data = b''.join(b'\0' + row.tobytes() for row in rows)
  path.write_bytes(
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', header)
    + chunk(b'IDAT', zlib.compress(data))
    + chunk(b'IEND', b'')
  )
  return path


def test_hidden_colours_do_not_show(tmp_path):
  image = Image.fromarray(np.dstack([COLOURS, ALPHA]))
  found = decoding.decode(saved(tmp_path / 'a.png', image))
  np.testing.assert_allclose(found, shown(COLOURS, ALPHA), atol=0.51)
  assert found[0].min() == 255
  np.testing.assert_array_equal(found[1], COLOURS[1])


def test_grey_with_alpha_stays_grey(tmp_path):
  image = Image.fromarray(np.dstack([GREY, ALPHA]), 'LA')
  found = decoding.decode(saved(tmp_path / 'a.png', image))
  assert found.shape == (6, 5, 1)
  np.testing.assert_allclose(found, shown(GREY, ALPHA), atol=0.51)


def test_sixteen_bits_have_the_channels_of_eight(tmp_path):
  deep = np.dstack([GREY, ALPHA]).astype('>u2') * 257
  found = decoding.decode(png(tmp_path / 'a.png', 16, 4, deep))
  assert found.shape == (6, 5, 1)
  np.testing.assert_allclose(found, shown(GREY, ALPHA), atol=0.51)
  assert decoding.header(tmp_path / 'a.png').grey
  deep = np.dstack([COLOURS, ALPHA]).astype('>u2') * 257
  found = decoding.decode(png(tmp_path / 'b.png', 16, 6, deep))
  np.testing.assert_allclose(found, shown(COLOURS, ALPHA), atol=0.51)
  deep = GREY[..., None].astype('>u2') * 257
  found = decoding.decode(png(tmp_path / 'c.png', 16, 0, deep))
  np.testing.assert_array_equal(found[..., 0], GREY)


def test_a_colour_that_is_marked_as_clear_is_white(tmp_path):
  for mode, clear in (('L', 7), ('RGB', (7, 8, 9)), ('1', 0)):
    image = Image.new(mode, (4, 4), clear)
    image.putpixel((1, 0), 1 if mode == '1' else 100)
    path = saved(tmp_path / f'{mode}.png', image, transparency=clear)
    found = decoding.decode(path)
    rest = np.delete(found.reshape(16, -1), 1, 0)
    assert rest.min() == 255, mode
    assert mode == '1' or found[0, 1, 0] in (99, 100)
  deep = Image.fromarray(np.array([[300, 60000]], np.uint16))
  path = saved(tmp_path / 'deep.png', deep, transparency=300)
  assert decoding.decode(path).ravel().tolist() == [255, 233]


@pytest.mark.parametrize('transparency', [1, b'\xff\x00'])
@pytest.mark.parametrize('suffix', ['.png', '.gif'])
def test_palettes_are_looked_up_with_their_clear_colours(
  tmp_path, transparency, suffix
):
  image = Image.new('P', (2, 1))
  image.putpalette([250, 10, 20, 30, 40, 50])
  image.putpixel((1, 0), 1)
  if suffix == '.gif' and isinstance(transparency, bytes):
    transparency = 1
  path = saved(tmp_path / f'a{suffix}', image, transparency=transparency)
  found = decoding.decode(path)
  assert found.tolist() == [[[250, 10, 20], [255, 255, 255]]]


def test_a_palette_of_greys_is_grey(tmp_path):
  image = Image.new('P', (2, 1))
  image.putpalette([9, 9, 9, 200, 200, 200])
  image.putpixel((1, 0), 1)
  path = saved(tmp_path / 'a.png', image)
  assert decoding.decode(path).tolist() == [[[9], [200]]]
  assert decoding.header(path).grey


def test_premultiplied_colours_are_divided_first():
  plain = Image.fromarray(np.full((2, 2, 4), (200, 100, 50, 128), np.uint8))
  expected = shown(np.asarray(plain)[..., :3], np.full((2, 2), 128))
  found = decoding.convert(plain.convert('RGBa'), 'x')
  np.testing.assert_allclose(found, expected, atol=1.5)
  grey = Image.fromarray(np.full((2, 2, 2), (200, 128), np.uint8), 'LA')
  found = decoding.convert(grey.convert('La'), 'x')
  expected = shown(np.full((2, 2), 200), np.full((2, 2), 128))
  np.testing.assert_allclose(found, expected, atol=1.5)


def test_print_colours_are_converted(tmp_path):
  ink = Image.new('CMYK', (8, 8), (0, 0, 0, 0))
  assert decoding.decode(saved(tmp_path / 'a.jpg', ink)).min() >= 254
  ink = Image.new('CMYK', (8, 8), (0, 255, 255, 0))
  found = decoding.decode(saved(tmp_path / 'b.jpg', ink))[0, 0]
  assert found.tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize('suffix', decoding.SUFFIXES)
def test_every_format_is_read(tmp_path, suffix):
  flat = Image.new('RGB', (16, 8), (250, 10, 20))
  path = saved(tmp_path / f'a{suffix}', flat)
  found = decoding.decode(path)
  assert found.shape == (8, 16, 3)
  np.testing.assert_allclose(found[3, 3], [250, 10, 20], atol=6)
  assert decoding.header(path) == (8, 16) + (False,) * 4
  path.write_bytes(path.read_bytes()[:30])
  with pytest.raises(ValueError, match=f'a{suffix}: not a readable image'):
    decoding.decode(path)


@pytest.mark.parametrize('suffix', ['.gif', '.tiff', '.webp'])
def test_the_first_frame_counts_and_the_others_are_noticed(tmp_path, suffix):
  frames = [Image.new('RGB', (8, 8), (c, c, 0)) for c in (200, 20)]
  path = tmp_path / f'a{suffix}'
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert decoding.header(path).frames
  assert decoding.decode(path)[0, 0].tolist() == pytest.approx(
    [200, 200, 0], abs=6
  )


def test_headers_say_how_a_photograph_is_turned(tmp_path):
  photo = Image.new('RGB', (40, 20))
  exif = photo.getexif()
  exif[274] = 6
  path = saved(tmp_path / 'a.jpg', photo, exif=exif)
  assert decoding.header(path)[:2] == (40, 20)
  assert decoding.decode(path).shape == (40, 20, 3)


def test_floats_of_a_file_have_a_range_or_are_refused(tmp_path):
  unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
  found = decoding.decode(saved(tmp_path / 'a.tif', Image.fromarray(unit)))
  np.testing.assert_array_equal(found[..., 0], np.round(unit * 255.0))
  path = saved(tmp_path / 'b.tif', Image.fromarray(unit * 1000))
  with pytest.raises(ValueError, match='b.tif.*float32 from 0 to 1000'):
    decoding.decode(path)
  wide = np.array([[0, 70000]], np.int32)
  path = saved(tmp_path / 'c.tif', Image.fromarray(wide))
  with pytest.raises(ValueError, match='c.tif.*levels 0 to 70000'):
    decoding.decode(path)


def test_files_that_are_no_pictures_are_refused_with_the_formats(tmp_path):
  (tmp_path / 'a.png').write_text('text')
  with pytest.raises(ValueError, match='a.png.*no PNG, JPEG, WebP, BMP'):
    decoding.decode(tmp_path / 'a.png')
  buffer = io.BytesIO()
  Image.new('RGB', (4, 4)).save(buffer, format='PPM')
  (tmp_path / 'b.png').write_bytes(buffer.getvalue())
  with pytest.raises(ValueError, match='b.png.*no PNG'):
    decoding.header(tmp_path / 'b.png')
  with pytest.raises(ValueError, match='c.png: not readable .No such file'):
    decoding.decode(tmp_path / 'c.png')


def test_pictures_too_large_say_how_large_they_may_be(tmp_path, monkeypatch):
  path = saved(tmp_path / 'a.png', Image.new('L', (64, 64)))
  for limit in (1000, 3000):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    with pytest.raises(ValueError, match=f'more than {limit} pixels'):
      decoding.decode(path)


def test_a_wanted_shape_gives_channels_and_size():
  image = Image.fromarray(COLOURS)
  found = decoding.convert(image, 'x', (6, 5, 1))
  weights = np.array([0.299, 0.587, 0.114])
  np.testing.assert_allclose(found[..., 0], COLOURS @ weights, atol=1.0)
  assert decoding.convert(Image.fromarray(GREY), 'x', (3, 4, 3)).shape == (
    3, 4, 3
  )  # fmt: skip


@pytest.mark.parametrize(
  ('data', 'match'),
  [
    (b'version https://git-lfs.github.com/spec/v1', 'run `git lfs pull` to'),
    (b'<!DOCTYPE html>', 'a web page'),
    (b'', 'an empty file'),
  ],
)
def test_what_was_downloaded_instead_of_a_picture_is_named(
  tmp_path, data, match
):
  (tmp_path / 'a.png').write_bytes(data)
  for read in (decoding.header, decoding.decode):
    with pytest.raises(ValueError, match=f'a.png: not a readable.*{match}'):
      read(tmp_path / 'a.png')


def test_the_header_tells_transparency_and_depth(tmp_path):
  for mode, alpha in (('RGBA', True), ('LA', True), ('RGB', False)):
    path = saved(tmp_path / f'{mode}.png', Image.new(mode, (4, 4)))
    assert decoding.header(path)[4:] == (alpha, False)
  deep = Image.fromarray(np.zeros((4, 4), np.uint16))
  for suffix in ('.png', '.tif'):
    path = saved(tmp_path / f'deep{suffix}', deep)
    assert decoding.header(path)[4:] == (False, True)
