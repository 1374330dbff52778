"""Makes certificates for processes of this machine that talk over loopback.

They are for trying a run with TLS. For real nodes, take those of your
organisation.
"""

import datetime
import importlib
import ipaddress
import os
import pathlib
from typing import Any, NamedTuple

from coalesce_jax.core import files

_DAYS = 7
_HOST = '127.0.0.1'


class Paths(NamedTuple):
  """Files in PEM format.

  Attributes:
    authority: certificate that nodes trust.
    certificate: certificate of the server.
    key: private key of the server.
  """

  authority: pathlib.Path
  certificate: pathlib.Path
  key: pathlib.Path


def make(folder: pathlib.Path) -> Paths:
  """Writes an authority and a certificate for 127.0.0.1, good for a week.

  Nobody keeps the authority's private key.

  Args:
    folder: folder of the files.

  Raises:
    ValueError: the package `cryptography` is not installed.
  """
  x509, hashes, serialization, ec = _modules()
  now = datetime.datetime.now(datetime.UTC)

  def name(text: str) -> Any:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

  def begun(subject: str, key: Any) -> Any:
    return (
      x509.CertificateBuilder()
      .subject_name(name(subject))
      .issuer_name(name('coalesce trial'))
      .public_key(key.public_key())
      .serial_number(x509.random_serial_number())
      .not_valid_before(now - datetime.timedelta(minutes=5))
      .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )

  root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
  sign = dict.fromkeys(('digital_signature', 'key_cert_sign', 'crl_sign'), True)
  rest = ('content_commitment', 'key_encipherment', 'data_encipherment',
          'key_agreement', 'encipher_only', 'decipher_only')  # fmt: skip
  authority = (
    begun('coalesce trial', root)
    .add_extension(x509.BasicConstraints(True, 0), critical=True)
    .add_extension(
      x509.KeyUsage(**sign, **dict.fromkeys(rest, False)), critical=True
    )
    .add_extension(
      x509.SubjectKeyIdentifier.from_public_key(root.public_key()),
      critical=False,
    )
    .sign(root, hashes.SHA256())
  )
  hosts = [
    x509.IPAddress(ipaddress.ip_address(_HOST)), x509.DNSName('localhost')
  ]  # fmt: skip
  certificate = (
    begun(_HOST, own)
    .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    .add_extension(x509.BasicConstraints(False, None), critical=True)
    .add_extension(
      x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
      critical=False,
    )
    .sign(root, hashes.SHA256())
  )
  paths = Paths(folder / 'ca.pem', folder / 'server.pem', folder / 'server.key')
  pem = serialization.Encoding.PEM
  private = own.private_bytes(
    pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
  )
  files.write_bytes(paths.authority, authority.public_bytes(pem))
  files.write_bytes(paths.certificate, certificate.public_bytes(pem))
  # Nobody else may read it, at no time.
  paths.key.unlink(missing_ok=True)
  with open(
    os.open(paths.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb'
  ) as file:
    file.write(private)
  return paths


def _modules() -> list[Any]:
  names = ('x509', 'hazmat.primitives.hashes',
           'hazmat.primitives.serialization',
           'hazmat.primitives.asymmetric.ec')  # fmt: skip
  try:
    return [importlib.import_module(f'cryptography.{name}') for name in names]
  except ImportError as error:
    raise ValueError(
      f'--tls: cryptography cannot be imported ({error}); install the extra: '
      "pip install 'coalesce_jax[federated]'"
    ) from None
