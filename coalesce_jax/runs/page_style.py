"""The style sheet of reports: no script, no network, readable without colour.

A picture is the summary of `details.zoom`, which covers the window when it is
open. On a narrow window a row of a `table.cards` becomes a card.
"""

CSS = """
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 0 auto;
  padding: 1rem; color: #222; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.verdict { font-size: 1.15rem; border-left: .3rem solid #222;
  padding: .2rem 0 .2rem .8rem; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
table.cards { font-size: .85rem; width: 100%; }
td, th { padding: .25rem .45rem; border-bottom: 1px solid #ccc;
  text-align: right; vertical-align: top; font-weight: normal; }
thead th { font-weight: bold; vertical-align: bottom; }
td { white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
td small { display: block; color: #444; font-size: .85em; }
abbr { text-decoration: underline dotted; cursor: help; }
td.best b::before { content: '\\2605\\00a0'; }
.plain td { text-align: left; white-space: normal; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr;
  gap: .3rem 1rem; margin: .5rem 0; font-size: .95rem; }
dt { font-weight: bold; } dd { margin: 0; }
.samples { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
img { max-width: 100%; height: auto; display: block; }
.samples img { width: 100%; image-rendering: pixelated; }
figure { margin: 1.5rem 0; } figcaption { color: #444; font-size: .95rem; }
summary { cursor: pointer; }
details.zoom > summary { list-style: none; cursor: zoom-in; }
details.zoom > summary::-webkit-details-marker { display: none; }
details.zoom[open] > summary { position: fixed; inset: 0; z-index: 9;
  overflow: auto; background: #fff; padding: 1rem; cursor: zoom-out; }
details.zoom[open] > summary img { max-width: none; }
.samples details.zoom[open] > summary img { width: min(92vw, 85vh); }
@media (max-width: 60rem) {
  table.cards, .cards tbody, .cards tr, .cards td { display: block; }
  .cards thead { position: absolute; left: -999rem; }
  .cards tr { border: 1px solid #ccc; margin: 0 0 .8rem; padding: .3rem .6rem; }
  .cards td { border: 0; padding: .1rem 0; display: flex; gap: 1rem;
    justify-content: space-between; white-space: normal; }
  .cards td::before { content: attr(data-label); color: #444; }
  .cards td:first-child { font-weight: bold; }
  .cards td:first-child::before { content: none; }
  .cards td.empty { display: none; }
  .cards td small { display: inline; }
}
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin: 0 0 .5rem; }
  .samples { grid-template-columns: repeat(2, 1fr); }
}
"""
