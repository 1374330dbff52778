"""How fast the game is: against PyTorch, against the machine, and how it grows.

Everything that is compared runs in turns in one process; the results are
ratios. PyTorch and POT come with the optional extra `[peers]`; without them
their columns are missing.

  python -m experiments.speed.main --workdir=DIR \
    --config=experiments/speed/configs/default.py

Others: `--config.parts='("steps",)'`, `--config.step.widths='(16,)'`;
`default.py:accelerator` is for a GPU.
"""

import ml_collections


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Everything; `quick`: small networks, few rounds; `accelerator`: large K, S.

  Raises:
    ValueError: another variant.
  """
  if variant not in ('', 'quick', 'accelerator'):
    raise ValueError(f"variant {variant!r} is not '', 'quick' or 'accelerator'")
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      # Cores as devices of JAX. Beside the program of one device, which has all
      # cores, stands the one whose batch or members are spread over them.
      'devices': 2,
      # Of steps, members, nodes, growth, rounding, startup, memory, references
      # and translation; empty: all.
      'parts': (),
      # Settings of the game, those of the WGAN-GP paper.
      'game': {
        'batch_size': 64, 'critic_steps': 5, 'learning_rate': 1e-4,
        'ema': 0.999,
      },
      # Ways in which PyTorch plays; 'graphs' is `torch.compile` with CUDA
      # graphs. 'autocast' is bfloat16, 'rounded' tensorfloat32, against ours.
      'peers': ('eager', 'compile', 'autocast'),
      # One model: images of 28 pixels and one channel by width, of 32 pixels
      # and three channels by width.
      'step': {
        'widths': (16, 32, 64),
        'color_widths': (64,),
        # Those that also play in other precisions, with `peers` in them, and
        # those that also spread their batch over the devices.
        'precision_widths': (32,),
        'spread_widths': (16, 32),
        # A timed call takes about this long, long enough for a chunk, whose
        # memory is taken anew at its start, and short enough for what others
        # do on a shared machine to meet all cases alike.
        'seconds': 0.5,
        'rounds': 9,
        'color_rounds': 3,
        # Or has so many steps, in all parts; 0 is by time.
        'steps': 0,
      },
      # S models as one program, and K critics; one alone takes about so many
      # seconds a timed call, and the others have as many steps.
      'members': {
        'widths': (16,), 'counts': (4, 16), 'precisions': ('float32',),
        # PyTorch one model after another, and whether `torch.func.vmap` plays.
        'peers': ('eager',),
        'stacked': False,
        'rounds': 3, 'seconds': 0.3,
      },
      # Of `seeds` models; 0 is one without an ensemble axis.
      'nodes': {
        'widths': (16,), 'counts': (2, 4, 8), 'seeds': 0, 'rounds': 5,
        'seconds': 0.3,
      },
      # One model by width, of 28 pixels, and by pixels, of the one width.
      'growth': {
        'widths': (8,), 'sizes': (8, 32), 'width': 16, 'rounds': 3,
        'seconds': 0.3,
      },
      # Frechet distance by precision: a data set with committed features.
      'rounding': {
        'dataset': 'digits', 'width': 16, 'seeds': 3, 'steps': 150,
        'samples': 2000,
      },
      # A new process to the end of its first step, without and with the cache.
      'startup': {'widths': (16, 64), 'steps': 1},
      # Largest resident size of a process.
      'memory': {
        'width': 16, 'members': (1, 4), 'nodes': (1, 8), 'steps': 2,
      },
      'references': {
        'sizes': (1000, 5000, 10000),
        'features': 64,
        'rounds': 1,
        # A size that would take longer is left out.
        'seconds': 10.0,
      },
      # One step of a method of image translation by case, and of so many
      # members as one program; 0 is none. Images have so many pixels a side,
      # and ResNets so many blocks.
      'translation': {
        'cases': {
          'pix2pix': {
            'method': 'pix2pix', 'ngf': 32, 'ndf': 64, 'batch_size': 16,
            'members': 0,
          },
          'pix2pix_narrow': {
            'method': 'pix2pix', 'ngf': 16, 'ndf': 32, 'batch_size': 16,
            'members': 4,
          },
          'cyclegan_one': {
            'method': 'cyclegan', 'ngf': 32, 'ndf': 64, 'batch_size': 1,
            'members': 0,
          },
          'cyclegan': {
            'method': 'cyclegan', 'ngf': 32, 'ndf': 64, 'batch_size': 4,
            'members': 0,
          },
          'cyclegan_narrow': {
            'method': 'cyclegan', 'ngf': 16, 'ndf': 64, 'batch_size': 4,
            'members': 0,
          },
        },
        'size': 64, 'blocks': 6,
        # 'channels_last' is the other order of PyTorch's maps.
        'peers': ('eager', 'channels_last'),
        'rounds': 5, 'seconds': 0.5,
      },
    }
  )  # fmt: skip
  if variant == 'accelerator':
    config.peers = ('eager', 'compile', 'graphs', 'autocast', 'rounded')
    config.step.widths = config.step.precision_widths = (16, 64)
    config.step.spread_widths = ()
    # As many in every part, so that programs are found in the cache.
    config.step.steps = 20
    config.members.widths = (16, 64)
    config.members.counts = (4, 16, 64, 256)
    config.members.precisions = ('float32', 'tensorfloat32', 'bfloat16')
    config.members.peers = ('eager', 'graphs', 'autocast', 'rounded')
    config.members.stacked = True
    config.nodes.counts = (4, 16, 64)
    config.nodes.seeds = 4
    config.growth.widths = config.growth.sizes = ()
    config.rounding.update(width=32, steps=1500)
    config.startup.widths = (16,)
    config.memory.members = config.memory.nodes = ()
    config.references.sizes = ()
  if variant == 'quick':
    config.peers = ('eager',)
    config.step.widths = (16,)
    config.step.color_widths = ()
    config.step.rounds = 3
    config.step.seconds = 0.2
    config.members.widths = config.nodes.widths = (16,)
    config.members.counts = (4,)
    config.nodes.counts = (4,)
    config.members.rounds = config.nodes.rounds = 3
    config.growth.widths = config.growth.sizes = ()
    config.rounding.steps = 0
    config.startup.widths = (16,)
    config.memory.members = config.memory.nodes = ()
    config.references.sizes = (1000,)
    config.references.rounds = 1
    part = config.translation
    for name in ('pix2pix_narrow', 'cyclegan_one', 'cyclegan_narrow'):
      del part.cases[name]
    for case in part.cases.values():
      case.update(ngf=4, ndf=4, batch_size=2)
    part.cases.pix2pix.members = 2
    part.update(size=16, blocks=1, rounds=3, seconds=0.05)
  return config
