"""Reads the variant of a configuration, what follows its file after a colon."""


def quick(variant: str) -> bool:
  """Says whether the variant is a smoke test.

  Args:
    variant: '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  if variant not in ('', 'quick'):
    raise ValueError(f"variant {variant!r} is not '' or 'quick'")
  return bool(variant)
