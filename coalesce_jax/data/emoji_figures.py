"""Groups emoji that show the same figure, so that a split keeps them together.

Variants by gender, skin tone, direction, hair or colour show one figure, and so
do the hours of a clock. Otherwise a test would show what was seen in training.
"""

from collections.abc import Sequence
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
_COLOURS = {
  'red', 'orange', 'yellow', 'green', 'blue', 'purple', 'brown', 'black',
  'white', 'grey', 'pink', 'rainbow',
}  # fmt: skip
_HAIR = {'bald', 'curly', 'blond', 'blonde', 'hair', 'beard'}
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
    name: words, such as 'woman-astronaut-default'.

  Returns:
    The name without gender, direction, hair and colour, such as 'astronaut'.
  """
  name = re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')
  name = re.sub('(-default|-facing-right)+$', '', name)
  if re.fullmatch('[a-z]+-(o-?clock|thirty)|clock[0-9]+', name):
    return 'clock'
  name = _WORDS.get(name, name)
  words = [_WORDS.get(w, w) for w in name.split('-') if w not in _PEOPLE]
  if set(words) <= _HAIR | _COLOURS and set(words) & _HAIR or not words:
    return 'person'
  # An orange is no colour.
  return '-'.join(w for w in words if w not in _COLOURS) or '-'.join(words)


def merged(*labels: Sequence[str]) -> list[str]:
  """Groups items that share a label, directly or through other items.

  Args:
    *labels: lists of one label for each of N items. Equal labels of one list
      join items; labels of different lists have nothing to do with each other.

  Returns:
    The group of each item: the smallest label of the first list in it.
  """
  parents = list(range(len(labels[0])))

  def root(k: int) -> int:
    while parents[k] != k:
      k = parents[k]
    return k

  for each in labels:
    first: dict[str, int] = {}
    for k, label in enumerate(each):
      parents[root(k)] = root(first.setdefault(label, k))
  groups: dict[int, str] = {}
  for k, label in enumerate(labels[0]):
    groups[root(k)] = min(label, groups.get(root(k), label))
  return [groups[root(k)] for k in range(len(parents))]
