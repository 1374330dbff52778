"""The benchmark of critics: what it measures, and its command line."""

import itertools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.cli import experiment
from coalesce_jax.core import types
from coalesce_jax.ot import funnels
from coalesce_jax.training import loop
from coalesce_jax.trials import trials
from experiments.critic_benchmark import evaluation
from experiments.critic_benchmark import main
from experiments.critic_benchmark import plots
from experiments.critic_benchmark import published
from experiments.critic_benchmark import train
from experiments.critic_benchmark.configs import default

KEY = jax.random.key(0)
samples = jax.jit(funnels.samples, static_argnums=2)
FIELDS = {
  'D', 'N', 'critic', 'true_w1', 'w1', 'gap', 'relative_error', 'cosine',
  'base_cosine', 'slope', 'max_slope', 'updates', 'samples',
  'training_seconds', 'seconds', 'published_error', 'published_cosine',
}  # fmt: skip


def tiny(**changes):
  """One cell and one critic of a few updates."""
  made = default.get_config('quick')
  made.dims, made.funnels, made.seed = (2,), (4,), 3
  made.critics = ('cones',)
  made.steps, made.batch_size, made.eval_samples = 3, 32, 2000
  made.settings.cones.options.count = 8
  for name, value in changes.items():
    setattr(made, name, value)
  return made


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('critics')
  return workdir, trials.complete(main.EXPERIMENT, tiny(), str(workdir))


def without_times(summary):
  rows = [
    {k: v for k, v in row.items() if not k.endswith('seconds')}
    for row in summary['rows']
  ]
  return summary | {'rows': rows, 'workdir': ''}


def test_every_cell_and_critic_has_a_row_beside_what_is_published(finished):
  workdir, summary = finished
  cells = {(r['D'], r['N'], r['critic']) for r in summary['rows']}
  assert cells == {(2, 4, 'cones')}
  for row in summary['rows']:
    assert set(row) == FIELDS
    assert row['samples'] == 2 * 3 * 32
    expected = published.best_error(row['D'], row['N'])
    assert row['published_error'] == pytest.approx(expected, rel=1e-6)
  assert set(summary['cells']) == {'D2_N4'}
  # Three updates are too few.
  assert summary['cells']['D2_N4']['error_below_published'] is False
  assert summary['passed'] is False
  kept = json.loads((workdir / 'summary.json').read_text())
  assert list(kept.pop('provenance').values()) == [1]
  assert kept | {'workdir': str(workdir)} == summary
  assert (workdir / 'critics.png').stat().st_size > 10_000
  assert (workdir / 'tables.md').read_text().count('\n') == 2 + 1


@pytest.mark.slow
def test_the_same_settings_give_the_same_numbers(finished, tmp_path):
  with pytest.raises(loop.Interrupted, match='0 of 1'):
    trials.complete(main.EXPERIMENT, tiny(), str(tmp_path), lambda: True)
  summary = trials.complete(main.EXPERIMENT, tiny(), str(tmp_path))
  assert without_times(summary) == without_times(finished[1])


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_with_the_first_missing_trial(
  monkeypatch, tmp_path
):
  measured = []

  def measure(cell, name, config):
    measured.append((cell.number, cell.dimension, name))
    return row(name, cell.dimension, cell.number, error=len(measured))

  monkeypatch.setattr(train, 'measure', measure)
  config = tiny(dims=(2, 3), funnels=(4, 1), critics=('gp', 'cones'))
  stops = 0
  while True:
    calls = itertools.count()
    try:
      # The second look at the flag comes after one trial.
      summary = trials.complete(
        main.EXPERIMENT, config, str(tmp_path), lambda c=calls: next(c) > 0
      )
      break
    except loop.Interrupted:
      stops += 1
  assert stops == 7
  assert measured == list(itertools.product((4, 1), (2, 3), ('gp', 'cones')))
  assert [r['relative_error'] for r in summary['rows']] == list(range(1, 9))
  again = trials.complete(main.EXPERIMENT, config, str(tmp_path))
  assert len(measured) == 8 and again == summary


