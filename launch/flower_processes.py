"""Flower's processes on this machine: a SuperLink, SuperNodes, and a run.

They talk over 127.0.0.1. Only processes that were started here are ended.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any, NamedTuple

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.training import loop
from launch import certificates
from launch import tasks

_HOST = '127.0.0.1'
# Seconds for processes to end by themselves.
_PATIENCE = 20.0
# Nothing of a run is told to others, and nothing is looked up.
_QUIET = {'FLWR_TELEMETRY_ENABLED': '0', 'FLWR_DISABLE_UPDATE_CHECK': '1'}


class Job(NamedTuple):
  """One run of an app.

  Attributes:
    app: folder of the app.
    workdir: folder of logs, of Flower's files, and of what the server writes.
    nodes: values of each SuperNode by name.
    tls: whether connections are encrypted.
  """

  app: pathlib.Path
  workdir: pathlib.Path
  nodes: Sequence[Mapping[str, Any]]
  tls: bool = False


class Command(NamedTuple):
  """A process to start.

  Attributes:
    name: name of its log.
    line: the command line.
    home: folder of its Flower files.
  """

  name: str
  line: list[str]
  home: pathlib.Path


def commands(
  job: Job, ports: Sequence[int], tls: certificates.Paths | None
) -> list[Command]:
  """Returns what is started, in order; the last one ends with the run.

  Args:
    job: the run.
    ports: a port for the SuperLink and one for each SuperNode.
    tls: files of the certificates, or None.
  """
  home = job.workdir / 'flower'
  address = f'{_HOST}:{ports[0]}'
  server, client = ['--insecure'], ['--insecure']
  if tls is not None:
    server = [
      f'--ssl-ca-certfile={tls.authority}', f'--ssl-certfile={tls.certificate}',
      f'--ssl-keyfile={tls.key}',
    ]  # fmt: skip
    client = [f'--root-certificates={tls.authority}']
  link = [
    _program('flower-superlink'), *server, f'--host={_HOST}',
    f'--port={ports[0]}', '--disable-runtime-dependency-installation',
  ]  # fmt: skip
  found = [Command('superlink', link, home / 'superlink')]
  for i, (values, port) in enumerate(zip(job.nodes, ports[1:], strict=True)):
    node = [
      _program('flower-supernode'), *client, f'--superlink={address}',
      f'--host={_HOST}', f'--port={port}', f'--node-config={_pairs(values)}',
    ]  # fmt: skip
    found.append(Command(f'node_{i}', node, home / f'node_{i}'))
  run = [_program('flwr'), 'run', str(job.app), 'local', '--stream']
  return [*found, Command('run', run, home / 'run')]


def connection(address: str, authority: pathlib.Path | None) -> str:
  """Returns the configuration by which `flwr run` finds the SuperLink.

  Args:
    address: host and port of the SuperLink.
    authority: certificate that is trusted; None is a connection without TLS.
  """
  how = 'insecure = true'
  if authority is not None:
    how = f'root-certificates = "{authority}"'
  return (
    '[superlink]\ndefault = "local"\n\n[superlink.local]\n'
    f'address = "{address}"\n{how}\n'
  )


def run(
  job: Job,
  stop: Callable[[], bool] = lambda: False,
  watch: Callable[[dict[str, subprocess.Popen[bytes]]], None] = lambda _: None,
) -> None:
  """Starts the processes, waits for the end of the run, and ends them all.

  Args:
    job: the run.
    stop: whether a stop was asked for.
    watch: is called with the processes by name, again and again.

  Raises:
    loop.Interrupted: `stop` said so.
    tasks.Failed: the SuperLink ended, or the run could not be started; the last
      line that it wrote.
  """
  logs = files.check_writable(job.workdir / 'logs')
  ports = free_ports(1 + len(job.nodes))
  tls = certificates.make(job.workdir / 'certificates') if job.tls else None
  *services, last = commands(job, ports, tls)
  authority = None if tls is None else tls.authority.resolve()
  files.write_bytes(
    last.home / 'config.toml',
    connection(f'{_HOST}:{ports[0]}', authority).encode(),
  )
  running: dict[str, subprocess.Popen[bytes]] = {}
  try:
    for command in services:
      running[command.name] = _start(command, logs)
      if command.name == 'superlink':
        _wait_for(ports[0], running['superlink'], logs, stop)
    running[last.name] = _start(last, logs)
    while running[last.name].poll() is None:
      if stop():
        raise loop.Interrupted('the run over real nodes')
      if running['superlink'].poll() is not None:
        raise tasks.Failed(f'superlink ended: {_last(logs, "superlink")}')
      watch(running)
      time.sleep(0.2)
    if running[last.name].returncode:
      raise tasks.Failed(f'flwr run: {_last(logs, last.name)}')
  finally:
    end(running)


def end(
  running: Mapping[str, subprocess.Popen[bytes]], patience: float = _PATIENCE
) -> None:
  """Ends processes and those that they started, in any case.

  Args:
    running: processes by name, each the leader of its group.
    patience: seconds for them to end by themselves.
  """
  # Flower starts processes in groups of their own, too.
  others = _descendants({process.pid for process in running.values()})
  for number in (signal.SIGTERM, signal.SIGKILL):
    for process in reversed(list(running.values())):
      with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    until = time.monotonic() + patience
    for process in running.values():
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.1, until - time.monotonic()))
  for pid in others:
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid, signal.SIGKILL)


def _descendants(pids: set[int]) -> set[int]:
  """Returns the processes that these started, and those that they did."""
  try:
    listed = subprocess.run(
      ['ps', '-A', '-o', 'pid=,ppid='], capture_output=True, text=True,
      check=False,
    ).stdout  # fmt: skip
  except FileNotFoundError:
    # Small containers have no ps. Groups are ended all the same.
    return set()
  parents = [tuple(map(int, row.split())) for row in listed.splitlines()]
  found: set[int] = set()
  while True:
    more = {pid for pid, parent in parents if parent in pids | found} - found
    if not more:
      return found
    found |= more


def free_ports(count: int) -> list[int]:
  """Returns numbers of ports of this machine that nobody listens to."""
  with contextlib.ExitStack() as stack:
    found = []
    for _ in range(count):
      opened = stack.enter_context(socket.socket())
      opened.bind((_HOST, 0))
      found.append(opened.getsockname()[1])
  return found


def _program(name: str) -> str:
  """Returns the path of a program of Flower.

  Raises:
    ValueError: it is not installed.
  """
  beside = pathlib.Path(sys.executable).with_name(name)
  path = str(beside) if beside.exists() else shutil.which(name)
  if path is None:
    raise ValueError(
      f'{name} is not installed; install Flower in an environment of its own: '
      "pip install 'coalesce_jax[federated]'"
    )
  return path


def _pairs(values: Mapping[str, Any]) -> str:
  """Returns values as `--node-config` reads them.

  Raises:
    ValueError: a text has a quote or a line break, which it cannot have.
  """
  parts = []
  for name, value in values.items():
    text = str(value)
    if isinstance(value, str):
      if not text.isprintable() or {'"', '\\'} & set(text):
        raise ValueError(f'{name}: {text!r:.80} has quotes or line breaks')
      text = f'"{text}"'
    parts.append(f'{name}={text}')
  return ' '.join(parts)


def _start(command: Command, logs: pathlib.Path) -> subprocess.Popen[bytes]:
  logging.info('%s: %s', command.name, tasks.line(command.line))
  command.home.mkdir(parents=True, exist_ok=True)
  # Flower's processes start others of its programs by their names.
  path = os.pathsep.join(
    [os.path.dirname(command.line[0]), os.environ.get('PATH', '')]
  )
  # A node has a new process for every message: it compiles once all the same.
  environment = {
    'JAX_COMPILATION_CACHE_DIR': str(logs.parent / 'flower' / 'programs'),
    **os.environ, **_QUIET, 'FLWR_HOME': str(command.home), 'PATH': path,
  }  # fmt: skip
  with open(logs / f'{command.name}.log', 'wb') as log:
    return subprocess.Popen(
      command.line, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
      env=environment, start_new_session=True,
    )  # fmt: skip


def _wait_for(
  port: int,
  process: subprocess.Popen[bytes],
  logs: pathlib.Path,
  stop: Callable[[], bool],
) -> None:
  """Waits until a process listens to a port."""
  while True:
    with socket.socket() as opened:
      if opened.connect_ex((_HOST, port)) == 0:
        return
    if process.poll() is not None:
      raise tasks.Failed(f'superlink ended: {_last(logs, "superlink")}')
    if stop():
      raise loop.Interrupted('the run over real nodes')
    time.sleep(0.2)


def _last(logs: pathlib.Path, name: str) -> str:
  """Returns the last line of a log."""
  text = (logs / f'{name}.log').read_text(errors='replace')
  lines = [line for line in text.splitlines() if line.strip()]
  return f'{logs / name}.log: {lines[-1] if lines else "nothing written"}'
