"""Renders vector pictures (SVG) on white.

The extra `translation` has the renderer, resvg. A picture that refers to other
files or declares entities is refused, so that rendering reads nothing else.

Shapes: N images, S side; uint8, 0 to 255.
"""

from collections.abc import Callable, Mapping
import importlib.util
import io
import re

import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import decoding

MODULE = 'resvg_py'
EXTRA = "pip install 'coalesce_jax[translation]'"
MAX_SVG_BYTES = 1 << 20
MAX_BYTES = 1 << 31

# ``(description, total) -> (done) -> None``, see `runs.progress.steps`.
Progress = Callable[[str, int], Callable[..., None]]
_FOREIGN = re.compile(
  r'<!entity|<!doctype|<image|<script|<foreignobject|@import'
  r'|href\s*=\s*["\'](?!#)|url\(\s*["\']?(?!["\']?#)',
  re.IGNORECASE,
)


def render(svg: bytes, name: str, side: int) -> np.ndarray:
  """Renders one picture in the middle of a white square, uint8 `[S, S, 3]`.

  Args:
    svg: the text of the picture, UTF-8.
    name: its name, for messages.
    side: S.

  Raises:
    ValueError: the renderer is not installed, or the picture is too large,
      refers to other files or cannot be rendered. The message is one line.
  """
  check_installed()
  import resvg_py

  name = files.shown(name)
  if len(svg) > MAX_SVG_BYTES:
    raise ValueError(f'{name}: {len(svg)} bytes, more than {MAX_SVG_BYTES}')
  try:
    text = svg.decode()
  except UnicodeDecodeError:
    raise ValueError(f'{name}: not an SVG file of UTF-8 text') from None
  foreign = _FOREIGN.search(text)
  if foreign:
    raise ValueError(
      f'{name}: refers to what is outside of it ({foreign[0]!r})'
    )
  try:
    png = resvg_py.svg_to_bytes(
      svg_string=text,
      background='#ffffff',
      width=side,
      height=side,
      skip_system_fonts=True,
    )
  # The renderer raises its own types of errors.
  except Exception as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{name}: not rendered ({reason:.200})') from None
  with Image.open(io.BytesIO(png), formats=('PNG',)) as image:
    pixels = decoding.convert(image, name, None)
  if max(pixels.shape[:2]) > side + 1:
    raise ValueError(f'{name}: rendered to {pixels.shape}, side {side}')
  # resvg rounds the longer side of a picture that is no square up.
  pixels = pixels[:side, :side]
  height, width = pixels.shape[:2]
  page = np.full((side, side, 3), 255, np.uint8)
  top, left = (side - height) // 2, (side - width) // 2
  page[top : top + height, left : left + width] = pixels
  return page


def check_installed() -> None:
  """Checks that the renderer is installed.

  Raises:
    ValueError: it is not; one line names the extra.
  """
  if importlib.util.find_spec(MODULE) is None:
    raise ValueError(f'resvg is missing, which renders SVG files: {EXTRA}')


def render_all(
  texts: Mapping[str, bytes],
  side: int,
  description: str,
  progress: Progress | None = None,
) -> tuple[np.ndarray, list[str]]:
  """Renders pictures in the order of their names.

  Args:
    texts: the texts of the pictures by name.
    side: S.
    description: what the pictures are, for messages.
    progress: shows how many are rendered.

  Returns:
    images: uint8 `[N, S, S, 3]`.
    names: of the pictures, sorted.

  Raises:
    ValueError: see `render`; or the images are too large altogether.
  """
  check_installed()
  if len(texts) * side * side * 3 > MAX_BYTES:
    raise ValueError(
      f'{description}: {len(texts)} images of side {side} are more than '
      f'{MAX_BYTES} bytes; choose a smaller size'
    )
  names = sorted(texts)
  show = progress(f'rendering {description}', len(names)) if progress else None
  images = np.empty((len(names), side, side, 3), np.uint8)
  for k, name in enumerate(names):
    if show:
      show(k)
    images[k] = render(texts[name], name, side)
  if show:
    show(len(names))
  return images, names