def test_other_settings_in_the_same_folder_are_refused(finished):
  with pytest.raises(ValueError, match='other settings'):
    trials.complete(main.EXPERIMENT, tiny(seed=1), str(finished[0]))


def multiple(pair):
  """A critic that is its parameter times the potential."""

  def apply(scale, x):
    # Moved points may lie on a centre, to rounding.
    gap = x[:, None] - pair.centers[None]
    cones = jnp.sqrt(jnp.sum(gap * gap, -1) + 1e-12) + pair.biases[None]
    return scale * jnp.min(cones, 1)

  return types.Network(lambda key: jnp.float32(1.0), apply)


def test_a_multiple_of_the_potential_has_cosine_one():
  pair = funnels.create(KEY, 8, 5)
  critic = multiple(pair)
  # Steeper critics are divided by their slope, flatter ones are bounds.
  for scale, error in [(1.0, 0.0), (2.0, 0.0), (0.5, 0.5)]:
    found = evaluation.evaluate(critic, jnp.float32(scale), pair, KEY, 5000)
    assert found['cosine'] == pytest.approx(1.0, abs=1e-4)
    assert found['base_cosine'] == pytest.approx(1.0, abs=1e-4)
    assert found['relative_error'] == pytest.approx(error, abs=1e-4)
    assert found['slope'] == pytest.approx(scale, rel=1e-4)
    assert found['max_slope'] == pytest.approx(scale, rel=1e-4)
  found = evaluation.evaluate(critic, jnp.float32(-1.0), pair, KEY, 5000)
  assert found['cosine'] == pytest.approx(-1.0, abs=1e-4)
  assert found['relative_error'] == pytest.approx(2.0, abs=1e-4)
  measure = jax.jit(funnels.distance, static_argnums=2)
  value = measure(jax.random.key(1), pair, 50_000)
  # Of 8,192 points.
  error = float(value.error) * (50_000 / 8192) ** 0.5
  assert abs(found['true_w1'] - float(value.mean)) < 5.0 * error


def test_the_cosine_that_is_compared_is_taken_at_moved_points():
  pair = funnels.create(KEY, 2, 1)
  center = pair.centers[0]

  # Right near the centre alone, where a power of 8 takes most points.
  def apply(x):
    near = jnp.max(jnp.abs(x - center[None]), 1) < 0.5
    away = jnp.sqrt(jnp.sum((x - center[None]) ** 2, 1) + 1e-12)
    return jnp.where(near, away, -away)

  critic = types.Network(lambda key: {}, lambda params, x: apply(x))
  found = evaluation.evaluate(critic, {}, pair, KEY, 20_000)
  y = samples(jax.random.key(2), pair, 20_000)
  x = funnels.uniform(jax.random.key(3), pair, 20_000)

  def expected(points):
    near = jnp.max(jnp.abs(points - center[None]), 1) < 0.5
    return float(2.0 * jnp.mean(near) - 1.0)

  assert expected(y) - expected(x) > 0.5
  assert found['cosine'] == pytest.approx(expected(y), abs=0.03)
  assert found['base_cosine'] == pytest.approx(expected(x), abs=0.03)


def test_the_generator_that_stands_still_has_the_moved_law():
  pair = funnels.create(KEY, 1, 3)
  z = jax.random.normal(jax.random.key(1), (50_000, 1))
  made = np.sort(jax.jit(train.standing(pair).apply)({}, z)[:, 0])
  moved = np.sort(samples(jax.random.key(2), pair, 50_000)[:, 0])
  plain = np.sort(funnels.uniform(jax.random.key(3), pair, 50_000)[:, 0])
  assert np.abs(made - moved).mean() < 0.03
  assert np.abs(plain - moved).mean() > 0.2


