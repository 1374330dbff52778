"""Translation of images: methods by tasks, beside controls that learn nothing.

  python -m experiments.translation.main --workdir=DIR

A trial is one method on one task, all seeds as one program. On held-out pairs
translations are compared with hidden targets by L1, PSNR and SSIM. All of them
are compared with all targets by the Frechet distance, in features of ImageNet
where that extra is installed, and of a random network. Controls are a copy of
the input, the mean and the median target, and the target of the nearest
training pair.

`:quick` is a smoke test. Others: `--config.seeds=1`,
`--config.runs.emoji_cyclegan.steps=4000`. Data come through the client of npm
and are kept in the user's cache.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  run = lambda task, method, steps, **changes: {  # noqa: E731
    'task': task, 'method': method, 'steps': steps, 'net_g': '', 'ngf': 32,
    'ndf': 32, 'batch_size': 0, 'lambda_identity': -1.0, 'upsampling': '',
    **changes,
  }  # fmt: skip
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      # Replicas of every trial, as one program.
      'seeds': 3,
      # Side of the images.
      'side': 64,
      # Folder where packages and data sets are searched first; '' is none.
      'data_dir': '',
      # Most images of a task for training; 0 is all.
      'images': 0,
      # Trials by name. Fields that are '', 0 or -1 are those of the method.
      'runs': {
        'outline_pix2pix': run('fluent_outline_flat', 'pix2pix', 1500),
        'outline_resize': run(
          'fluent_outline_flat', 'pix2pix', 1500, upsampling='resize'
        ),
        'relief_pix2pix': run('earth_relief', 'pix2pix', 1000),
        'emoji_cyclegan': run(
          'emoji', 'cyclegan', 2000, ngf=16, upsampling='resize'
        ),
        'emoji_cut': run('emoji', 'cut', 2000, ngf=16),
      },
      # Names of runs; () is all of them.
      'only': (),
    }
  )
  if quick:
    config.seeds, config.side, config.images = 1, 16, 64
    for name in config.runs:
      config.runs[name].update(steps=4, ngf=4, ndf=4, batch_size=2)
  return config
