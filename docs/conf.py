"""Settings of the documentation site. `make docs` builds it."""

import os
import pathlib
import shutil
import sys

_HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE / 'extensions'), str(_HERE.parent)]
# The site is built without an accelerator.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

from coalesce_jax.core.version import VERSION  # noqa: E402

# Sphinx reads only what is below this folder. The notebooks have been run.
# Their links to pages lead from the folder beside docs, where Jupyter runs.
_NOTEBOOKS = _HERE / 'notebooks'
shutil.rmtree(_NOTEBOOKS, ignore_errors=True)
for _notebook in sorted((_HERE.parent / 'notebooks').glob('*.ipynb')):
  _NOTEBOOKS.mkdir(exist_ok=True)
  (_NOTEBOOKS / _notebook.name).write_text(
    _notebook.read_text('utf8').replace('](../docs/', '](../'), 'utf8'
  )

project = 'coalesce_jax'
author = 'the authors of coalesce_jax'
version = release = VERSION

extensions = [
  'sphinx.ext.autodoc',
  'sphinx.ext.napoleon',
  'sphinx.ext.doctest',
  'sphinx.ext.viewcode',
  'sphinx_copybutton',
  'myst_nb',
  'figures',
  'generated',
  'mathml',
  'offline',
  'public_names',
]
source_suffix = {'.md': 'myst-nb', '.ipynb': 'myst-nb'}
exclude_patterns = ['_build']
default_role = 'code'
nitpicky = True
# Types of other libraries have no page here, and nothing is downloaded.
nitpick_ignore_regex = [
  (r'py:.*', r'(?!coalesce_jax).*'),
  (r'py:.*', r'coalesce_jax\.core\.types\..*'),
  # What methods hand to the runner is of interest to their authors alone.
  (r'py:.*', r'coalesce_jax\.methods\.problems\..*'),
]

myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 4
myst_update_mathjax = False
nb_execution_mode = 'off'

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_math_renderer = 'mathml'
html_theme = 'sphinx_book_theme'
html_title = 'coalesce_jax'
html_theme_options = {
  'show_toc_level': 2,
  'home_page_in_toc': True,
  'use_download_button': False,
  'navbar_persistent': [],
}
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sphinx = False
html_copy_source = False
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True

doctest_global_setup = """
import numpy as np
import jax
import coalesce_jax as cj
"""
