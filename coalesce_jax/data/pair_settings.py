"""Settings of image pairs: direction, layout and geometry.

The names are those that users know from the reference implementation of Isola
et al., "Image-to-Image Translation with Conditional Adversarial Networks",
https://arxiv.org/abs/1611.07004. This module imports no JAX.
"""

import dataclasses

DIRECTIONS = ('AtoB', 'BtoA')
PREPROCESS = ('resize_and_crop', 'crop', 'scale_width', 'none')
LAYOUTS = ('aligned', 'unaligned')
MAX_SIDE = 4096

Size = int | tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Settings:
  """Selects how image pairs are read.

  Attributes:
    direction: 'AtoB' makes B the target, 'BtoA' makes A the target.
    preprocess: geometry on the host. 'resize_and_crop' resizes images for
      training to `load_size` and those held out to `crop_size`. 'crop' keeps
      the scale; images larger than the smallest are cropped around their
      middle, those held out to `crop_size`. 'scale_width' scales to the width
      of `load_size` and keeps the proportions. 'none' keeps images as they are.
    load_size: side, or (H, W), of images for training; None is `crop_size`.
    crop_size: side, or (H, W), of the crops that a network is trained on.
    flip: whether half of the images for training are mirrored.
    layout: one of `LAYOUTS`; None finds it by looking at the folder.
    condition_channels: channels of the condition; None keeps those of a user's
      images, and is 3 for the tasks with a name.
    target_channels: channels of the target, likewise.
  """

  direction: str = 'AtoB'
  preprocess: str = 'resize_and_crop'
  load_size: Size | None = None
  crop_size: Size = 64
  flip: bool = True
  layout: str | None = None
  condition_channels: int | None = None
  target_channels: int | None = None

  def __post_init__(self):
    """Checks all values.

    Raises:
      ValueError: a value is not one of those listed, or a size is not in
        [1, `MAX_SIDE`].
    """
    _check_name('direction', self.direction, DIRECTIONS)
    _check_name('preprocess', self.preprocess, PREPROCESS)
    if self.layout is not None:
      _check_name('layout', self.layout, LAYOUTS)
    for name in ('condition_channels', 'target_channels'):
      if getattr(self, name) not in (None, 1, 3):
        raise ValueError(f'{name}: {getattr(self, name)!r} is neither 1 nor 3')
    crop, load = self.crop, self.load
    if self.preprocess == 'resize_and_crop' and any(
      c > n for c, n in zip(crop, load, strict=True)
    ):
      raise ValueError(
        f'crop_size {self.crop_size} is larger than load_size {self.load_size}'
      )

  @property
  def crop(self) -> tuple[int, int]:
    """The (H, W) of crops."""
    return _pair('crop_size', self.crop_size)

  @property
  def load(self) -> tuple[int, int]:
    """The (H, W) to which images for training are resized."""
    if self.load_size is None:
      return self.crop
    return _pair('load_size', self.load_size)

  @property
  def channels(self) -> tuple[int | None, int | None]:
    """Channels of A and of B, whichever of them is the target."""
    pair = (self.condition_channels, self.target_channels)
    return pair if self.direction == 'AtoB' else pair[::-1]


def _pair(name: str, size: Size) -> tuple[int, int]:
  pair = (size, size) if isinstance(size, int) else tuple(size)
  if len(pair) != 2 or not all(
    isinstance(n, int) and 1 <= n <= MAX_SIDE for n in pair
  ):
    raise ValueError(
      f'{name}: {size!r} is neither a side nor (H, W) in [1, {MAX_SIDE}]'
    )
  return pair


def _check_name(name: str, value: str, names: tuple[str, ...]) -> None:
  if value not in names:
    raise ValueError(f'{name}: {value!r} is not one of {", ".join(names)}')
