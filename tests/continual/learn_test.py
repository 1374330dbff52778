"""Families in one call, one more task, locks, and what a task stores."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.continual import counting
from coalesce_jax.continual import family
from coalesce_jax.continual import family_files
from coalesce_jax.continual import family_locks
from coalesce_jax.continual import settings
from coalesce_jax.core import locks
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from tests.continual import family_test
from tests.continual import streams

KEY = streams.KEY


@pytest.fixture(scope='module', name='learned')
def _learned():
  tasks = streams.points(3, coded=False)
  return tasks, *cj.continual.piggyback(KEY, tasks, share=0.5)


@pytest.mark.slow
def test_a_task_that_is_added_through_a_file_is_that_of_the_whole_run(
  learned, tmp_path
):
  tasks, whole, result = learned
  path, larger = tmp_path / 'f.safetensors', tmp_path / 'g.safetensors'
  first = whole._replace(members=whole.members[:2])
  cj.continual.save(path, first)
  kept = path.read_bytes()
  member, history = cj.continual.grow(
    jax.random.fold_in(KEY, 2), cj.continual.load(path), tasks[2], share=0.5
  )
  cj.continual.add(path, member, larger)
  assert path.read_bytes() == kept and len(history['step'])
  assert larger.read_bytes() == family_files.encode(whole)
  np.testing.assert_array_equal(
    result.scores['energy'][2, :2],
    [result.scores['energy'][t, t] for t in range(2)],
  )


@pytest.mark.slow
def test_what_tasks_store_is_what_was_counted(learned):
  tasks, whole, result = learned
  # Of the only inner kernel, of 4 inputs and 6 filters, 3 of them free: the
  # mixing matrices of tasks 1 and 2 have 6 and 9 rows.
  other = trees.count(whole.members[0].latent) - 24
  wanted = [other + 24, other + 12 + 18, other + 12 + 27]
  found = [counting.stored(tasks[0].spec, 0.5, t) for t in range(3)]
  assert [one.stored for one in found] == wanted == result.stored.tolist()
  assert found[2].share == wanted[2] / wanted[0]


def test_no_family_is_kept_of_a_random_bank():
  with pytest.raises(ValueError, match="bank 'random' is a control"):
    cj.continual.piggyback(KEY, [], bank='random')


@pytest.mark.slow
def test_a_family_has_the_bank_that_its_tasks_were_learned_with(learned):
  tasks, whole, result = learned
  again = family.from_state(result.state, tasks)
  assert again.layers == whole.layers
  other = result.state._replace(
    bank=jax.tree.map(lambda leaf: 2.0 * leaf, result.state.bank)
  )
  with pytest.raises(ValueError, match='is not made of what the tasks learned'):
    family.from_state(other, tasks)


def test_shares_of_a_u_net_are_those_that_were_derived():
  options = generator_lib.freeze({'width': 32, 'downs': 6})
  spec = generator_lib.Spec(
    'unet', 0, (64, 64, 3), options, condition_shape=(64, 64, 3)
  )
  for share, wanted in ((0.25, (0.285, 0.30)), (0.125, (0.17, 0.18))):
    found = [counting.stored(spec, share, t).share for t in (1, 3)]
    np.testing.assert_allclose(found, wanted, atol=0.01)


@pytest.mark.slow
def test_a_task_that_does_not_fit_is_refused_before_training(learned):
  tasks, whole, _ = learned
  other = streams.pairs(1)[0]
  for task, options, match in (
    (tasks[1], {}, "a member 'points-1' already"),
    (tasks[2]._replace(name='x'), {'first_and_last': True}, 'factorise'),
    (other, {}, 'factorise'),
    (tasks[2]._replace(name='x'), {'share': 2.0}, 'not in'),
  ):
    with pytest.raises(ValueError, match=match):
      cj.continual.grow(KEY, whole, task, **options)


@pytest.mark.parametrize('name', settings.LEARNERS)
def test_every_learner_has_a_name_and_known_options(name):
  made = cj.continual.make(name, 'unet')
  assert made.init and made.name == {'low_rank': 'scale_shift'}.get(name, name)
  with pytest.raises(ValueError, match=f"'{name}' has no option 'wrong'"):
    cj.continual.make(name, 'unet', {'wrong': 1})


def test_an_unknown_learner_is_refused():
  with pytest.raises(ValueError, match="learner 'x' is not one of"):
    cj.continual.make('x', 'unet')


# A process that imports no JAX starts at once.
CHILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location('locks', sys.argv[2])
locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locks)
locks.acquire(sys.argv[1], 'it')
print('locked', flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_add_at_the_same_time(tmp_path):
  path = tmp_path / 'f.safetensors'
  family_files.save(path, family_test.made(1))
  with family_locks.locked(path):
    (lock,) = tmp_path.glob('.*.lock')
  process = subprocess.Popen(
    [sys.executable, '-c', CHILD, str(lock), locks.__file__],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  with process:
    assert process.stdout.readline() == 'locked\n'
    with pytest.raises(locks.Held, match=f'in use by process {process.pid}'):
      with family_locks.locked(path):
        pass
    # A process that is killed leaves no lock behind.
    process.kill()
  family_files.add(path, family_test.member(1))
  assert len(family_files.load(path).members) == 2
