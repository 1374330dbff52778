"""Names the figure that an emoji shows, whatever its gender or skin tone.

Variants of one figure have equal names, so that a split by these names does
not test on what was seen in training.
"""

import re

# Person, man and woman; child, boy and girl; older people; and others.
_SAME = {
  **dict.fromkeys(('1F468', '1F469'), '1F9D1'),
  **dict.fromkeys(('1F466', '1F467'), '1F9D2'),
  **dict.fromkeys(('1F474', '1F475'), '1F9D3'),
  **dict.fromkeys(('1F934', '1F478'), '1FAC5'),
  **dict.fromkeys(('1F930', '1FAC3'), '1FAC4'),
  '1F936': '1F385',
  '1F57A': '1F483',
}  # fmt: skip
# The signs of gender, the arrow that turns a figure, joiners and selectors.
_SIGNS = ('2640', '2642', '27A1', '200D', 'FE0F')
_SANTA = '1F9D1-1F384'

_PEOPLE = {'man', 'woman', 'person', 'men', 'women', 'people', 'mx', 'mrs'}
_WORDS = {
  'boy': 'child', 'girl': 'child', 'older': 'old', 'prince': 'with-crown',
  'princess': 'with-crown', 'santa-claus': 'claus',
}  # fmt: skip


def of_code(code: str) -> str:
  """Returns the figure of an emoji's code points.

  Args:
    code: hexadecimal code points, such as '1F469-200D-1F680'.

  Returns:
    Code points without gender, skin tone, direction and joiners, such as
    '1F9D1-1F680'.
  """
  points = [
    _SAME.get(point, point)
    for point in code.upper().split('-')
    if point not in _SIGNS and not '1F3FB' <= point <= '1F3FF'
  ]
  figure = '-'.join(points)
  if figure == _SANTA:
    return '1F385'
  # A sign that stands alone is a figure.
  return figure or code.upper()


def of_name(name: str) -> str:
  """Returns the figure of an emoji's English name.

  Args:
    name: words joined by hyphens, such as 'woman-astronaut-default'.

  Returns:
    The name without gender and direction, such as 'astronaut'.
  """
  name = re.sub('-default$', '', name.lower().replace(' ', '-'))
  name = re.sub('-facing-right$', '', name)
  name = _WORDS.get(name, name)
  words = [_WORDS.get(w, w) for w in name.split('-') if w not in _PEOPLE]
  return '-'.join(words) or 'person'
