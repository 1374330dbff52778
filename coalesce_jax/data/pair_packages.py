"""Lists the packages that hold image pairs, with their licences.

`download.find` finds or downloads them. Archives of thousands of small files
are kept as they are and verified as a whole.
"""

import pathlib
from typing import NamedTuple

from coalesce_jax.data import download


class Terms(NamedTuple):
  """How pictures of a package may be used.

  Attributes:
    licence: name of the licence.
    attribution: what is to be named wherever a picture is shown.
  """

  licence: str
  attribution: str


def _kept(name: str, version: str, digest: str) -> download.Package:
  """Returns an npm package of which the archive itself is kept."""
  file = f'{name}-{version}.tgz'
  return download.Package(
    files={file: digest},
    client=('npm', 'pack', '--ignore-scripts', f'{name}@{version}'),
    archive=f'{name}-*.tgz',
    archive_sha256=digest,
    debian='',
    advice=f'run `npm pack {name}@{version}`',
  )


# fmt: off
PACKAGES = {
  'fluentui-emoji': _kept(
    'fluentui-emoji', '1.3.0',
    'ec892e607e854859b812c7d827801756adc19955b0ef56d4ae8afcddd19492c5',
  ),
  'openmoji': _kept(
    'openmoji', '17.0.0',
    '55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68',
  ),
  'emoji-datasource-google': _kept(
    'emoji-datasource-google', '16.0.0',
    'fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438',
  ),
  'emoji-datasource-twitter': _kept(
    'emoji-datasource-twitter', '16.0.0',
    'f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877',
  ),
  'three-globe': download.Package(
    files={
      'earth-blue-marble.jpg':
        '228deba2e4b600146bdcb6cfa359b8ead6aacc2b1c13550a29cd82824cfa1c01',
      'earth-day.jpg':
        'a17d358830c8c19c3c03f278d5ff076f1f247ff61b8ebf76f6645baaf5457b99',
      'earth-topology.png':
        '839b12da2e4dd346b256cebae72e10c479a102c8980a22084c41275e4b9a0e12',
      'earth-water.png':
        '3a8132db56aac4e64e7fcbf2928ee970c075ac6a96b38798d0bb8be82836a4d3',
    },
    client=('npm', 'pack', '--ignore-scripts', 'three-globe@2.45.2'),
    archive='three-globe-*.tgz',
    archive_sha256=
      'f6deff6848980a4bda13b0993e5ebc929b27e791e063a5517c87115ff7e669cb',
    debian='',
    advice='run `npm pack three-globe@2.45.2` and unpack its example/img',
  ),
}
# fmt: on

TERMS = {
  'fluentui-emoji': Terms('MIT', 'Fluent Emoji, Microsoft'),
  'openmoji': Terms(
    'CC BY-SA 4.0', 'OpenMoji, the open-source emoji and icon project'
  ),
  'emoji-datasource': Terms(
    'Apache-2.0 (Google), CC BY 4.0 (Twitter)',
    'Noto Emoji, Google; Twemoji, Twitter and other contributors',
  ),
  'three-globe': Terms(
    'MIT (package); public domain (NASA imagery); the package does not state '
    'the origin of the relief and water maps',
    'NASA Blue Marble; three-globe',
  ),
}


def find(name: str, data_dir: str | None) -> pathlib.Path:
  """Returns the folder with the verified files of a package.

  Args:
    name: one of `PACKAGES`.
    data_dir: a folder that is searched first.

  Raises:
    ValueError: the package is not found and cannot be downloaded, or a file is
      damaged. The message is one line that says what to do.
  """
  package = PACKAGES[name]
  folder = download.find(name, data_dir, package)
  if folder is None:
    raise ValueError(
      f'{name}: not found; {package.advice}, then pass the folder as '
      '--data_dir or COALESCE_DATA'
    )
  return folder


def archive(name: str, data_dir: str | None) -> pathlib.Path:
  """Returns the verified archive of a package that is kept as one.

  Args:
    name: see `find`.
    data_dir: see `find`.

  Raises:
    ValueError: see `find`.
  """
  return find(name, data_dir) / next(iter(PACKAGES[name].files))
