"""Families: members that share a bank, in one file that others may write."""

import json
import struct

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.continual import family
from coalesce_jax.continual import family_files
from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.transforms import piggyback
from tests import small
from tests.continual import streams

LAYERS = ('dense_1/kernel', 'dense_2/kernel')
OPTIONS = generator_lib.freeze({'hidden': (4, 6, 3), 'affine': False})
SPEC = generator_lib.Spec('mlp', 5, (2,), OPTIONS)
SHAPES = jax.eval_shape(SPEC.build().init, streams.KEY)
# Free filters of both layers, and filters of the bank before the member.
FREE = ((6, 3), (2, 1), (0, 3), (6, 0))
BANK = ((0, 0), (6, 3), (8, 4), (8, 7))


def member(t, name=None):
  """A member of random numbers."""
  rng = np.random.default_rng(t)
  latent = trees.flatten(
    jax.tree.map(lambda x: rng.normal(size=x.shape).astype('f4'), SHAPES)
  )
  for layer, u, size in zip(LAYERS, FREE[t], BANK[t], strict=True):
    kernel = latent.pop(layer)
    latent[f'{layer}/free'] = kernel[..., :u]
    mix = rng.normal(size=(size, kernel.shape[-1] - u))
    latent[f'{layer}/mix'] = mix.astype(np.float32)
  return family.Member(name or f'm{t}', SPEC, trees.unflatten(latent))


def made(count=4):
  return family.Family(tuple(member(t) for t in range(count)), LAYERS)


def equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_members_come_back_bit_for_bit_one_by_one_and_all_together(tmp_path):
  path, whole = tmp_path / 'f.safetensors', made()
  family_files.save(path, whole)
  read = family_files.load(path)
  assert read.layers == LAYERS
  for t, (a, b) in enumerate(zip(read.members, whole.members, strict=True)):
    assert (a.name, a.spec) == (b.name, b.spec)
    equal(a.latent, b.latent)
    for which in (t, f'm{t}'):
      equal(
        family_files.load_member(path, which).params, whole.generator(t).params
      )
  # What a member composes, by hand: the second layer of the third member.
  latent = whole.members[2].latent['dense_1']['kernel']
  bank = np.concatenate(
    [whole.members[t].latent['dense_1']['kernel']['free'] for t in (0, 1)], -1
  ).astype(np.float64)
  np.testing.assert_allclose(
    read.generator(2).params['dense_1']['kernel'], bank @ latent['mix'],
    rtol=1e-6, atol=1e-6,
  )  # fmt: skip


def test_the_bank_is_stored_once(tmp_path):
  path = tmp_path / 'f.safetensors'
  family_files.save(path, made())
  size = sum(trees.count(m.latent) for m in made().members)
  data = path.read_bytes()
  (length,) = struct.unpack('<Q', data[:8])
  assert len(data) == 8 + length + 4 * size


def test_a_new_member_keeps_the_bytes_of_the_others(tmp_path):
  path = tmp_path / 'f.safetensors'
  family_files.save(path, made(1))
  for t in (1, 2, 3):
    before, entries = payload(path), family_files.inspect(path)['members']
    family_files.add(path, member(t))
    assert payload(path)[: len(before)] == before
    assert family_files.inspect(path)['members'][:t] == entries
  assert path.read_bytes() == family_files.encode(made())
  kept = path.read_bytes()
  for wrong, match in (
    (member(3), "'m3' occurs twice"),
    (member(2, 'x'), 'the family has'),
    (member(1, 'No Name'), 'task name'),
  ):
    with pytest.raises(ValueError, match=match):
      family_files.add(path, wrong)
  assert path.read_bytes() == kept


