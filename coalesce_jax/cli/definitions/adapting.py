"""Defines the flags of the commands of the edge node."""

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions.kinds import Values
from coalesce_jax.compress import method_names
from coalesce_jax.methods import settings
from coalesce_jax.models import packing


def adapt(values: Values) -> None:
  """Defines the flags of `adapt`."""
  defaults = settings.FineTuning()
  training.nodes(
    values,
    'Bundles, separated by commas. Of several, the barycenter is adapted.',
  )
  kinds.choice(
    values, 'method', 'barycenter', settings.ADAPTATIONS, 'How several bundles '
    'help: the barycenter of all is adapted, or (piggyback) the first one '
    'learns new filters and mixes the others of those of all bundles.',
  )  # fmt: skip
  kinds.number(
    values, 'share', settings.PIGGYBACK_SHARE,
    'Lambda, the share of new filters; of piggyback.', 0.0, 1.0,
  )  # fmt: skip
  kinds.path(values, 'local', None, 'Folder or array file of local images.')
  kinds.paths(
    values, 'judges', 'Bundles whose critics form the critic ensemble of the '
    'local images. Default: the critic of the metamodel.',
  )  # fmt: skip
  kinds.number(
    values, 'anchor', defaults.anchor, 'Proximal weight: position between '
    'local samples, 0, and metamodel, 1.', 0.0, 1.0,
  )  # fmt: skip
  kinds.string(
    values, 'augment', defaults.game.augment,
    'Augmentations of what the critics see: translation, cutout and flip, '
    'separated by commas; "" is none.',
  )  # fmt: skip
  kinds.switch(
    values, 'freeze_d', 'Keep the critic layers near the image as they are.'
  )
  kinds.switch(
    values,
    'early_stopping',
    'Keep the model that is nearest to held-out local images.',
  )
  kinds.switch(values, 'ternary', 'Ternarize the result as well.')
  kinds.count(
    values, 'barycenter_steps', settings.Barycenter().schedule.steps,
    'Number of generator steps of the metamodel.',
  )  # fmt: skip
  kinds.count(
    values, 'ternary_steps', settings.TERNARIZE.schedule.steps,
    'Number of generator steps of the ternarization.',
  )  # fmt: skip
  _result(values)
  training.training(values, defaults)


def ternarize(values: Values) -> None:
  """Defines the flags of `ternarize`."""
  kinds.path(values, 'node', None, 'Bundle of a float generator.')
  kinds.path(values, 'local', None, 'Folder or array file of local images.')
  kinds.string(
    values, 'augment', settings.TERNARIZE.game.augment,
    'Augmentations, as those of `adapt`; "" is none.',
  )  # fmt: skip
  _result(values)
  training.training(values, settings.TERNARIZE)


def compress(values: Values) -> None:
  """Defines the flags of `compress`."""
  kinds.path(values, 'node', None, 'Bundle of a float generator.')
  kinds.path(values, 'local', None, 'Folder or array file of local images.')
  kinds.number(
    values, 'macs', 0.25, 'Share of the multiply-accumulates to keep.',
    0.0, 1.0, open_low=True,
  )  # fmt: skip
  kinds.choice(
    values, 'method', 'density', list(method_names.METHODS),
    'How channels are chosen, and what the small generator starts from.',
  )  # fmt: skip
  kinds.count(
    values, 'agent_steps', method_names.AGENT_STEPS,
    'Number of steps in which agents choose channels; of density.',
  )  # fmt: skip
  kinds.number(
    values, 'density_weight', method_names.DENSITY_WEIGHT, 'Weight of the '
    'local density of the large generator while the small one trains; 0 is '
    'none.', 0.0, 1e6,
  )  # fmt: skip
  kinds.number(
    values, 'anchor', settings.TERNARIZE.anchor, 'Weight of the samples of the '
    'large generator, beside local images.', 0.0, 1.0,
  )  # fmt: skip
  kinds.string(
    values, 'augment', settings.TERNARIZE.game.augment,
    'Augmentations, as those of `adapt`; "" is none.',
  )  # fmt: skip
  kinds.switch(values, 'ternary', 'Ternarize the result as well.')
  kinds.count(
    values, 'ternary_steps', settings.TERNARIZE.schedule.steps,
    'Number of generator steps of the ternarization.',
  )  # fmt: skip
  kinds.path(
    values, 'onnx', None, 'ONNX program of the result to write as well.'
  )
  _result(values)
  training.training(values, settings.TERNARIZE)


def _result(values: Values) -> None:
  kinds.choice(
    values, 'packing', '2bit', list(packing.PACKINGS), 'Packing of ternary '
    'weights in the bundle; trits are 1.6 bits each.',
  )  # fmt: skip
  kinds.choice(
    values, 'critic', 'keep', ['keep', 'drop'], 'Whether the bundle holds the '
    'critic: `adapt` and `barycenter` start faster with it, `sample` and '
    '`export` do not need it.',
  )  # fmt: skip
  kinds.path(values, 'out', None, 'Bundle to write.')
