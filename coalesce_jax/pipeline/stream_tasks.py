"""Makes tasks of a stream from the names of their data.

Shapes: T tasks, N images, H, W, C image.
"""

from collections.abc import Sequence
import dataclasses
import os
import re
from typing import Any, NamedTuple

from coalesce_jax.continual import image_tasks
from coalesce_jax.continual import latent_tasks
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.data import datasets
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs
from coalesce_jax.data import partition
from coalesce_jax.data import rendering
from coalesce_jax.data import shapes
from coalesce_jax.methods import settings as method_settings
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from coalesce_jax.translation import settings as translation_settings

METHODS = ('pix2pix', 'cyclegan')
LATENT = 'wgan'


class Source(NamedTuple):
  """A task by name.

  Attributes:
    name: its name.
    data: the name or path of its data.
    method: 'wgan' of generators of latents, else one of `METHODS`.
  """

  name: str
  data: str
  method: str


@dataclasses.dataclass(frozen=True)
class Settings:
  """How every task is learned; see `stream_defaults` for the fields.

  Attributes:
    select: whether the best translator by held-out pairs is kept.
    spec: the network that a family has; None makes one of the other fields.
  """

  data_dir: str | None = None
  direction: str = 'AtoB'
  layout: str | None = None
  side: int = 64
  images: int = 0
  steps: int = 1000
  method: str = 'pix2pix'
  network: str = ''
  width: int = 32
  critic_width: int = 32
  latent_size: int = 64
  batch_size: int = 0
  learning_rate: float = 0.0
  save_seconds: float = 60.0
  fast_compile: bool = False
  select: bool = True
  spec: generator_lib.Spec | None = None

  def __post_init__(self):
    if self.method not in METHODS:
      raise ValueError(f'method {self.method!r} is not one of {METHODS}')
    for name in ('images', 'batch_size', 'learning_rate'):
      if not getattr(self, name) >= 0:
        raise ValueError(f'{name} {getattr(self, name)} is negative')
    self.schedule()

  def schedule(self, chunk: int = 50, select: int = 0) -> loop.Schedule:
    """Returns the schedule of a task."""
    chunk = loop.chunk_of(self.steps, chunk)
    every = select // chunk * chunk
    return loop.Schedule(
      self.steps, chunk, save_seconds=self.save_seconds,
      select_every=every if every <= self.steps else 0, patience=1 << 30,
      fast_compile=self.fast_compile,
    )  # fmt: skip


def parse(text: str, settings: Settings, name: str | None = None) -> Source:
  """Reads 'DATA' or 'NAME=DATA'.

  Args:
    text: the text.
    settings: of the stream.
    name: a name that is given apart; `text` is then the data alone.

  Raises:
    ValueError: it is empty, or the name is none.
  """
  data = text
  if name is None:
    before, equals, after = text.partition('=')
    name, data = (before, after) if equals else (None, text)
  if not data:
    raise ValueError(f'task {text!r}: no data; write NAME=DATA')
  if name is None:
    base = os.path.basename(os.path.normpath(data)).lower()
    name = re.sub(r'[^a-z0-9_.-]+', '-', base).strip('-._')[:60]
  latent = not settings.layout and not pairs.are_in(data)
  if settings.spec is not None:
    latent = settings.spec.condition_shape is None
  return Source(
    tasks_lib.named(name), data, LATENT if latent else settings.method
  )


def load(
  sources: Sequence[Source],
  settings: Settings,
  coded: bool = False,
  progress: rendering.Progress | None = None,
) -> list[tasks_lib.Task]:
  """Loads the data of tasks.

  Args:
    sources: T tasks of one kind.
    settings: of the stream.
    coded: whether latents end in a code of T values, which tells tasks apart.
    progress: shows how many pictures are rendered.

  Raises:
    ValueError: data are missing, damaged or do not fit, kinds differ, or a
      setting is out of range.
  """
  kinds = {source.method for source in sources}
  if len(kinds) > 1:
    raise ValueError(
      'tasks '
      + ', '.join(f'{s.name} ({s.method})' for s in sources)
      + ': all must translate images, or all make images of latents'
    )
  if kinds == {LATENT}:
    count = len(sources)
    return [
      _latent(source, settings, (t, count) if coded else None)
      for t, source in enumerate(sources)
    ]
  return [_translation(source, settings, progress) for source in sources]


