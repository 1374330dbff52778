"""Pruning: settings, tables, and the whole smoke test."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.compress import macs
from coalesce_jax.compress import shrinking
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.methods import problems
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.trials import device
from coalesce_jax.trials import trials
from experiments.pruning import main
from experiments.pruning import settings
from experiments.pruning import subjects
from experiments.pruning import tables
from experiments.pruning import train
from experiments.pruning.configs import default
from tests import small


@pytest.mark.parametrize('variant', ['', 'quick'])
def test_settings_of_all_trials_are_valid(variant, tmp_path):
  config = default.get_config(variant)
  settings.validate(config)
  planned = train.plan(str(tmp_path), config, lambda: False)
  latent = 3 * 12 + 9 + 1 + 2 * 3 + 3 + 1
  assert len(planned) == (8 if variant else 4 + 2 * latent + 12 + 4)
  assert 'mnist-density-50' in planned and 'large-outline' in planned
  assert ('outline-density-25' in planned) == (not variant)
  assert 'outline-density-10' not in planned
  assert ('mnist-uniform_long-25' in planned) == (not variant)
  assert 'mnist-uniform_long-50' not in planned
  assert ('mnist-uniform_long-99' in planned) == (not variant)
  assert ('emoji-narrow-25' in planned) == (not variant)
  assert 'emoji-slimming-25' not in planned
  ternary = {name for name in planned if name.endswith('-ternary')}
  assert f'mnist-density-{50 if variant else 25}-ternary' in ternary
  assert len(ternary) == (1 if variant else 12)
  assert {name.removesuffix('-ternary') for name in ternary} <= set(planned)


def test_rows_train_as_long_as_they_say():
  config = default.get_config()
  found = {
    name: settings.steps(config.subjects.mnist, name)
    for name in (*config.methods, *config.middle_methods)
  }
  longer = {
    'narrow', 'narrow_distilled', 'uniform_long', 'density_distilled_long',
    'density_chosen_long',
  }  # fmt: skip
  assert {name for name, steps in found.items() if steps == 5000} == longer
  twice = {'uniform_twice', 'density_twice'}
  assert {name for name, steps in found.items() if steps == 2000} == twice
  assert {found[name] for name in set(found) - longer - twice} == {1000}


def test_a_row_is_a_method_with_changes_and_an_end():
  config = default.get_config()
  made = settings.of_method(config, 'density_chosen_long')
  usual = settings.of_method(config, 'density')
  assert made == usual._replace(density_weight=0.0) != usual
  made = settings.of_method(config, 'density_global')
  assert not made.agents.local and usual.agents.local
  assert settings.base('density_light_twice') == 'density'
  assert settings.base('slimming_long') == 'slimming'
  config.methods = ('slimming_longer',)
  with pytest.raises(ValueError, match="may end in one of .*'_twice'"):
    settings.validate(config)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'only': ('nothing',)}, "subject 'nothing' is not one of"),
    ({'methods': ('smaller',)}, "method 'smaller' is not one of"),
    ({'middle_methods': ('longer',)}, "method 'longer' is not one of"),
    ({'shares': (0.5, 1.0)}, 'share 1.0 is not between'),
    ({'more_rows': (('uniform', 0.0),)}, 'share 0.0 is not between'),
    ({'more_rows': (('shorter', 0.3),)}, "method 'shorter' is not one of"),
    ({'seeds': 0}, 'seeds 0 is below 1'),
    ({'ternary.scheme': 'odd'}, "scheme 'odd' is not one of"),
    ({'ternary_shares': (2.0,)}, 'share 2.0 is not between'),
    ({'ternary_methods': ('densty',)}, "method 'densty' is not one of"),
    ({'shares': ()}, 'shares: there is none'),
    ({'shares': (0.125, 0.12)}, 'two are the same percentage'),
    ({'pool': 0}, 'pool 0 is below 1'),
    ({'pool_share': 1.0}, 'pool_share 1.0 is not between'),
    ({'subjects.mnist.tuning': 0}, 'tuning 0 is below 1'),
    ({'agents.neighbours': 0}, 'neighbours 0 is below 1'),
    ({'subjects.mnist.kind': 'odd'}, "kind 'odd' is not one of"),
  ],
)
def test_bad_settings_are_refused(changes, message):
  config = default.get_config()
  config.update_from_flattened_dict(changes)
  with pytest.raises(ValueError, match=message):
    settings.validate(config)
  with pytest.raises(ValueError, match="variant 'x'"):
    default.get_config('x')


def row(method, frechet, macs, share=None, agreement=None):
  scores = {'frechet': frechet}
  if agreement:
    scores['agreement'] = agreement
  made = {
    'subject': 'mnist', 'kind': 'latent', 'method': method, 'scores': scores,
    'macs': macs, 'parameters': [1000] * len(macs),
  }  # fmt: skip
  return made if share is None else made | {'share': share}


def test_the_table_has_shares_means_and_deviations():
  found = tables.report(
    default.get_config(),
    {
      'large-mnist': row('large', [10.0, 12.0], [400, 400]),
      'a': row('narrow', [20.0, 22.0], [104, 96], 0.25, [0.5, 0.7]),
      'b': row('density', [15.0, 15.0], [100, 100], 0.25, [0.8, 0.8]),
      'c': row('density_alone', [16.0, 16.0], [100, 100], 0.25, [0.8, 0.8]),
      'd': row('narrow_short', [30.0, 30.0], [100, 100], 0.25, [0.5, 0.5]),
      'mnist-times': {
        'subject': 'mnist',
        'kind': 'latent',
        'method': 'times',
        'milliseconds': {
          '1': {'large': 0.5, 'narrow_25': 0.2, 'density_25': 0.25},
          '64': {},
        },
      },
    },
  )
  lines = found.text.splitlines()
  assert '| large | 100.0 | 1,000 | 11.0 ± 1.4 |  | 0.5000 |' in lines
  assert (
    '| narrow, 25 % | 25.0 | 1,000 | 21.0 ± 1.4 | 0.600 ± 0.141 | 0.2000 |'
    in lines
  )
  assert found.line == {'best': {'mnist': 'density, 25 %'}}
  assert '| narrow, 25 % | 6.000 ± 1.414 | -0.200 ± 0.141 |' in lines
  gaps = found.summary['differences']['density']['mnist']['narrow, 25 %']
  np.testing.assert_allclose(gaps['frechet'], [5.0, 7.0])
  axes = found.figures['frontier'].axes
  for axis, at in zip(axes, (25.0, 4.0, 0.25), strict=True):
    drawn = {c.get_label(): c.lines[0].get_xydata() for c in axis.containers}
    np.testing.assert_allclose(drawn['density'], [[at, 15.0]])
    assert set(drawn) == {'large', 'narrow', 'density'}
  (axis,) = found.figures['agreement'].axes
  drawn = {c.get_label(): c.lines[0].get_xydata() for c in axis.containers}
  np.testing.assert_allclose(drawn['narrow'], [[0.6, 21.0]])
  assert set(found.figures) == {'frontier', 'agreement'}


def test_translators_have_a_figure_of_their_own():
  made = {
    name: row(name, [0.25], [400], *more)
    | {'kind': 'pix2pix', 'subject': 'outline'}
    for name, more in (('large', ()), ('narrow', (0.25, [0.5])))
  }
  for each in made.values():
    each['scores']['l1'] = each['scores'].pop('frechet')
  found = tables.report(default.get_config(), made)
  assert set(found.figures) == {'translators'}
  (axis,) = found.figures['translators'].axes
  drawn = {c.get_label(): c.lines[0].get_xydata() for c in axis.containers}
  np.testing.assert_allclose(drawn['narrow'], [[0.5, 0.25]])


def test_ternary_networks_are_compared_with_the_large_one():
  ternary = {
    'subject': 'mnist', 'kind': 'latent', 'method': 'density', 'share': 0.25,
    'ternary': {
      'frechet': [20.0, 12.0], 'bytes': [10, 10], 'large_bytes': [500, 500],
    },
  }  # fmt: skip
  found = tables.report(
    default.get_config(),
    {
      'a': row('large', [10.0, 12.0], [400, 400]),
      'b': row('density', [14.0, 16.0], [100, 100], 0.25, [0.5, 0.5]),
      'b-ternary': ternary,
    },
  )
  (axis,) = found.figures['bytes'].axes
  drawn = {c.get_label(): c.lines[0].get_xydata() for c in axis.containers}
  np.testing.assert_allclose(drawn['density, 25 %'], [[4.0, 15.0], [0.01, 16]])
  np.testing.assert_allclose(drawn['large'], [[0.5, 11.0]])
  wanted = '| density, 25 % | 16.0 ± 5.7 | 1.500 ± 0.707 | 10 | 1/50.0 |'
  assert wanted in found.text.splitlines()


def test_programs_of_both_networks_are_timed():
  made = {}
  for name, width in (('large', 64), ('small', 2)):
    spec = dataclasses.replace(
      small.IMAGES, options=generator_lib.freeze({'width': width})
    )
    made[name] = spec, small.drawn(spec).params
  found = device.measure(made, batches=(2,), rounds=3)['2']
  assert set(found['milliseconds']) == {'large', 'small'}
  assert found['faster']['small'] > 0.0


def test_nothing_is_trained_on_the_pool_of_a_translator():
  config = default.get_config('quick')
  config.images, config.side, config.pool = 0, 8, 100
  config.subjects.outline.data = 'edges:digits'
  ground = subjects.make(config, config.subjects.outline)
  (images,) = ground.problem(ground.specs, 1).args
  rows = [
    {image.tobytes() for image in np.asarray(some)}
    for some in (images.condition, ground.parts[0].inputs)
  ]
  # 1,442 pairs, of which 216 are for the pool.
  assert len(images.condition) == 1226 and len(ground.parts[0].inputs) == 100
  assert not rows[0] & rows[1]
  whole = ground.whole({}, [{}], 1)
  (subject,) = whole.subjects
  used = {image.tobytes() for image in subject.for_training.inputs}
  assert len(subject.for_training.inputs) == 100 and used <= rows[0]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['outline', 'emoji'])
def test_translators_shrink_with_the_critics_of_their_targets(name):
  config = default.get_config('quick')
  config.images, config.side, config.pool = 40, 8, 20
  config.subjects[name].data = 'edges:digits'
  ground = subjects.make(config, config.subjects[name])
  problem = ground.problem(ground.specs, 2)
  trained = problems.train(jax.random.key(0), problem)
  whole = ground.whole(trained.params, trained.critics, 2)
  assert len(whole.subjects) == (1 if name == 'outline' else 2)
  for subject, critic in zip(whole.subjects, trained.critics, strict=True):
    assert subject.critic_params is critic
  if name == 'emoji':
    # The first critic judges what the first translator makes: white on black.
    ready = problem.setup(jax.random.key(0), problem.hyper, *problem.args)
    (images,) = problem.args
    for target, domain in zip(
      ready.targets, (images.target, images.condition), strict=True
    ):
      real = sources.draw((target.source,), jax.random.key(1), 64)
      np.testing.assert_allclose(
        np.mean(real), np.mean(pixels.decode(jnp.asarray(domain))), atol=0.1
      )
    inputs = whole.subjects[0].for_training.inputs
    rows = {image.tobytes() for image in np.asarray(images.condition)}
    assert {image.tobytes() for image in np.asarray(inputs)} <= rows
  made = shrinking.shrink(
    jax.random.key(1), whole, 0.5, method='density',
    config=settings.of_method(config, 'density'),
  )  # fmt: skip
  small = sum(map(macs.total, made.specs))
  assert small / sum(map(macs.total, ground.specs)) < 0.55
  assert np.all(np.isfinite(made.histories['recovery']['term/density']))
  samples = ground.sample(made.specs, made.params)
  assert samples.shape == ground.parts[0].asked.shape


def test_a_ternary_trial_without_its_bundles_says_what_to_do(tmp_path):
  config = default.get_config('quick')
  made = train.plan(str(tmp_path), config, lambda: False)
  with pytest.raises(ValueError, match='mnist_large_s0.safetensors: missing'):
    made['mnist-density-50-ternary']()


@pytest.mark.slow
def test_the_smoke_test_of_latents_runs_whole(tmp_path):
  config = default.get_config('quick')
  config.only, config.methods = ('mnist',), ('magnitude', 'density_alone')
  config.ternary_methods = ('magnitude',)
  trials.complete(main.EXPERIMENT, config, tmp_path)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert set(summary['trials']) == {
    'large-mnist', 'mnist-magnitude-50', 'mnist-density_alone-50',
    'mnist-magnitude-50-ternary', 'mnist-times',
  }  # fmt: skip
  spent = summary['trials'].pop('mnist-times')['milliseconds']['64']
  assert set(spent) == {'large', 'magnitude_50', 'density_alone_50'}
  assert 0.0 < spent['magnitude_50'] < 1e3
  whole = summary['trials']['large-mnist']['macs'][0]
  ternary = summary['trials'].pop('mnist-magnitude-50-ternary')['ternary']
  assert ternary['bytes'] < ternary['large_bytes']
  names = ('large', 'magnitude_50', 'magnitude_50_ternary', 'density_alone_50')
  kept = {
    name: bundle.load(tmp_path / 'bundles' / f'mnist_{name}_s0.safetensors')
    for name in names
  }
  assert macs.total(kept['large'].spec) == whole
  fewer = macs.total(kept['magnitude_50'].spec)
  assert fewer == summary['trials']['mnist-magnitude-50']['macs'][0]
  assert 'ternary' in kept['magnitude_50_ternary'].spec.encodings
  for name, made in summary['trials'].items():
    assert np.all(np.isfinite(made['scores']['frechet'])), name
    if name != 'large-mnist':
      assert made['macs'][0] == pytest.approx(whole / 2, rel=0.1)
