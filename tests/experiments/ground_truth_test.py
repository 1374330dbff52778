"""The experiment on barycenters of known laws: problems, estimators, run."""

import itertools
import json
import sys

import jax
import numpy as np
import pytest

from coalesce_jax.cli import experiment
from coalesce_jax.ot import exact
from coalesce_jax.training import loop
from coalesce_jax.trials import trials
from experiments.ground_truth import estimators
from experiments.ground_truth import laws
from experiments.ground_truth import main
from experiments.ground_truth import problems
from experiments.ground_truth import robustness
from experiments.ground_truth import shapes
from experiments.ground_truth import train
from experiments.ground_truth.configs import default

KEY = jax.random.key(0)
OPTIONS = {'hidden': (4,), 'critic': 'mlp', 'critic_options': {'hidden': (4,)}}
FAMILIES = ('translates', 'scalings', 'contractions')


def tiny(steps=4, **changes):
  """One truth in two dimensions, a few steps."""
  made = default.get_config('quick')
  made.dims, made.truths = (2,), ('T1', 'T2s')
  made.seeds, made.warmup = 2, 1
  made.steps = {'w1': steps, 'w1_squared': steps, 'ball': steps}
  made.batch_size, made.critic_steps, made.workers = 8, 1, 1
  made.law.hidden = made.critic.options.hidden = (4,)
  for name, value in changes.items():
    setattr(made, name, value)
  return made


@pytest.fixture(scope='module', name='small_samples', autouse=True)
def _small_samples():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(estimators, 'SAMPLES', 200)
    patch.setattr(estimators, 'FRESH', 10_000)
    yield


@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize('dimension', [1, 5])
def test_coordinates_are_distances_enclosed_by_both_bounds(name, dimension):
  family = problems.families(dimension, 3, OPTIONS)[name]
  other = family.rest.copy()
  other[0] += 2.0 * family.unit
  a, b = family.at(family.rest), family.at(other)
  found = estimators.bounds(a, b, family.measure, KEY)
  true = 2.0 * family.unit
  assert found.lower == pytest.approx(true, rel=0.03)
  assert found.upper == pytest.approx(true, rel=0.1)
  assert found.lower <= found.upper * 1.05


def test_a_near_law_takes_the_noise_of_samples_off():
  family = problems.families(2, 3, OPTIONS)['contractions']
  unit = family.unit
  a, b = family.at([2.0 * unit]), family.at([0.0])
  near = (family.at([1.9 * unit]), 1.9 * unit)
  plain = [estimators.above(a, b, jax.random.key(i)) for i in range(8)]
  quiet = [estimators.above(a, b, jax.random.key(i), near) for i in range(8)]
  assert np.std(quiet) < 0.2 * np.std(plain)
  assert np.mean(quiet) == pytest.approx(2.0 * unit, rel=0.01)


def test_measures_are_1_lipschitz():
  for family in problems.families(4, 1, OPTIONS).values():
    x, y = jax.random.normal(KEY, (2, 50, 4))
    rise = np.linalg.norm(family.measure(x) - family.measure(y), axis=1)
    assert np.all(rise <= np.linalg.norm(x - y, axis=1) + 1e-5)


def test_answers_minimise_among_points():
  rng = np.random.default_rng(0)
  for problem in problems.problems(3, 0, OPTIONS).values():
    answer = problems.answer(problem)
    points, weights = problem.coordinates, problem.weights

    def value(point, problem=problem, points=points, weights=weights):
      d = np.linalg.norm(points - point[None], axis=1)
      if problem.objective == 'ball':
        inside = np.all(d[1:] <= problem.radii[1:] + 1e-9)
        return d[0] if inside else np.inf
      return weights @ d ** (2 if problem.objective == 'w1_squared' else 1)

    if problem.objective != 'ball':
      assert value(answer.point) == pytest.approx(answer.value, rel=1e-6)
    around = answer.point[None] + rng.normal(size=(4000, points.shape[1]))
    assert min(value(p) for p in around) >= answer.value - 1e-6


