"""Names the image pairs that need no folder of a user; imports nothing."""

# The tables of `pair_tasks` and `derived_pairs` have the same names.
TASKS = (
  'fluent_outline_flat',
  'fluent_flat_modern',
  'openmoji',
  'emoji_pairs',
  'emoji',
  'earth_relief',
  'earth_water',
  'earth_elevation',
  'mnist_usps',
)
DERIVED = ('colourise', 'edges', 'super_resolution', 'inpaint', 'denoise')
