"""Exact plans with and without POT, and with one that is wrong."""

import sys

import numpy as np
import ot
import pytest
from scipy.spatial import distance

from coalesce_jax.ot import network_simplex


def _light(rng, n):
  weights = np.exp(rng.uniform(np.log(1e-200), 0.0, n))
  return weights / weights.sum()


def _problem(name):
  """Costs `[200, 210]` and weights."""
  rng = np.random.default_rng(7)
  x, y = rng.normal(size=(200, 2)), rng.normal(size=(210, 2)) + 0.5
  a, b = rng.dirichlet(np.ones(200)), rng.dirichlet(np.ones(210))
  if name == 'ties':
    x, y = np.round(x), np.round(y)
    a, b = np.ones(200), np.ones(210)
  if name == 'light':
    a, b = _light(rng, 200), _light(rng, 210)
  if name == 'far':
    y = np.concatenate([x, x[:10]]) + 1e-6 * rng.normal(size=(210, 2))
    x[:9] += 1e13
    y[:9] += 1e13
    b = np.concatenate([a, np.full(10, 1e-9)])
  if name == 'equal':
    x, y = 0.0 * x, 0.0 * y
  return distance.cdist(x, y), a, b


@pytest.fixture
def calls(monkeypatch):
  """The numbers of costs that POT was called with."""
  found, solver = [], ot.emd

  def counted(a, b, cost, **options):
    found.append(cost.size)
    return solver(a, b, cost, **options)

  monkeypatch.setattr(ot, 'emd', counted)
  return found


@pytest.mark.parametrize('name', ['plain', 'ties', 'light', 'far', 'equal'])
def test_plans_cost_the_same_with_and_without_pot(name, calls, monkeypatch):
  cost, a, b = _problem(name)
  found = network_simplex.solve(cost, a, b)
  assert calls == [cost.size]
  monkeypatch.setitem(sys.modules, 'ot', None)
  alone = network_simplex.solve(cost, a, b)
  assert calls == [cost.size]
  assert (found * cost).sum() == pytest.approx(
    (alone * cost).sum(), rel=1e-9, abs=0
  )
  for plan in (found, alone):
    np.testing.assert_allclose(plan.sum(1), a / a.sum(), rtol=1e-12)
    np.testing.assert_allclose(plan.sum(0), b / b.sum(), rtol=1e-12)
    assert (plan > 0.0).sum() <= 409


def test_small_problems_do_without_pot(calls):
  cost, a, b = _problem('plain')
  found = network_simplex.solve(cost[:20, :20], a[:20], b[:20])
  expected = ot.lp.emd2(a[:20] / a[:20].sum(), b[:20] / b[:20].sum(),
                        np.ascontiguousarray(cost[:20, :20]))  # fmt: skip
  assert (found * cost[:20, :20]).sum() == pytest.approx(expected, rel=1e-9)
  assert not calls


def test_problems_of_middle_size_use_pot_only_where_it_is_loaded(
  calls, monkeypatch
):
  cost, a, b = _problem('plain')
  cost, a, b = cost[:40, :50], a[:40], b[:50]
  found = network_simplex.solve(cost, a, b)
  assert calls == [2000]
  monkeypatch.delitem(sys.modules, 'ot')
  alone = network_simplex.solve(cost, a, b)
  assert 'ot' not in sys.modules and calls == [2000]
  np.testing.assert_allclose(found, alone, atol=1e-15)


@pytest.mark.parametrize('wrong', ['shuffled', 'dense', 'nothing', 'nan'])
def test_a_wrong_plan_of_pot_costs_only_time(wrong, monkeypatch):
  cost, a, b = _problem('plain')
  expected = ot.emd2(a, b, cost)
  plan, log = ot.emd(a, b, cost, log=True)
  if wrong == 'shuffled':
    plan = np.random.default_rng(0).permutation(plan)
  elif wrong == 'dense':
    plan = a[:, None] * b[None]
  elif wrong == 'nothing':
    plan = 0.0 * plan
  else:
    log = {**log, 'u': np.nan * log['u']}
  monkeypatch.setattr(ot, 'emd', lambda *args, **options: (plan, log))
  found = network_simplex.solve(cost, a, b)
  assert (found * cost).sum() == pytest.approx(expected, rel=1e-9)
  np.testing.assert_allclose(found.sum(1), a, rtol=1e-12)


def test_a_pot_that_does_not_load_is_not_used(tmp_path, monkeypatch):
  cost, a, b = _problem('plain')
  expected = ot.emd2(a, b, cost)
  (tmp_path / 'ot.py').write_text("raise ValueError('built for another')\n")
  monkeypatch.delitem(sys.modules, 'ot')
  monkeypatch.syspath_prepend(tmp_path)
  found = network_simplex.solve(cost, a, b)
  assert (found * cost).sum() == pytest.approx(expected, rel=1e-9)
