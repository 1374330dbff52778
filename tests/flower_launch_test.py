"""What the launcher of Flower's nodes writes and starts, without Flower."""

import json
import pathlib
import stat
import subprocess
import sys
import time
import tomllib

import pytest

from coalesce_jax.federated import flower
from launch import flower as launcher
from launch import flower_app
from launch import flower_processes as processes

CONFIG = """
from tests.federated.flower import settings
get_config = settings.metagater
"""


def job(tmp_path, **changes):
  given = {'nodes': [{'partition-id': 0}, {'data': 'my photos'}]}
  return processes.Job(tmp_path / 'app', tmp_path, **given | changes)


@pytest.fixture
def programs(tmp_path, monkeypatch):
  """Programs of Flower's names that only say how they were called."""
  folder = tmp_path / 'bin'
  folder.mkdir()
  for name in ('flower-superlink', 'flower-supernode', 'flwr'):
    path = folder / name
    path.write_text(f'#!{sys.executable}\n' + STAND_IN)
    path.chmod(0o755)
  monkeypatch.setattr(sys, 'executable', str(folder / 'python'))


STAND_IN = """
import json, os, pathlib, socket, sys, time
name, flags = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
home = pathlib.Path(os.environ['FLWR_HOME'])
quiet = [os.environ[n] for n in (
  'FLWR_TELEMETRY_ENABLED', 'FLWR_DISABLE_UPDATE_CHECK')]
said = json.dumps([str(os.getpid()), flags, str(home), quiet])
(home / 'called').write_text(said)
if name == 'flwr':
  config = home / 'config.toml'
  address = config.read_text().split('"')[3]
  socket.create_connection(address.split(':')).close()
  while not all((home.parent / n / 'called').exists() for n in (
      'node_0', 'node_1')):
    time.sleep(0.01)
  if (home / 'fail').exists():
    sys.exit('no such run')
  time.sleep(600 if (home / 'wait').exists() else 0)
  sys.exit()
if name == 'flower-superlink':
  port = next(int(f.split('=')[1]) for f in flags if f.startswith('--port='))
  listening = socket.create_server(('127.0.0.1', port))
time.sleep(600)
"""


def called(tmp_path, name):
  text = (tmp_path / 'flower' / name / 'called').read_text()
  return json.loads(text)


def alive(pid):
  path = pathlib.Path(f'/proc/{pid}/stat')
  return path.exists() and path.read_text().split()[2] != 'Z'


@pytest.mark.usefixtures('programs')
def test_processes_run_on_this_machine_and_end_with_the_run(tmp_path):
  processes.run(job(tmp_path))
  pid, link, _, quiet = called(tmp_path, 'superlink')
  assert quiet == ['0', '1'] and not alive(pid)
  assert {'--insecure', '--host=127.0.0.1'} <= set(link)
  assert '--disable-runtime-dependency-installation' in link
  port = next(f for f in link if f.startswith('--port=')).split('=')[1]
  pid, node, home, _ = called(tmp_path, 'node_1')
  assert not alive(pid) and home == str(tmp_path / 'flower' / 'node_1')
  assert f'--superlink=127.0.0.1:{port}' in node
  assert '--node-config=data="my photos"' in node
  assert called(tmp_path, 'run')[1] == [
    'run', str(tmp_path / 'app'), 'local', '--stream',
  ]  # fmt: skip


@pytest.mark.usefixtures('programs')
def test_a_run_that_cannot_start_says_the_last_line(tmp_path):
  (tmp_path / 'flower' / 'run').mkdir(parents=True)
  (tmp_path / 'flower' / 'run' / 'fail').touch()
  with pytest.raises(processes.tasks.Failed, match='run.log: no such run'):
    processes.run(job(tmp_path))
  assert not alive(called(tmp_path, 'superlink')[0])


@pytest.mark.usefixtures('programs')
def test_a_stop_ends_all_processes(tmp_path):
  watched = {}

  def asked():
    node = tmp_path / 'flower' / 'node_1' / 'called'
    return 'run' in watched and node.exists()

  (tmp_path / 'flower' / 'run').mkdir(parents=True)
  (tmp_path / 'flower' / 'run' / 'wait').touch()
  with pytest.raises(processes.loop.Interrupted):
    processes.run(job(tmp_path), asked, watched.update)
  assert not any(process.poll() is None for process in watched.values())
  assert sorted(watched) == ['node_0', 'node_1', 'run', 'superlink']


