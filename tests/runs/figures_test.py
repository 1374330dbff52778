"""Figures of a run: what is drawn where, from which numbers."""

import numpy as np
import pytest

from coalesce_jax.runs import figures


def levels(n, channels=1, height=2, width=3):
  """Images of one level each, 0 to 255."""
  images = np.zeros((n, height, width, channels), np.uint8)
  images += np.arange(n, dtype=np.uint8)[:, None, None, None] * 10 + 10
  return images


def data(line):
  return line.get_xdata().tolist(), line.get_ydata().tolist()


def labels(ax):
  return [text.get_text() for text in ax.get_legend().get_texts()]


def gridded(ax):
  return ax.xaxis.get_gridlines()[0].get_visible()


def test_images_lie_in_a_square_by_rows_with_gaps_between():
  sheet = figures.tile(levels(5), gap=2)
  # Three to a row, two rows; gaps around every image.
  assert sheet.shape == (2 * (2 + 2) + 2, 3 * (3 + 2) + 2, 1)
  expected = np.full(sheet.shape, 0.35)
  for i, (top, left) in enumerate(
    [(2, 2), (2, 7), (2, 12), (6, 2), (6, 7)]
  ):  # fmt: skip
    expected[top : top + 2, left : left + 3] = (10 * i + 10) / 255
  np.testing.assert_allclose(sheet, expected)
  assert figures.tile(levels(4)).shape == (2 * 3 + 1, 2 * 4 + 1, 1)


def test_images_of_numbers_are_scaled_and_cut():
  numbers = np.array([-1.0, 0.0, 1.0, 3.0]).reshape(4, 1, 1, 1)
  found = figures.tile(numbers, gap=0).reshape(-1)
  np.testing.assert_allclose(found, [0.0, 0.5, 1.0, 1.0])
  assert figures.tile([[[[-1.0]]]], gap=0).item() == 0.0


@pytest.mark.parametrize('count,shape', [(1, (1, 1)), (4, (1, 4)), (5, (2, 4))])
def test_samples_have_a_panel_a_grid(count, shape):
  grids = {f'name_{i}': levels(i + 1, 1 + 2 * (i == 0)) for i in range(count)}
  drawn = figures.samples_figure(grids)
  axes = drawn.get_axes()
  assert len(axes) == np.prod(shape)
  assert axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
  width, height = drawn.get_size_inches()
  assert (width, height) == pytest.approx((3.2 * shape[1], 3.4 * shape[0]))
  assert not any(ax.axison for ax in axes)
  for i, ax in enumerate(axes):
    if i >= count:
      assert not ax.get_title() and not ax.images
      continue
    assert ax.get_title() == f'name {i}'
    (image,) = ax.images
    sheet = figures.tile(grids[f'name_{i}'])
    np.testing.assert_allclose(
      image.get_array(), sheet if i == 0 else sheet[..., 0]
    )
    assert image.get_clim() == (0.0, 1.0)
    assert image.get_cmap().name == 'gray'


def curve(stage, *values):
  return [
    {'stage': f'{stage}/curve', 'step': 10 * t, 'frechet': list(row)}
    for t, row in enumerate(values)
  ]


RECORDS = [
  *curve('fine_tuned', (9.0, 5.0), (4.0, 2.0)),
  {'stage': 'fine_tuned', 'step': 3, 'w1': [1.0]},
  *curve('ternary', (1.0, 1.0)),
  *curve('adapted', (8.0, 2.0)),
]
ROWS = {
  'adapted': {'real': [0.5, 1.5]}, 'fine_tuned': {'real': [7.0, 7.0]}
}  # fmt: skip