def _translation(
  source: Source, settings: Settings, progress: rendering.Progress | None
) -> tasks_lib.Task:
  spec = settings.spec
  channels: tuple[int | None, int | None] = (None, None)
  size = settings.side, settings.side
  if spec is not None:
    assert spec.condition_shape is not None
    size = spec.image_shape[0], spec.image_shape[1]
    given = spec.condition_shape[-1], spec.image_shape[-1]
    a, b = (n if n in (1, 3) else None for n in given)
    channels = (a, b)
  chosen = pair_settings.Settings(
    direction=settings.direction, layout=settings.layout, crop_size=size,
    condition_channels=channels[0], target_channels=channels[1],
  )  # fmt: skip
  train, held = pairs.load(source.data, chosen, settings.data_dir, progress)
  if settings.images:
    count = settings.images
    train = train._replace(
      condition=train.condition[:count], target=train.target[:count]
    )
  config = translation(settings, source.method)
  if source.method == 'cyclegan':
    assert isinstance(config, translation_settings.CycleGan)
    return image_tasks.unpaired(source.name, (train, held), config)
  assert isinstance(config, translation_settings.Pix2pix)
  return image_tasks.translation(source.name, (train, held), config)


def translation(
  settings: Settings, method: str
) -> translation_settings.Translation:
  """Returns the settings of pix2pix or CycleGAN.

  Raises:
    ValueError: one is out of range.
  """
  default = translation_settings.default(method)
  side = min(settings.side, *settings.spec.image_shape[:2]) if (
    settings.spec
  ) else settings.side  # fmt: skip
  networks = dataclasses.replace(
    default.networks, net_g=settings.network or default.networks.net_g,
    ngf=settings.width, ndf=settings.critic_width,
    downs=max(1, min(8, side.bit_length() - 1)),
  )  # fmt: skip
  if settings.spec is not None:
    options = dict(settings.spec.options)
    names = {'width': 'ngf'}
    networks = dataclasses.replace(
      networks, net_g=settings.spec.network,
      **{names.get(name, name): value for name, value in options.items()},
    )  # fmt: skip
  changes: dict[str, Any] = {
    name: getattr(settings, name)
    for name in ('batch_size', 'learning_rate')
    if getattr(settings, name)
  }
  return dataclasses.replace(
    default, networks=networks,
    schedule=settings.schedule(
      25, translation_settings.SELECT_EVERY if settings.select else 0
    ),
    **changes,
  )  # fmt: skip


def _latent(
  source: Source, settings: Settings, code: tuple[int, int] | None
) -> tasks_lib.Task:
  images = latent_images(source.data, settings)[0]
  config = method_settings.Pretraining()
  changes: dict[str, Any] = {
    name: getattr(settings, name)
    for name in ('batch_size', 'learning_rate')
    if getattr(settings, name)
  }
  config = dataclasses.replace(
    config, game=dataclasses.replace(config.game, **changes),
    schedule=settings.schedule(),
  )  # fmt: skip
  spec = settings.spec
  if spec is not None:
    spec = checks.with_critic(spec)
  else:
    network = settings.network or 'dcgan'
    option = lambda n: generator_lib.freeze({'width': n})  # noqa: E731
    spec = generator_lib.Spec(
      network=network,
      latent_size=settings.latent_size + (code[1] if code else 0),
      image_shape=images.shape[1:], options=option(settings.width),
      critic=network, critic_options=option(settings.critic_width),
    )  # fmt: skip
  return latent_tasks.latents(source.name, images, spec, config, code)


def latent_images(data: str, settings: Settings) -> tuple[Any, Any]:
  """Returns the images for training, and those held out, `[N, H, W, C]`.

  Args:
    data: a data set, folder or array file, with classes after ':' or without.
    settings: of the stream.

  Raises:
    ValueError: it is missing or damaged, or has no such classes.
  """
  name, colon, classes = data.rpartition(':')
  if not colon or os.path.exists(data):
    name, classes = data, ''
  spec = settings.spec
  wanted: Any = tuple(spec.image_shape) if spec is not None else None
  if spec is None and name not in datasets.NAMES:
    network = settings.network or 'dcgan'
    wanted = shapes.Wanted(sides=registry.sides(network))
  halves = datasets.both(name, settings.data_dir, wanted)
  made = []
  for half in halves:
    images = half.images
    if classes:
      if half.labels is None:
        raise ValueError(f'{name}: no labels, so no classes {classes!r}')
      try:
        split = partition.parse(f'{classes}->{classes}', half.classes)
        rows = partition.indices(half.labels, split.target)
      except ValueError as error:
        raise ValueError(f'task {data!r}: {error}') from None
      images = images[rows]
    made.append(images)
  train = made[0][: settings.images] if settings.images else made[0]
  return train, made[1]
