"""Columns of examples, and the pictures that a report finds."""

import io

import numpy as np
from PIL import Image

from coalesce_jax.runs import pictures


def test_levels_are_those_of_the_range():
  image = np.array([[[-1.0], [0.0], [1.0], [2.0]]])
  np.testing.assert_array_equal(
    pictures.levels(image)[0, :, 0], [0, 128, 255, 255]
  )
  assert pictures.levels(np.zeros((2, 2, 2))).shape == (2, 2, 1)
  assert pictures.levels(np.zeros((2, 2, 5))).shape == (2, 2, 3)
  same = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
  np.testing.assert_array_equal(pictures.levels(same), same)


def test_each_example_is_a_row_and_each_set_a_column():
  grey = np.stack([np.full((2, 3, 1), k, np.uint8) for k in (10, 20)])
  colour = np.stack([np.full((4, 4, 3), k, np.uint8) for k in (30, 40, 50)])
  sheet = pictures.columns([grey, colour])
  # Two rows of 4 pixels and columns of 3 and 4, with gaps of 2.
  assert sheet.shape == (2 + 2 * 6, 2 + 5 + 6, 3)
  assert np.all(sheet[2:4, 2:5] == 10) and np.all(sheet[2:6, 7:11] == 30)
  assert np.all(sheet[8:10, 2:5] == 20) and np.all(sheet[8:12, 7:11] == 40)
  assert np.all(sheet[:2] == 128) and not np.any(sheet == 50)


def test_pictures_of_a_folder_become_one_figure(tmp_path):
  assert pictures.read(tmp_path / 'none') == ({}, '')
  assert pictures.figures({}) == {}
  buffer = io.BytesIO()
  Image.fromarray(np.full((3, 3), 7, np.uint8)).save(buffer, 'PNG')
  (tmp_path / 'held_out.png').write_bytes(buffer.getvalue())
  (tmp_path / 'columns.txt').write_text('Columns: a, b.')
  (tmp_path / 'notes.md').write_text('no picture')
  found, text = pictures.read(tmp_path)
  assert list(found) == ['held out'] and text == 'Columns: a, b.'
  (axis,) = pictures.figures(found)['samples'].axes
  assert axis.get_title() == 'held out'
  np.testing.assert_array_equal(
    axis.images[0].get_array(), np.full((3, 3, 3), 7)
  )