def test_a_process_that_does_not_listen_is_ended_with_its_children():
  code = (
    'import signal, subprocess, sys, time\n'
    'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
    'child = subprocess.Popen([sys.executable, "-c", '
    '"import time; time.sleep(600)"], start_new_session=True)\n'
    'print(child.pid, flush=True); time.sleep(600)'
  )
  parent = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE,
    start_new_session=True,
  )  # fmt: skip
  child = parent.stdout.readline().decode().strip()
  processes.end({'parent': parent}, patience=0.5)
  assert parent.returncode is not None
  while alive(child):
    time.sleep(0.01)
  parent.stdout.close()


def test_certificates_are_named_where_connections_are_encrypted(tmp_path):
  names = ('ca.pem', 'server.pem', 'server.key')
  paths = processes.certificates.Paths(*(tmp_path / name for name in names))
  with pytest.raises(ValueError, match='flower-superlink is not installed'):
    processes.commands(job(tmp_path), [1, 2, 3], paths)
  text = processes.connection('127.0.0.1:9', tmp_path / 'ca.pem')
  found = tomllib.loads(text)['superlink']
  assert found[found['default']] == {
    'address': '127.0.0.1:9', 'root-certificates': str(tmp_path / 'ca.pem'),
  }  # fmt: skip
  plain = tomllib.loads(processes.connection('127.0.0.1:9', None))
  assert plain['superlink']['local']['insecure'] is True


@pytest.mark.usefixtures('programs')
def test_a_node_trusts_the_authority_alone(tmp_path):
  paths = processes.certificates.Paths('ca', 'server', 'key')
  link, node, _, _ = processes.commands(job(tmp_path), [1, 2, 3], paths)
  assert '--root-certificates=ca' in node.line
  assert '--ssl-certfile=server' in link.line
  assert '--insecure' not in link.line + node.line


@pytest.mark.usefixtures('programs')
def test_values_of_a_node_cannot_smuggle_in_others(tmp_path):
  wrong = job(tmp_path, nodes=[{'data': 'a" partition-id="1'}])
  with pytest.raises(ValueError, match='data: .* has quotes or line breaks'):
    processes.commands(wrong, [1, 2], None)


def test_an_app_carries_its_settings_and_no_method(tmp_path):
  values = {'settings': '{"a": "b\\"c"}', 'out': 'x', 'clip': 1e-05, 'n': 3}
  flower_app.write(tmp_path, 'metagater', values)
  project = tomllib.loads((tmp_path / 'pyproject.toml').read_text())
  app = project['tool']['flwr']['app']
  assert app['config'] == values
  assert app['components'] == {
    'serverapp': 'coalesce_app:server', 'clientapp': 'coalesce_app:client',
  }  # fmt: skip
  module = (tmp_path / 'coalesce_app.py').read_text()
  assert 'from coalesce_jax.pipeline.federated_nodes import client' in module


def test_without_flower_one_line_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'flwr', None)
  monkeypatch.setitem(sys.modules, 'flwr.clientapp', None)
  with pytest.raises(ValueError, match=r"pip install 'coalesce_jax\[federat"):
    flower.client_app(lambda run, node: {})


@pytest.mark.usefixtures('programs')
def test_a_dry_run_writes_the_app_and_prints_commands(tmp_path, capsys):
  config = tmp_path / 'mine.py'
  config.write_text(CONFIG)
  code = launcher.main(
    [f'--workdir={tmp_path / "run"}', f'--config={config}', '--dry_run',
     '--clip=2']
  )  # fmt: skip
  captured = capsys.readouterr()
  assert code == 0, captured.err
  found = json.loads(captured.out)
  # A SuperLink, four nodes, and the run.
  assert found['commands'] == 6
  project = tomllib.loads(
    (pathlib.Path(found['app']) / 'pyproject.toml').read_text()
  )
  assert project['tool']['flwr']['app']['config']['clip'] == 2.0
  assert captured.err.count('flower-supernode') == 4


def test_the_private_key_of_a_server_is_its_own(tmp_path):
  pytest.importorskip('cryptography')
  paths = processes.certificates.make(tmp_path)
  assert stat.S_IMODE(paths.key.stat().st_mode) == 0o600
