"""The launcher: what it starts, in which order, and what it says when not."""

import importlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from coalesce_jax.cli import experiment as experiment_lib
from launch import main
from launch import slurm
from launch import tasks
from tests import locked

# In place of an experiment: it writes down how it was started.
STAND_IN = """
  import json, os, pathlib, sys, time
  flags = dict(a.lstrip('-').partition('=')[::2] for a in sys.argv[1:])
  if 'list' in flags:
    print(json.dumps({'stages': [[['a', 'b'], ['c']], [['d']]]}))
    sys.exit()
  names = flags.get('trials', 'summary').split(',')
  if flags.get('config.fail') in names:
    print('nothing to see', file=sys.stderr)
    sys.exit(int(flags['config.code']))
  if flags.get('config.wait') in names:
    (pathlib.Path(flags['workdir']) / 'waits').touch()
    time.sleep(60)
  if 'config.cores' in flags:
    time.sleep(1)
    print(names, os.sched_getaffinity(0), file=sys.stderr)
  if 'config.cache' in flags:
    cache = pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'])
    (cache / names[0]).touch()
    found = [str(cache), *sorted(path.name for path in cache.iterdir())]
    print(json.dumps({'found': found}))
    sys.exit()
  with open(pathlib.Path(flags['workdir']) / 'order', 'a') as file:
    file.write(''.join(f'{name}\\n' for name in names))
  print(json.dumps({'done': names}))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
  script = tmp_path / 'stand_in.py'
  script.write_text(textwrap.dedent(STAND_IN))

  def command(job, *more):
    workdir = f'--workdir={job.workdir}'
    return [sys.executable, str(script), workdir, *job.arguments, *more]

  monkeypatch.setattr(tasks.Job, 'command', command)


def launch(capsys, tmp_path, *arguments):
  """Exit code, the JSON line, the text on stderr."""
  code = main.main(
    ['--experiment=any', f'--workdir={tmp_path / "run"}', *arguments]
  )
  captured = capsys.readouterr()
  out = captured.out.strip().splitlines()
  return code, json.loads(out[-1]) if out else None, captured.err


@pytest.mark.usefixtures('stand_in')
@pytest.mark.parametrize('jobs', [1, 2])
def test_stages_run_in_order_and_the_summary_last(jobs, tmp_path, capsys):
  code, found, _ = launch(capsys, tmp_path, f'--jobs={jobs}')
  assert (code, found) == (0, {'done': ['summary']})
  order = (tmp_path / 'run' / 'order').read_text().split()
  assert sorted(order[:3]) == ['a', 'b', 'c']
  assert order[3:] == ['d', 'summary']


@pytest.mark.usefixtures('stand_in')
def test_a_second_launcher_is_refused_and_leaves_the_logs(tmp_path, capsys):
  logs = tmp_path / 'run' / 'launch'
  logs.mkdir(parents=True)
  (logs / 'summary.log').write_text('of the first')
  first = locked.elsewhere(logs / '.lock')
  code, _, err = launch(capsys, tmp_path)
  assert code == 2 and f'{logs} is in use by another process' in err
  assert (logs / 'summary.log').read_text() == 'of the first'
  first.communicate()
  assert launch(capsys, tmp_path)[0] == 0


@pytest.mark.usefixtures('stand_in')
def test_tasks_share_what_they_compile_until_the_end(
  tmp_path, capsys, monkeypatch
):
  arguments = (capsys, tmp_path, '--', '--config.cache=1')
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  _, found, _ = launch(*arguments)
  folder, *programs = found['found']
  assert programs == ['a', 'c', 'd', 'summary']
  assert not os.path.exists(folder)
  mine = tmp_path / 'cache'
  mine.mkdir()
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(mine))
  _, found, _ = launch(*arguments)
  assert found['found'][0] == str(mine)
  assert len(list(mine.iterdir())) == 4


@pytest.mark.usefixtures('stand_in')
@pytest.mark.skipif(
  len(getattr(os, 'sched_getaffinity', lambda _: [0])(0)) < 2,
  reason='one core, or a system that says nothing of them',
)
def test_each_task_has_cores_of_its_own(tmp_path, capsys):
  code, _, _ = launch(
    capsys, tmp_path, '--jobs=2', '--cores=1', '--', '--config.cores=1'
  )
  assert code == 0
  mine = sorted(os.sched_getaffinity(0))
  logs = tmp_path / 'run' / 'launch'
  said = [(logs / f'stage_0_task_{i}.log').read_text() for i in range(2)]
  assert [text.split('] ')[1].strip() for text in said] == [
    f'{{{core}}}' for core in mine[:2]
  ]
  assert str(set(mine)) in (logs / 'summary.log').read_text()
  assert set(mine) == os.sched_getaffinity(0)


@pytest.mark.usefixtures('stand_in')
@pytest.mark.parametrize(
  'code,said',
  [(2, 'nothing to see'), (1, 'exit code 1, after: nothing to see')],
)
def test_a_task_that_fails_ends_the_run_with_its_last_line(
  tmp_path, capsys, code, said
):
  ended, found, err = launch(
    capsys, tmp_path, '--', '--config.fail=c', f'--config.code={code}'
  )
  assert (ended, found) == (code, None)
  assert err.strip().splitlines()[-1].endswith(f'task_1.log: {said}')
  assert (tmp_path / 'run' / 'order').read_text().split() == ['a', 'b']


@pytest.mark.usefixtures('stand_in')
def test_a_stop_reaches_the_task_that_runs(tmp_path, capsys):
  def stop():
    while not (tmp_path / 'run' / 'waits').exists():
      time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

  thread = threading.Thread(target=stop)
  thread.start()
  began = time.monotonic()
  code, found, err = launch(capsys, tmp_path, '--', '--config.wait=c')
  thread.join()
  assert (code, found) == (1, None) and 'stopped, 1 tasks are left' in err
  assert time.monotonic() - began < 30.0


@pytest.mark.usefixtures('stand_in')
@pytest.mark.parametrize('where', ['local', 'slurm'])
def test_a_dry_run_prints_everything_and_leaves_nothing(
  where, tmp_path, capsys
):
  code, _, err = launch(
    capsys, tmp_path, f'--where={where}', '--dry_run', '--', '--config.seeds=5'
  )
  assert code == 0 and not (tmp_path / 'run').exists()
  for text in ('a,b', '--config.seeds=5'):
    assert text in err


@pytest.mark.usefixtures('stand_in')
def test_arrays_wait_for_each_other(tmp_path, capsys, monkeypatch):
  fake = tmp_path / 'bin' / 'sbatch'
  fake.parent.mkdir()
  # Runs every task of an array at once, and counts the jobs.
  fake.write_text(
    textwrap.dedent("""\
      #!/bin/bash
      echo "$*" >> "$(dirname "$0")/calls"
      last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "${@: -1}")
      last=${last:-0}
      for i in $(seq 0 $last); do
        SLURM_ARRAY_TASK_ID=$i bash "${@: -1}" > /dev/null || exit 1
      done
      echo "$(wc -l < "$(dirname "$0")/calls");cluster"
      """)
  )
  fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
  monkeypatch.setenv('PATH', f'{fake.parent}{os.pathsep}{os.environ["PATH"]}')
  code, found, err = launch(
    capsys, tmp_path, '--where=slurm', '--jobs=3', '--sbatch=--gres=gpu:1'
  )
  assert code == 0, err
  assert found['jobs'] == ['1', '2', '3']
  calls = (fake.parent / 'calls').read_text().splitlines()
  assert [call.split()[1] for call in calls[1:]] == [
    '--dependency=afterok:1', '--dependency=afterok:2',
  ]  # fmt: skip
  order = (tmp_path / 'run' / 'order').read_text().split()
  assert order == ['a', 'b', 'c', 'd', 'summary']
  script = (tmp_path / 'run' / 'launch' / 'stage_0.sh').read_text()
  assert '#SBATCH --gres=gpu:1\n' in script
  assert '#SBATCH --array=0-1%3\n' in script
  # Without an array nothing runs, not even the first task.
  alone = subprocess.run(
    ['bash', '-c', script], capture_output=True, check=False
  )
  assert alone.returncode
  assert (tmp_path / 'run' / 'order').read_text().split() == order


@pytest.mark.usefixtures('stand_in')
@pytest.mark.parametrize(
  'arguments,message',
  [
    (['--jobs=0'], '--jobs=0'),
    (['--where=cloud'], 'where'),
    (['--where=slurm', '--sbatch=gpu'], "'gpu' is no option"),
    (['--where=slurm'], 'no sbatch here'),
    (['--experiment=../x'], 'is no name'),
    (['--sbatch=--gres=gpu:1'], '--sbatch goes with'),
    (['--where=slurm', '--cores=1'], '--cores goes with'),
    (['--jobs=999', '--cores=2'], '--jobs=999 with --cores=2 each'),
    (['--', '--workdir=elsewhere'], 'cannot follow'),
    (['--', '--list'], 'cannot follow'),
  ],
)
def test_bad_usage_gives_one_line(
  arguments, message, tmp_path, capsys, monkeypatch
):
  monkeypatch.setenv('PATH', '')
  code, found, err = launch(capsys, tmp_path, *arguments)
  assert (code, found) == (2, None)
  assert message in err.strip().splitlines()[-1]
  # Where Slurm is missing, the scripts stay.
  assert (tmp_path / 'run').exists() == (arguments == ['--where=slurm'])


@pytest.mark.slow
def test_an_experiment_says_its_own_stages_and_refusals():
  job = tasks.Job('few_shot', 'unused', ('--config.samples=(20,)',))
  first, second, third = job.stages()
  assert first[0] == 'shared-mnist-overlapping-nodes' and len(first) == 3
  assert second[0].startswith('shared-mnist-overlapping-')
  assert len(second) == 9 and len(third) > 3
  edge = [task for task in third if '-edge_only' in task]
  assert len(edge) == 3
  for name in edge[0].split(','):
    assert name.split('-', 1)[1].startswith('mnist-overlapping-n20-edge_')
  with pytest.raises(ValueError, match=r'^few_shot: .*settings are empty'):
    tasks.Job('few_shot', 'unused', ('--config.settings=()',)).stages()
  with pytest.raises(ValueError, match='nowhere'):
    tasks.Job('nowhere', 'unused').stages()


def test_names_are_nothing_more_to_a_shell(monkeypatch):
  stages = json.dumps({'stages': [[['a;b']]]})
  monkeypatch.setattr(
    tasks.Job, 'command',
    lambda self, *more: [sys.executable, '-c', f'print({stages!r})'],
  )  # fmt: skip
  with pytest.raises(ValueError, match='are no names'):
    tasks.Job('any', 'unused').stages()


@pytest.mark.usefixtures('stand_in')
def test_scripts_take_any_folder_and_no_limit():
  job = tasks.Job('any', '/some where/100%')
  first, *_ = slurm.scripts(job, [], '/check out', 0)
  assert '#SBATCH --array=0-1\n' in first.text
  log = '"/some where/100%%/launch/stage_0_%a.log"'
  assert f'#SBATCH --output={log}\n' in first.text
  assert "\ncd '/check out'\n" in first.text


@pytest.mark.parametrize(
  'name',
  [
    'ablations', 'critic_benchmark', 'edge_runtimes', 'few_shot',
    'ground_truth', 'speed', 'template', 'ternary',
  ],
)  # fmt: skip
def test_every_experiment_lists_its_trials_from_any_folder(
  name, tmp_path, capsys, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  experiment = importlib.import_module(f'experiments.{name}.main').EXPERIMENT
  configuration = f'--config={experiment.config}:quick'
  arguments = [configuration, '--workdir=unused', '--list']
  monkeypatch.setattr(sys, 'argv', [name, *arguments])
  assert experiment_lib.main(experiment, arguments) == 0
  stages = json.loads(capsys.readouterr().out.strip().splitlines()[-1])[
    'stages'
  ]
  names = [name for stage in stages for task in stage for name in task]
  assert len(names) > 3 and len(set(names)) == len(names)
  assert not list(tmp_path.iterdir())
