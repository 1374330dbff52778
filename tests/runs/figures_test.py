"""Figures: where the images of a grid lie."""

import numpy as np

from coalesce_jax.runs import figures


def test_images_lie_row_by_row_between_gaps():
  images = np.stack([np.full((2, 3, 1), v, np.uint8) for v in (0, 51, 255)])
  sheet = figures.tile(images, gap=1)
  # Two by two cells of 2 x 3 pixels, with a gap of one around each.
  assert sheet.shape == (7, 9, 1)
  cells = [sheet[1:3, 1:4], sheet[1:3, 5:8], sheet[4:6, 1:4]]
  for cell, value in zip(cells, (0.0, 0.2, 1.0), strict=True):
    np.testing.assert_allclose(cell, value)
  grey = sheet[0, 0, 0]
  np.testing.assert_allclose(sheet[4:6, 5:8], grey)
  np.testing.assert_allclose(sheet[:, [0, 4, 8]], grey)


def test_numbers_between_minus_one_and_one_are_shown_as_grey_values():
  images = np.array([-1.0, 0.0, 1.0, 3.0]).reshape(4, 1, 1, 1)
  sheet = figures.tile(images, gap=0)
  np.testing.assert_allclose(sheet[..., 0], [[0.0, 0.5], [1.0, 1.0]])


def test_every_grid_has_a_panel_of_its_name():
  drawn = figures.samples_figure(
    {f'node_{k}': np.zeros((4, 2, 2, 1), np.uint8) for k in range(5)}
  )
  shown = [ax.get_title() for ax in drawn.axes if ax.images]
  assert shown == [f'node {k}' for k in range(5)]
