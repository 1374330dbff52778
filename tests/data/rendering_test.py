"""Vector pictures on white, and what is refused."""

import sys

import numpy as np
import pytest

from coalesce_jax.data import rendering

HALF = (
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}">'
  '<rect width="4" height="8" fill="{}"/></svg>'
)


def svg(inner):
  head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
  return f'{head}{inner}</svg>'.encode()


@pytest.mark.parametrize('side', [8, 16])
def test_a_picture_is_drawn_on_white(side):
  found = rendering.render(HALF.format(8, 8, '#ff8000').encode(), 'a', side)
  expected = np.full((side, side, 3), 255, np.uint8)
  expected[:, : side // 2] = (255, 128, 0)
  np.testing.assert_array_equal(found, expected)


def test_transparent_colours_show_white():
  text = svg('<rect width="8" height="8" fill-opacity="0.5" fill="#000"/>')
  found = rendering.render(text, 'a', 4)
  np.testing.assert_allclose(found, 127.5, atol=1)


def test_a_picture_that_is_no_square_lies_in_the_middle():
  found = rendering.render(HALF.format(4, 8, '#000').encode(), 'a', 8)
  expected = np.full((8, 8, 3), 255, np.uint8)
  expected[:, 2:6] = 0
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  'text,match',
  [
    (svg('<image href="/etc/passwd"/>'), 'outside'),
    (svg('<use xlink:href="other.svg#a"/>'), 'outside'),
    (svg('<rect fill="url(other.svg#a)"/>'), 'outside'),
    (svg('<style>@import "a.css"</style>'), 'outside'),
    (b'<!DOCTYPE svg [<!ENTITY a "b">]>' + svg(''), 'outside'),
    (svg('<g>'), 'not rendered'),
    (b'not a picture', 'not rendered'),
    (b'\xff\xfe', 'UTF-8'),
    (svg(' ' * (1 << 20)), 'more than'),
  ],
)
def test_what_is_no_safe_picture_is_refused_in_one_line(text, match):
  with pytest.raises(ValueError, match=f'a/b: .*{match}') as caught:
    rendering.render(text, 'a/b', 8)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('side', [16, 32, 64])
def test_a_picture_that_is_nearly_a_square_fits(side):
  text = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 33">'
    '<rect width="32" height="33"/></svg>'
  )
  found = rendering.render(text.encode(), 'x', side)
  assert found.shape == (side, side, 3)
  # All of it but what is left and right of the picture is black.
  assert (found.max(-1) < 128).mean() > 0.9
  assert found[:, side // 2].max() < 128


def test_references_within_a_picture_are_fine():
  inner = '<g id="a"/><use href="#a"/><rect fill="url(#b)"/>'
  assert rendering.render(svg(inner), 'a', 4).shape == (4, 4, 3)


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
  monkeypatch.setitem(sys.modules, 'resvg_py', None)
  with pytest.raises(ValueError, match=r'coalesce_jax\[translation\]'):
    rendering.render_all({'a': svg('')}, 8, 'toy')


def test_all_pictures_are_rendered_by_name_and_counted():
  texts = {
    name: HALF.format(8, 8, colour).encode()
    for name, colour in (('b', '#000'), ('a', '#fff'))
  }
  shown = []
  images, names = rendering.render_all(
    texts,
    4,
    'toy',
    lambda text, total: lambda done: shown.append((done, total)),
  )
  assert names == ['a', 'b'] and images.dtype == np.uint8
  assert images[0].min() == 255 and images[1, :, :2].max() == 0
  assert shown == [(0, 2), (1, 2), (2, 2)]


def test_too_many_pixels_are_refused_before_anything_is_drawn():
  with pytest.raises(ValueError, match='smaller size'):
    rendering.render_all({'a': b''}, 1 << 15, 'toy')