def test_published_tables_are_whole_and_the_better_one_counts():
  for table in (published.W1, published.COSINE):
    for methods in table.values():
      for values in methods.values():
        assert len(values) == len(published.DIMS) and min(values) > 0.0
  for methods in published.COSINE.values():
    assert max(map(max, methods.values())) < 1.0
  # |1.136 / 1.142 - 1| and |1.144 / 1.142 - 1|.
  assert published.best_error(128, 4) == pytest.approx(0.002 / 1.142, rel=1e-6)
  assert published.best_error(2, 64) == pytest.approx(0.006 / 0.230, rel=1e-6)
  assert published.best_cosine(2, 4) == 0.845
  assert published.best_cosine(2, 16) == 0.810
  assert published.best_error(2, 16) is None
  assert published.best_error(3, 4) is None
  assert published.best_cosine(3, 4) is None


def row(critic='cones', d=2, n=4, error=0.01, cosine=0.9, **more):
  return {
    'D': d, 'N': n, 'critic': critic, 'relative_error': error,
    'cosine': cosine, 'w1': 1.0, 'true_w1': 1.0, 'max_slope': 1.0,
    'training_seconds': 1.0,
  } | more  # fmt: skip


@pytest.mark.parametrize(
  'rows,passed',
  [
    ([row()], True),
    ([row(error=0.06)], False),
    ([row(cosine=0.84)], False),
    ([row(cosine=float('nan'))], False),
    ([row(), row('gp', error=1.0, cosine=0.0)], True),
    ([row(), row(d=128)], False),
    ([row(n=16, error=1.0)], True),
    ([row(d=3)], None),
    ([row('gp')], None),
  ],
)
def test_a_run_passes_if_the_best_critic_beats_every_published_value(
  rows, passed
):
  assert train.summarise(rows, 'cones')['passed'] is passed


def test_the_figure_takes_cells_of_which_nothing_is_published():
  rows = train.summarise([row(d=3, n=5), row('gp', d=3, n=5)], 'cones')['rows']
  drawn = plots.figures(rows)['critics']
  assert [a.get_title() for a in drawn.axes] == ['5 funnels', '']
  assert '| 3 | 5 | gp |' in plots.table({'rows': rows})


def test_published_rows_are_dashed_in_the_colour_of_their_critic():
  rows = train.summarise([row(), row('gp', error=0.1)], 'cones')['rows']
  drawn = plots.figures(rows)['critics']
  for axis in drawn.axes:
    lines = [(line.get_linestyle(), line.get_color()) for line in axis.lines]
    ours = [color for style, color in lines if style == '-']
    dashed = [color for style, color in lines if style == '--']
    assert len(set(ours)) == 2 and len(set(dashed)) == 2
    assert set(ours) & set(dashed) == {plots.COLORS['gp']}
  names = [text.get_text() for text in drawn.legends[0].get_texts()]
  assert len(names) == 4 and sum('published' in name for name in names) == 2


def archive(path, **arrays):
  np.savez(path, **arrays)
  return str(path)


def test_funnels_of_a_file_are_read_as_they_are(tmp_path):
  centers, biases = np.array([[0.5, -2.0], [1.0, 1.0]]), np.array([0.1, 0.0])
  path = archive(tmp_path / 'f.npz', centers_D2_N2=centers, bias_D2_N2=biases)
  pair = train.load(path, 2, 2)
  np.testing.assert_allclose(pair.centers, centers, rtol=1e-6)
  np.testing.assert_allclose(pair.biases, biases, rtol=1e-6)
  with pytest.raises(ValueError, match='no funnels D2_N4'):
    train.load(path, 2, 4)