def test_a_member_is_a_plain_bundle_of_the_same_parameters(tmp_path):
  path, single = tmp_path / 'f.safetensors', tmp_path / 'one.safetensors'
  family_files.save(path, made())
  generator = family_files.load_member(path, 'm1')
  cj.save(single, generator)
  equal(cj.load(single).params, generator.params)
  entry = family_files.inspect(path)['members'][1]
  assert bundle.inspect(single) == entry['generator']
  with pytest.raises(cj.BundleError, match='a family of generators'):
    cj.load(path)
  with pytest.raises(cj.BundleError, match='a bundle of one generator'):
    family_files.load(single)


@pytest.mark.slow
def test_a_translator_of_a_family_is_exported_like_any_other(tmp_path):
  options = generator_lib.freeze({'width': 4, 'downs': 2})
  spec = generator_lib.Spec(
    'unet', 0, (8, 8, 3), options, condition_shape=(8, 8, 3)
  )
  shares = ((layer_names.inner_kernels('unet'), 0.25),)
  bank, members = None, []
  for t in range(3):
    new = small.drawn(spec, t).params
    bank = piggyback.empty(new, shares) if bank is None else bank
    latent, _ = piggyback.start(streams.KEY, new, bank, shares)
    members.append(family.Member(f'm{t}', spec, latent))
    bank = piggyback.grow(bank, latent)
  path = tmp_path / 'f.safetensors'
  layers = tuple(trees.flatten(bank))
  family_files.save(path, family.Family(tuple(members), layers))
  # `write` compares its images with those of JAX.
  export.write(tmp_path / 'm2.onnx', family_files.load_member(path, 'm2'))


def payload(path):
  data = path.read_bytes()
  (length,) = struct.unpack('<Q', data[:8])
  return data[8 + length :]


def edited(change):
  """Bytes of a family after `change(header, members, payload)`."""
  data = family_files.encode(made(3))
  (length,) = struct.unpack('<Q', data[:8])
  header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
  manifest = json.loads(header['__metadata__']['coalesce_jax'])
  change(header, manifest['members'], body)
  header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  text = json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + bytes(body)


def flip(place):
  def change(header, members, body):
    begin = header[place]['data_offsets'][0]
    body[begin] ^= 1

  return change


def with_digest(place, field):
  """Writes a value that is not finite, with a digest to match."""

  def change(header, members, body):
    begin, end = header[place]['data_offsets']
    body[begin : begin + 4] = np.float32(np.nan).tobytes()
    index = int(place[0])
    # The sections of the second member, by its own tensors.
    names = [
      n for n in header if n.startswith(f'{index}/')
      and n.endswith('/free') == (field == 'bank_sha256')
    ]  # fmt: skip
    places = [header[n]['data_offsets'] for n in names]
    section = body[min(b for b, _ in places) : max(e for _, e in places)]
    members[index][field] = files.digest([bytes(section)])

  return change


@pytest.mark.parametrize(
  ('change', 'match'),
  [
    (flip('0/out/kernel'), 'sha256'),
    (flip('1/dense_1/kernel/free'), 'sha256'),
    (flip('2/dense_2/bias'), 'sha256'),
    (with_digest('1/out/bias', 'own_sha256'), 'not finite'),
    (with_digest('1/dense_1/kernel/free', 'bank_sha256'), 'not finite'),
    (lambda h, m, b: m.clear(), 'members'),
    (lambda h, m, b: m[1].pop('free'), 'fields'),
    (lambda h, m, b: m[1].update(name='m0'), 'occurs twice'),
    (lambda h, m, b: m[1].update(name='../x'), 'task name'),
    (lambda h, m, b: m[1].update(free={}), 'other layers'),
    (lambda h, m, b: m[1]['free'].update({'dense_1/kernel': -1}), '-1 free'),
    (lambda h, m, b: m[1]['free'].update({'dense_1/kernel': 7}), '7 free'),
    (lambda h, m, b: m[1]['free'].update({'dense_1/kernel': 2.0}), '2.0 free'),
    (lambda h, m, b: m[0]['free'].update({'dense_1/kernel': 5}), 'are free'),
    (
      lambda h, m, b: [x['free'].update({'out/bias': 1}) for x in m],
      'has no filters',
    ),
    (
      lambda h, m, b: m[2]['generator']['options'].update(hidden=[5, 6, 3]),
      'does not fit the bank',
    ),
    (
      lambda h, m, b: m[2]['generator']['options'].update(hidden=[1 << 20] * 4),
      'width|hidden|parameters',
    ),
    (lambda h, m, b: m[1]['generator'].update(network='x'), "network 'x'"),
    (lambda h, m, b: m[1].update(generator=3), 'incomplete'),
    (lambda h, m, b: h.pop('1/out/bias'), 'lacks'),
    (lambda h, m, b: h['1/out/bias'].update(shape=[3]), 'its network has'),
    (lambda h, m, b: b.extend(bytes(4)), 'truncated or padded'),
  ],
)  # fmt: skip
def test_what_somebody_changed_is_refused_in_one_line(tmp_path, change, match):
  path = tmp_path / 'f.safetensors'
  path.write_bytes(edited(change))
  with pytest.raises(cj.BundleError, match=match) as caught:
    family_files.load(path)
  assert '\n' not in str(caught.value) and str(path) in str(caught.value)