def test_weights_name_positions_and_the_heavier_law():
  found = problems.problems(2, 0, OPTIONS)
  squared = problems.answer(found['T2s_w1_squared_joint_D2'])
  np.testing.assert_allclose(squared.point, [2.8, 0.0], atol=1e-9)
  heavy = problems.answer(found['T2_w1_joint_D2'])
  np.testing.assert_allclose(heavy.point, [4.0, 0.0], atol=1e-9)
  assert heavy.value == pytest.approx(1.2)
  triangle = problems.answer(found['T5_w1_joint_D2'])
  assert triangle.value == pytest.approx(2.25548, abs=1e-5)
  line = problems.problems(1, 0, OPTIONS)['T4_w1_joint_D1']
  assert problems.answer(line).value == pytest.approx(1.3298, abs=1e-4)


def test_balls_without_a_common_point_are_refused():
  with pytest.raises(ValueError, match='radii'):
    problems.nearest_in_balls(
      np.zeros(2), np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([1.0, 1.0])
    )


def test_a_law_stands_still_until_its_displacement_learns():
  family = problems.families(3, 0, OPTIONS)['translates']
  z = jax.random.normal(KEY, (6, 3))
  made = family.at([1.0, 2.0])
  mean = estimators.push(family.at([0.0, 0.0]), z)
  gap = np.asarray(estimators.push(made, z) - mean)
  assert np.ptp(gap, axis=0).max() < 1e-5
  assert np.linalg.norm(gap[0]) == pytest.approx(np.sqrt(5.0), rel=1e-5)


def test_atoms_have_the_histogram():
  params = {
    'points': np.arange(3.0, dtype=np.float32)[:, None],
    'histogram': np.array([0.2, 0.5, 0.3], np.float32),
  }
  x = laws.atoms(params, jax.random.normal(KEY, (20000, 1)))[:, 0]
  shares = [float(np.mean(np.asarray(x) == i)) for i in range(3)]
  np.testing.assert_allclose(shares, params['histogram'], atol=0.02)


@pytest.mark.slow
def test_same_law_shows_the_bias_of_the_plug_in():
  family = problems.families(16, 0, OPTIONS)['translates']
  a = family.at(family.rest)
  found = estimators.known_pair(a, a, family.measure, KEY)
  assert found['lower'] == 0.0 and found['upper'] == 0.0
  assert found['plug_in'] > 1.0
  assert found['plug_in'] == pytest.approx(found['plug_in_same_law'], rel=0.1)
  # With a small epsilon the divergence has that bias too.
  assert 1.0 < found['sinkhorn_divergence'] < found['plug_in']
  assert 1.0 < found['sinkhorn_same_law'] < found['plug_in_same_law']


def rows_of(gaps, **more):
  seeds = [{'relative_gap': g, 'position': 0.7, 'true_position': 0.7,
            'distance_to_truth': 0.1} for g in gaps]  # fmt: skip
  return {'truth': 'T5', 'D': 16, 'objective': 'w1', 'seeds': seeds} | more


def test_every_seed_must_be_within_the_limit():
  assert train.verdict(rows_of([0.01, -0.029])) is True
  assert train.verdict(rows_of([0.01, 0.031])) is False
  assert train.verdict(rows_of([0.01, 0.059], D=128)) is True
  assert train.verdict(rows_of([0.5], D=784)) is None
  assert train.verdict(rows_of([0.5], truth='T8')) is None
  moved = rows_of([0.0], truth='T2s')
  moved['seeds'][0]['position'] = 0.76
  assert train.verdict(moved) is False
  assert train.verdict(rows_of([0.0], truth='T7', span=4.0)) is True
  assert train.verdict(rows_of([0.0], truth='T7', span=0.9)) is False


@pytest.mark.parametrize('kind', robustness.KINDS)
def test_corrupted_nodes_are_the_last_and_move_the_mixture(kind):
  scenarios = robustness.make(5, ((5, 2),), 0)
  clean = scenarios[0].atoms
  (found,) = [s for s in scenarios if s.kind == kind]
  np.testing.assert_array_equal(found.atoms[:3], clean[:3])
  # Common mass does not move: the whole mixtures give the same value.
  some = found.atoms[:, ::8], clean[:, ::8]
  whole = exact.w1(*(a.reshape(-1, 64) for a in some))
  assert robustness.mixture_moved(*some, 2) == pytest.approx(whole, rel=1e-5)
  assert whole > 0.5
  if kind == 'identical':
    np.testing.assert_array_equal(found.atoms[-1], found.atoms[-2])


