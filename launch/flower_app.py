"""Writes the folder of a Flower app, which `flwr run` sends to all nodes.

It has no method in it: nodes import that from the coalesce_jax that they have.
"""

from collections.abc import Mapping
import importlib
import json
import pathlib
from typing import Any

from coalesce_jax.core import files

# Name of the app -> module with its `client` and `server`.
APPS = {
  'metagater': 'coalesce_jax.pipeline.federated_nodes',
  'coalescence': 'coalesce_jax.pipeline.barycenter_nodes',
}
_MODULE = '''"""The Flower app {name!r} of coalesce_jax."""

from {home} import client as _client
from {home} import server as _server

client = _client()
server = _server()
'''
_PROJECT = """[project]
name = "coalesce-{name}"
version = "1.0.0"
description = "The Flower app {name} of coalesce_jax."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "coalesce-jax"

[tool.flwr.app.components]
serverapp = "coalesce_app:server"
clientapp = "coalesce_app:client"

[tool.flwr.app.config]
"""


def values(name: str, config: Any, out: str) -> dict[str, Any]:
  """Returns the settings of a run for the nodes of a configuration.

  Args:
    name: one of `APPS`.
    config: a configuration.
    out: folder at the server for what it writes.

  Raises:
    ValueError: bad settings or data; one line.
  """
  return importlib.import_module(APPS[name]).values(config, out)


def write(
  folder: pathlib.Path,
  name: str,
  values: Mapping[str, Any],
  module: str | None = None,
) -> pathlib.Path:
  """Writes an app.

  Args:
    folder: folder of the app.
    name: one of `APPS`.
    values: settings of the run: texts, numbers and switches by name.
    module: another text of its module; None is the app's.

  Returns:
    The folder.
  """
  # A text of JSON is one of TOML, and so are its numbers.
  lines = [f'{key} = {json.dumps(value)}\n' for key, value in values.items()]
  text = _PROJECT.format(name=name) + ''.join(lines)
  files.write_all(
    {
      folder / 'pyproject.toml': text.encode(),
      folder / 'coalesce_app.py': (
        module or _MODULE.format(name=name, home=APPS[name])
      ).encode(),
    }
  )
  return folder
