"""From the configuration of the pipeline to the settings of each stage."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import refined_source
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import pretraining
from coalesce_jax.metrics import generators
from coalesce_jax.models import generator
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys
from coalesce_jax.training import loop
from coalesce_jax.transforms import ternary_config


def override(config: Any, changes: Mapping[str, Any]) -> Any:
  """Copies a configuration with some fields replaced or added.

  Args:
    config: a `ConfigDict`; it stays as it is.
    changes: value by path of the field, `{'adapt.anchor': 0.5}`.
  """
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.update_from_flattened_dict(dict(changes))
  return changed


def validate(config: Any) -> dict[str, Any]:
  """Checks the settings of all stages before anything is done.

  Which stages there are, `stages.selected` checks.

  Returns:
    The resolved configuration as JSON values.

  Raises:
    ValueError: one line with the field.
  """
  fields.check(config)
  fields.positive(config, 'seeds')
  keys.check(config.seed)
  if config.local_samples < partition.MIN_LOCAL:
    raise ValueError(
      f'local_samples {config.local_samples} is below {partition.MIN_LOCAL}'
    )
  for name in ('samples', 'curve_samples'):
    generators.check_samples(f'evaluate.{name}', config.evaluate[name])
  for name in ('adapt', 'transfer'):
    rate = config[name].rate
    if not 0.0 < rate < float('inf'):
      raise ValueError(f'{name}.rate {rate} is not positive')
  partition.parse(config.split, datasets.classes(config.dataset))
  for settings in (pretrain, barycenter, adapted, transfer, ternary):
    settings(config)
  return config.to_dict()


def spec(config: Any, image_shape: tuple[int, ...]) -> generator.Spec:
  """Returns the architecture of all generators and critics.

  Args:
    config: configuration of the pipeline.
    image_shape: `(H, W, C)`.

  Raises:
    ValueError: a network that is not registered, or cannot have these options.
  """
  net = config.network
  options = {'width': net.width}
  if net.name == 'dcgan':
    options['norm'] = net.norm
  if 'options' in net:
    options = net.options.to_dict()
  critic = net.critic or net.name
  critic_options = {'width': net.critic_width}
  if critic in net.critic_options:
    critic_options = net.critic_options[critic].to_dict()
  made = generator.Spec(
    network=net.name,
    latent_size=net.latent_size,
    image_shape=tuple(image_shape),
    options=generator.freeze(options),
    critic=critic,
    critic_options=generator.freeze(critic_options),
  )
  made.build(), made.build_critic()
  # A grid of trials has its own methods, and no such field.
  methods = config.get('methods', ())
  for name, settings in (('transfer', transfer), ('ternary', ternary)):
    if name in methods:
      fine_tuning.check_leaves(made, settings(config))
  return made


def pretrain(config: Any) -> pretraining.Config:
  """Settings of pretraining."""
  part = config.pretrain
  return pretraining.Config(
    game=_game(config), schedule=_schedule(config, part), decay=part.decay
  )


def barycenter(config: Any) -> barycenter_lib.Config:
  """Settings of the barycenter."""
  part = config.barycenter
  return barycenter_lib.Config(
    game=_game(config), schedule=_schedule(config, part), decay=part.decay,
    warmup=part.warmup,
    fixed_samples=part.fixed_samples, refine=refine(config),
    start=0 if part.warm_generator else None, warm_critics=part.warm_critics,
  )  # fmt: skip


def refine(config: Any) -> refined_source.Config | None:
  """How samples of the nodes are moved, if they are."""
  steps = config.barycenter.refine_steps
  return refined_source.Config(steps=steps) if steps else None


def adapted(config: Any) -> adaptation.Config:
  """Settings of adaptation: those of the baselines but for its rate."""
  part = config.adapt
  return dataclasses.replace(adapt(config), rate=part.rate, decay=part.decay)


def ensemble_long(config: Any) -> adaptation.Config:
  """Settings of the baseline that trains for as long as all stages of ours."""
  found, steps = adapt(config), config.barycenter.steps + config.adapt.steps
  chunk = loop.chunk_of(steps, found.schedule.chunk)
  every = config.adapt.observe_every // chunk * chunk
  schedule = dataclasses.replace(
    found.schedule, steps=steps, chunk=chunk, observe_every=every,
    select_every=0,
  )  # fmt: skip
  return dataclasses.replace(found, schedule=schedule, decay=True)


def transfer(config: Any) -> adaptation.Config:
  """Settings of transfer: its own rate, and the leaves that it freezes."""
  found = adapt(config)
  return dataclasses.replace(
    found,
    rate=config.transfer.rate,
    game=dataclasses.replace(found.game, freeze=tuple(config.transfer.freeze)),
  )


def adapt(config: Any) -> adaptation.Config:
  """Settings of the baselines."""
  part = config.adapt
  return adaptation.Config(
    game=_game(config, objective=part.objective, augment=part.augment),
    schedule=_schedule(
      config,
      part,
      observe_every=part.observe_every,
      select_every=part.select_every,
      patience=part.patience,
    ),
    anchor=part.anchor,
    warmup=part.warmup,
    held_out=part.held_out,
  )


def ternary(config: Any) -> adaptation.Config:
  """Settings of ternarization."""
  part = config.ternary
  return adaptation.Config(
    game=_game(config, objective=part.objective, augment=config.adapt.augment),
    schedule=_schedule(config, part),
    decay=True,
    anchor=part.anchor,
    warmup=part.warmup,
    held_out=config.adapt.held_out,
    ternary=scheme(config),
  )


def scheme(config: Any) -> ternary_config.Ternary:
  """How generators are made ternary."""
  part = config.ternary
  return ternary_config.Ternary(
    scheme=part.scheme,
    granularity=part.granularity,
    leaves=tuple(part.leaves),
    threshold_init=part.threshold_init,
    thresholds_first=part.thresholds_first,
    distill=part.distill,
    critic=part.critic,
  )


def _game(config: Any, **changes: Any) -> game_lib.Config:
  values = config.game.to_dict()
  rate = values['critic_learning_rate']
  if not rate >= 0.0:
    raise ValueError(f'game.critic_learning_rate {rate} is negative')
  values['critic_learning_rate'] = rate or None
  return game_lib.Config(**(values | changes))


def _schedule(config: Any, part: Any, **changes: Any) -> loop.Schedule:
  return loop.Schedule(
    steps=part.steps,
    chunk=part.chunk,
    save_seconds=config.save_seconds,
    fast_compile=config.fast_compile,
    **changes,
  )
