"""Files that another process has locked."""

import subprocess
import sys

_CODE = (
  'import fcntl, os, sys\n'
  'held = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)\n'
  'fcntl.flock(held, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()'
)


def elsewhere(path) -> subprocess.Popen:
  """A process that holds the lock of a path, until its `communicate`."""
  process = subprocess.Popen(
    [sys.executable, '-c', _CODE, str(path)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
  )  # fmt: skip
  process.stdout.readline()
  return process