def test_curves_are_means_over_replicas_with_their_range():
  (ax,) = figures.adaptation_figure(RECORDS, ROWS).get_axes()
  one, other, real = ax.get_lines()
  assert data(one) == ([0, 10], [7.0, 3.0])
  assert data(other) == ([0], [5.0])
  assert real.get_ydata() == [1.0, 1.0]
  assert labels(ax) == ['fine tuned', 'adapted', 'real']
  band = ax.collections[0].get_paths()[0].vertices
  assert {tuple(v) for v in band.tolist()} == {
    (0.0, 9.0), (0.0, 5.0), (10.0, 4.0), (10.0, 2.0)
  }  # fmt: skip
  assert ax.collections[0].get_facecolor()[0, 3] == pytest.approx(0.2)
  assert tuple(ax.collections[0].get_facecolor()[0, :3]) == tuple(
    ax.collections[0].get_edgecolor()[0, :3]
  )
  assert one.get_marker() == 'o' and real.get_linestyle() == ':'
  assert real.get_color() == 'black'
  assert ax.get_figure().get_size_inches().tolist() == [7.5, 4.5]
  assert ax.get_yscale() == 'log' and gridded(ax)
  assert ax.get_xlabel().startswith('generator steps')
  assert ax.get_ylabel() == 'squared Frechet distance'


def test_without_scores_no_floor_is_drawn_and_without_curves_nothing():
  (ax,) = figures.adaptation_figure(RECORDS, {}).get_axes()
  assert labels(ax) == ['fine tuned', 'adapted']
  assert figures.adaptation_figure(RECORDS[2:4], ROWS) is None
  assert figures.adaptation_figure([], ROWS) is None


def row(stage, step, w1, position=None):
  found = {'stage': stage, 'step': step, 'w1_smooth': w1}
  if position is not None:
    found['position'] = position
    found |= {'residual': [0.1, 0.3], 'distance': [4.0, 2.0]}
  return found


def test_distances_have_a_column_a_stage():
  records = [
    row('adapted', 5, [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]),
    # Replicas disagree: the mean of the last position lies beyond the segment.
    row('barycenter', 0, [[1.0, 8.0], [3.0, 6.0]], [0.25, 0.75]),
    row('barycenter', 10, [[2.0, 2.0], [2.0, 2.0]], [0.5, 1.75]),
    row('barycenter', 20, [[2.0, 2.0], [2.0, 2.0]], [-0.5, 0.25]),
    row('pretrain', 1, [[0.0]]),
  ]
  drawn = figures.distances_figure(records, {})
  axes = np.reshape(drawn.get_axes(), (2, 2))
  assert drawn.get_size_inches().tolist() == [10.0, 6.0]
  assert [ax.get_title() for ax in axes[0]] == ['barycenter', 'adapted']
  top, bottom = axes[:, 0]
  lines = [data(line) for line in top.get_lines()]
  assert lines[0] == ([0, 10, 20], [2.0, 2.0, 2.0])
  assert lines[1] == ([0, 10, 20], [7.0, 2.0, 2.0])
  np.testing.assert_allclose(lines[2][1], [0.2] * 3)
  np.testing.assert_allclose(lines[3][1], [3.0] * 3)
  assert labels(top) == [
    'W1 to source 1', 'W1 to source 2', 'residual', 'distance of the sources'
  ]  # fmt: skip
  dashes = [(x.get_color(), x.get_linestyle()) for x in top.get_lines()[2:]]
  assert dashes == [('grey', '--'), ('black', ':')]
  assert top.get_shared_x_axes().joined(top, bottom)
  (position,) = bottom.get_lines()
  np.testing.assert_array_equal(position.get_ydata(), [0.5, np.nan, np.nan])
  assert position.get_xdata().tolist() == [0, 10, 20]
  assert bottom.get_ylim() == (0.0, 1.0)
  assert bottom.get_ylabel() == 'position on the segment'
  # Without a position of the sources there is none.
  top, bottom = axes[:, 1]
  assert [data(line)[1] for line in top.get_lines()] == [[3.0], [5.0]]
  assert labels(top) == ['W1 to local samples', 'W1 to metamodel']
  assert not bottom.get_lines() and not bottom.axison
  assert all(gridded(ax) for ax in (*axes[0], axes[1, 0]))
  assert axes[1, 0].get_xlabel() == top.get_xlabel() == 'generator steps'
  assert {ax.get_ylabel() for ax in axes[0]} == {'critic estimate, pixel units'}


