"""Arranges images as columns of examples, which reports show.

A work folder has them in `pictures`: PNG files, and `columns.txt`, which says
what their columns are.

Shapes: N images, H, W, C image, uint8 or in [-1, 1].
"""

from collections.abc import Sequence
import io
import pathlib

from matplotlib import figure
import numpy as np
from PIL import Image
from PIL import PngImagePlugin

from coalesce_jax.core import replacing

_GAP = 2
# Pictures that a report shows, and the bytes of each.
_MOST, _MOST_BYTES = 6, 1 << 24


def levels(image: np.ndarray) -> np.ndarray:
  """Converts an image of 1 or 3 channels, or of others, to uint8 levels.

  Args:
    image: `[H, W, C]`, uint8 or in [-1, 1]. Of two channels the first is shown,
      of more than three the first three.
  """
  image = np.asarray(image)
  if image.dtype != np.uint8:
    image = np.round((np.clip(image, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
  channels = image.shape[-1]
  return image if channels in (1, 3) else image[..., : 1 if channels < 3 else 3]


def columns(sets: Sequence[Sequence[np.ndarray] | np.ndarray]) -> np.ndarray:
  """Returns one picture, uint8, with a row for each example.

  Args:
    sets: N images for each column, in an array or a list. Sizes and channels
      may differ; grey images become coloured if others are.
  """
  shown = [[levels(image) for image in images] for images in sets]
  channels = max(image.shape[-1] for images in shown for image in images)
  high = max(image.shape[0] for images in shown for image in images) + _GAP
  wide = [max(image.shape[1] for image in images) + _GAP for images in shown]
  count = min(map(len, shown))
  sheet = np.full(
    (count * high + _GAP, sum(wide) + _GAP, channels), 128, np.uint8
  )
  left = _GAP
  for images, width in zip(shown, wide, strict=True):
    for k in range(count):
      image = images[k]
      top = _GAP + k * high
      sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    left += width
  return sheet


def png(array: np.ndarray) -> bytes:
  """Returns an image `[H, W, 1 or 3]`, uint8, as the bytes of a PNG file.

  It carries the mark by which a later command may replace it.
  """
  if array.shape[-1] == 1:
    array = array[..., 0]
  buffer = io.BytesIO()
  marks = PngImagePlugin.PngInfo()
  marks.add_text('Software', replacing.MARK)
  Image.fromarray(array).save(buffer, format='PNG', pnginfo=marks)
  return buffer.getvalue()


def read(folder: pathlib.Path) -> tuple[dict[str, bytes], str]:
  """Reads the pictures of a work folder, and what their columns are.

  Args:
    folder: their folder, which need not exist.

  Returns:
    PNG files by name, and a text; both may be empty.
  """
  found = {
    path.stem.replace('_', ' '): path.read_bytes()
    for path in sorted(folder.glob('*.png'))[:_MOST]
    if path.stat().st_size <= _MOST_BYTES
  }
  text = folder / 'columns.txt'
  if not text.is_file() or text.stat().st_size > 1000:
    return found, ''
  return found, text.read_text(errors='replace')


def figures(pictures: dict[str, bytes]) -> dict[str, figure.Figure]:
  """Draws pictures side by side, as the figure 'samples' of a report.

  Args:
    pictures: PNG files by title. Without any there is no figure.
  """
  if not pictures:
    return {}
  drawn = figure.Figure(figsize=(4.0 * len(pictures), 6.0))
  axes = drawn.subplots(1, len(pictures), squeeze=False)[0]
  for ax, (name, data) in zip(axes, pictures.items(), strict=True):
    with Image.open(io.BytesIO(data)) as image:
      ax.imshow(np.asarray(image.convert('RGB')), interpolation='nearest')
    ax.axis('off')
    ax.set_title(name)
  drawn.tight_layout()
  return {'samples': drawn}