@pytest.mark.parametrize(
  'centers,biases,match',
  [
    (np.zeros((3, 2)), np.zeros(3), r'centers_D2_N2 \(3, 2\)'),
    (np.zeros((2, 2)), np.zeros(3), 'bias'),
    (np.full((2, 2), np.nan), np.zeros(2), 'finite'),
    (np.full((2, 2), 3.0), np.zeros(2), 'half_width'),
    (np.array([['a', 'b']] * 2), np.zeros(2), 'number'),
    (np.array([[None, None]] * 2), np.zeros(2), 'readable'),
  ],
)
def test_bad_funnels_of_a_file_are_refused_by_name(
  tmp_path, centers, biases, match
):
  path = archive(tmp_path / 'f.npz', centers_D2_N2=centers, bias_D2_N2=biases)
  with pytest.raises(ValueError, match=match) as caught:
    train.load(path, 2, 2)
  assert str(path) in str(caught.value)


def test_damaged_files_of_funnels_are_refused_in_one_line(tmp_path):
  path = archive(
    tmp_path / 'f.npz', centers_D2_N2=np.ones((2, 2)), bias_D2_N2=np.zeros(2)
  )
  whole = (tmp_path / 'f.npz').read_bytes()
  flipped = whole[:170] + bytes([whole[170] ^ 1]) + whole[171:]
  for data in (whole[: len(whole) // 2], flipped, b'x' * 100, b''):
    (tmp_path / 'f.npz').write_bytes(data)
    with pytest.raises(ValueError, match='not a readable') as caught:
      train.load(path, 2, 2)
    assert '\n' not in str(caught.value) and path in str(caught.value)


def test_funnels_of_a_seed_are_its_own_in_every_cell():
  first, again = train.draw(1, 2, 4), train.draw(1, 2, 4)
  np.testing.assert_array_equal(first.centers, again.centers)
  for other in (train.draw(2, 2, 4), train.draw(1, 2, 16)):
    assert not np.allclose(first.centers, other.centers[:4])


def command(capsys, monkeypatch, *arguments):
  """Exit code, the JSON line, the text on stderr."""
  # Overrides of a configuration are looked for there.
  monkeypatch.setattr(sys, 'argv', ['critic_benchmark', *arguments])
  code = experiment.main(main.EXPERIMENT, list(arguments))
  captured = capsys.readouterr()
  out = captured.out.strip().splitlines()
  assert len(out) == (code == 0)
  return code, json.loads(out[0]) if out else None, captured.err


@pytest.mark.parametrize(
  'arguments,match',
  [
    (['--pairs=nowhere.npz'], 'nowhere.npz'),
    (['--config.dims=0'], 'dims [0]'),
    (["--config.dims='x'"], 'dims'),
    (['--config.funnels=()'], 'funnels []'),
    (['--config.steps=30'], 'steps 30'),
    (['--config.steps=0'], 'steps 0'),
    (['--config.eval_samples=0'], 'eval_samples 0'),
    (['--config.critics=("magic",)'], "'magic'"),
    (['--config.best=magic'], "'magic'"),
    (['--config.settings.gp.penalty=magic'], "'magic'"),
  ],
)
def test_bad_flags_are_one_line_and_exit_code_two(
  capsys, monkeypatch, tmp_path, arguments, match
):
  workdir = tmp_path / 'run'
  code, _, error = command(
    capsys, monkeypatch, f'--workdir={workdir}', *arguments
  )
  assert code == 2
  assert match in error.strip().splitlines()[-1]
  assert 'Traceback' not in error
  assert not workdir.exists()


def test_without_a_configuration_the_default_is_used(
  capsys, monkeypatch, tmp_path, finished
):
  code, summary, _ = command(
    capsys, monkeypatch, f'--workdir={tmp_path}', '--config.dims=2',
    '--config.funnels=4', '--config.seed=3', '--config.steps=3',
    '--config.batch_size=32', '--config.eval_samples=2000',
    '--config.critics=cones', '--config.settings.cones.options.count=8',
  )  # fmt: skip
  assert code == 0
  assert without_times(summary) == without_times(finished[1])