def test_a_majority_is_no_minority():
  with pytest.raises(ValueError, match='minority'):
    robustness.make(5, ((5, 3),), 0)


def test_moves_are_judged_by_the_mixture():
  rows = [
    {'objective': o, 'moved': 1.0, 'mixture_moved': m}
    for o, m in [('w1', 3.5), ('w1', 2.9), ('w1_squared', 1.0)]
  ]
  robustness.judge(rows)
  assert [r['passed'] for r in rows] == [True, False, None]


@pytest.mark.slow
def test_shapes_have_exact_values(monkeypatch):
  made = tiny(truths=())
  for truth in ('T3', 'T8'):
    made.shapes[truth].steps, made.shapes[truth].batch_size = 2, 8
  monkeypatch.setattr(shapes, 'LEVELS', 500)
  todo = shapes.trials(made, lambda: False)
  row = todo['T3_w1_joint_K3']()
  # Two steps move nothing: the value is that of the last law.
  line = [abs(3.0 - m) for m in (0.0, 2.0)]
  assert row['value'] > 0.4 * line[0] + 0.3 * line[1] - 0.1
  assert row['true_value'] == pytest.approx(1.1455, abs=0.01)
  assert todo['T8_w1_joint_D1']()['relative_gap'] > 0.0


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('truths')
  return workdir, trials.complete(main.EXPERIMENT, tiny(), str(workdir))


def plain(summary):
  rows = [
    {k: v for k, v in row.items() if not k.endswith('seconds')}
    for row in summary['rows']
  ]
  return summary | {'rows': rows, 'workdir': ''}


@pytest.mark.slow
def test_a_run_ends_in_rows_verdicts_and_a_figure(finished):
  workdir, summary = finished
  even, squared = summary['rows']
  assert (even['truth'], squared['truth']) == ('T1', 'T2s')
  assert even['passed'] is None and squared['passed'] is False
  assert even['true_value'] == pytest.approx(2.0)
  assert squared['true_value'] == pytest.approx(0.3 * 2.8**2 + 0.7 * 1.2**2)
  for row in summary['rows']:
    assert len(row['seeds']) == 2
    worst = max(abs(s['relative_gap']) for s in row['seeds'])
    assert abs(row['relative_gap']) == pytest.approx(worst)
  assert summary['passed'] is False
  assert json.loads((workdir / 'summary.json').read_text())['rows']
  assert '| T2s |' in (workdir / 'tables.md').read_text()
  assert (workdir / 'gaps.png').stat().st_size > 3000


@pytest.mark.slow
def test_a_stopped_run_ends_in_the_same_numbers(finished, tmp_path):
  calls = itertools.count()
  with pytest.raises(loop.Interrupted, match='of 2 trials'):
    trials.complete(
      main.EXPERIMENT, tiny(), str(tmp_path), lambda: next(calls) > 1
    )
  assert not (tmp_path / 'summary.json').exists()
  again = trials.complete(main.EXPERIMENT, tiny(), str(tmp_path))
  assert plain(again) == plain(finished[1])


@pytest.mark.slow
def test_other_settings_in_the_same_folder_are_refused(finished):
  with pytest.raises(ValueError, match='other settings'):
    trials.complete(main.EXPERIMENT, tiny(steps=5), str(finished[0]))


@pytest.mark.parametrize(
  'arguments,message',
  [
    (['--config.dims=0'], 'dims'),
    (["--config.truths=('T99',)"], 'T99'),
    (['--config.nonsense=1'], 'nonsense'),
    (["--config.truths=('T4',)", '--config.dims=2'], 'no problem'),
  ],
)
def test_bad_usage_gives_one_line_and_leaves_nothing(
  arguments, message, tmp_path, capsys, monkeypatch
):
  workdir = tmp_path / 'run'
  arguments = [f'--workdir={workdir}', *arguments]
  # Flags of a configuration are looked for on the command line.
  monkeypatch.setattr(sys, 'argv', ['ground_truth', *arguments])
  code = experiment.main(main.EXPERIMENT, arguments)
  err = capsys.readouterr().err.strip().splitlines()
  assert code == 2 and message in err[-1]
  assert not workdir.exists()