def test_tensors_may_not_change_places(tmp_path):
  def swap(header, members, body):
    first, second = '1/dense_1/kernel/free', '1/dense_2/kernel/free'
    begin = header[first]['data_offsets'][0]
    sizes = [np.diff(header[n]['data_offsets'])[0] for n in (second, first)]
    header[second]['data_offsets'] = [begin, int(begin + sizes[0])]
    header[first]['data_offsets'] = [
      int(begin + sizes[0]), int(begin + sum(sizes)),
    ]  # fmt: skip

  path = tmp_path / 'f.safetensors'
  path.write_bytes(edited(swap))
  with pytest.raises(cj.BundleError, match='does not lie where it should'):
    family_files.load(path)


def test_damage_elsewhere_does_not_hinder_a_member(tmp_path):
  path = tmp_path / 'f.safetensors'
  path.write_bytes(edited(flip('2/dense_2/bias')))
  equal(family_files.load_member(path, 'm1').params, made().generator(1).params)
  path.write_bytes(edited(flip('0/out/kernel')))
  equal(family_files.load_member(path, 1).params, made().generator(1).params)
  for which in (2, 'x'):
    path.write_bytes(edited(flip('0/dense_1/kernel/free')))
    with pytest.raises(cj.BundleError, match='sha256|no member'):
      family_files.load_member(path, which)


def test_what_is_composed_has_a_digest_of_its_own(tmp_path):
  def change(header, members, body):
    members[1]['generator']['payload_sha256'] = '0' * 64

  path = tmp_path / 'f.safetensors'
  path.write_bytes(edited(change))
  with pytest.raises(cj.BundleError, match="'m1' has another sha256"):
    family_files.load_member(path, 1)


def test_parameters_that_are_not_finite_are_not_written(tmp_path):
  broken = made(2)
  broken.members[1].latent['out']['bias'][0] = np.inf
  path = tmp_path / 'f.safetensors'
  with pytest.raises(ValueError, match='not finite'):
    family_files.save(path, broken)
  assert not path.exists()


def test_random_damage_is_refused_or_changes_nothing(tmp_path):
  path, rng = tmp_path / 'f.safetensors', np.random.default_rng(0)
  data = family_files.encode(made(2))
  for _ in range(150):
    damaged = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 4)):
      damaged[place] = rng.integers(0, 256)
    if rng.random() < 0.2:
      damaged = damaged[: rng.integers(0, len(data))]
    path.write_bytes(bytes(damaged))
    try:
      read = family_files.load(path)
    except cj.BundleError as error:
      assert '\n' not in str(error) and len(str(error)) < 800
      continue
    for a, b in zip(read.members, made(2).members, strict=True):
      equal(a.latent, b.latent)