def test_ends_of_the_segment_are_positions():
  ends = [row('barycenter_2', t, [[1.0]], [float(t)]) for t in (0, 1)]
  drawn = figures.distances_figure(ends, {})
  (position,) = drawn.get_axes()[1].get_lines()
  assert position.get_ydata().tolist() == [0.0, 1.0]
  assert drawn.get_axes()[0].get_title() == 'barycenter 2'
  assert figures.distances_figure([row('other', 0, [[1.0]])], {}) is None


def test_every_metric_of_a_stage_has_a_panel():
  records = [
    {'stage': 'one', 'step': 2, 'w1': [[1.0, 2.0]], 'position': -0.5, 'x': 1.0},
    {'stage': 'two/curve', 'step': 0, 'frechet': 7.0},
    {'stage': 'one', 'step': 4, 'w1': [[3.0, 4.0]], 'position': 0.5, 'x': None},
    {'stage': 'one/time', 'step': 0, 'seconds': 3.0},
    {'stage': 'bare', 'step': 1},
  ]
  found = figures.metrics_figures(records)
  assert list(found) == ['one', 'two/curve']
  axes = found['one'].get_axes()
  assert [ax.get_title() for ax in axes] == ['w1', 'position', 'x']
  lines = [[data(line) for line in ax.get_lines()] for ax in axes]
  assert lines[0] == [([2, 4], [1.0, 3.0]), ([2, 4], [2.0, 4.0])]
  np.testing.assert_array_equal(lines[1][0][1], [np.nan, 0.5])
  np.testing.assert_array_equal(lines[2][0][1], [1.0, np.nan])
  assert all(gridded(ax) for ax in axes)
  assert found['one'].get_suptitle() == 'one'
  assert labels(axes[0]) == ['critic 1', 'critic 2']
  assert axes[1].get_legend() is None
  looks = [(x.get_marker(), x.get_linestyle()) for x in axes[0].get_lines()]
  assert len(set(looks)) == 2
  both = {'stage': 'two', 'step': 1, 'w1': [[1.0, 2.0], [3.0, 4.0]]}
  flat = {'stage': 'three', 'step': 1, 'w1': [1.0, 2.0]}
  (ax,) = figures.metrics_figures([flat])['three'].get_axes()
  assert labels(ax) == ['line 1', 'line 2']
  (ax,) = figures.metrics_figures([both])['two'].get_axes()
  assert labels(ax) == [
    f'replica {i}, critic {k}' for i in (1, 2) for k in (1, 2)
  ]
  (ax,) = found['two/curve'].get_axes()
  assert data(ax.get_lines()[0]) == ([0], [7.0])
  wide = {'stage': 'a', 'step': 1} | {f'm{i}': float(i) for i in range(5)}
  drawn = figures.metrics_figures([wide])['a']
  assert [ax.axison for ax in drawn.get_axes()] == [True] * 5 + [False] * 3
  assert drawn.get_size_inches() == pytest.approx((12.8, 5.2))


@pytest.mark.parametrize(
  'change',
  [{'w1_smooth': [[1.0]]}, {'w1_smooth': 'x'}, {'w1_smooth': [[1.0], 2.0]},
   {'w1_smooth': [['x', 1.0]]}, {'w1_smooth': []}, {'w1_smooth': {}},
   {'residual': [1.0, 2.0, 3.0]}, {'distance': None}, {'posit\u00efon': 1.0}],
)  # fmt: skip
def test_rows_of_another_form_than_most_are_left_out(change):
  good = [row('adapted', t, [[1.0, 2.0]] * 2, [0.5, 0.5]) for t in (1, 2)]
  damaged = good[0] | {'step': 3} | change
  drawn = figures.distances_figure([damaged, *good], {})
  top = drawn.get_axes()[0]
  assert data(top.get_lines()[0]) == ([1, 2], [1.0, 1.0])
  kept = figures.metrics_figures([damaged, *good])['adapted'].get_axes()
  assert kept[0].get_lines()[0].get_xdata().tolist() == [1, 2]
  bad = {'stage': 'fine_tuned/curve', 'step': 30, 'frechet': 'x'}
  (ax,) = figures.adaptation_figure([bad, *RECORDS], {}).get_axes()
  assert data(ax.get_lines()[0]) == ([0, 10], [7.0, 3.0])
  assert figures.adaptation_figure([bad], {}) is None
