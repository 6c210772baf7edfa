"""How a page looks: on a phone and on a wide screen, light and dark, on paper."""

CSS = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1c1d20; --pale: #5c6068;
  --rule: #d9dade; --shade: #f0f1f3; --good: #0b6b3a; --good-paper: #dff3e6; --link: #1a56a8;
  --s0: #6a6e76; --s1: #3465a4; --s2: #d1495b; --s3: #1f7a33; --s4: #8a6d00; --s5: #92307a; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e8e9ec; --pale: #a3a8b1;
  --rule: #3a3e45; --shade: #20242a; --good: #7fdca6; --good-paper: #17382a; --link: #8ab8f5;
  --s0: #a3a8b1; --s1: #7fb0ee; --s2: #ff8a96; --s3: #72cf86; --s4: #e0c452; --s5: #e08fcb; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 1rem clamp(0.8rem, 3vw, 2.5rem) 4rem; max-width: 80rem;
  background: var(--paper); color: var(--ink); overflow-wrap: break-word;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: clamp(1.4rem, 4vw, 2.1rem); line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 0.4rem; padding-top: 0.8rem;
  border-top: 1px solid var(--rule); }
p { max-width: 46rem; margin: 0.4rem 0; }
small, .pale, caption, figcaption { color: var(--pale); font-size: 0.875rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link);
  outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; list-style: none; padding: 0; }
nav a { display: inline-block; padding: 0.35rem 0; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.3rem; }
th, td { padding: 0.35rem 0.8rem 0.35rem 0; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid var(--rule); }
thead th { vertical-align: bottom; }
tbody th { font-weight: 500; }
th.group { padding-top: 1.1rem; font-weight: 700; }
tbody th, thead th { overflow-wrap: anywhere; }
tbody th { min-width: 8rem; }
thead th { min-width: 6.5rem; }
.figures tbody th { min-width: 14rem; max-width: 26rem; }
.figures td { white-space: nowrap; }
td.best { background: var(--good-paper); padding-left: 0.5rem; }
@media (max-width: 40rem) { .scroll:has(.figures) { overflow: visible; }
  .figures, .figures caption, .figures thead, .figures tbody { display: block; }
  .figures thead { position: sticky; top: 0; background: var(--paper); }
  .figures tr { display: flex; flex-wrap: wrap; column-gap: 0.6rem; }
  .figures tbody th, .figures thead th:first-child { flex: 1 0 100%; max-width: none; }
  .figures thead th:first-child { padding-bottom: 0; }
  .figures tbody th { padding-bottom: 0; }
  .figures td, .figures thead th { flex: 1 1 5rem; min-width: 0; padding-right: 0;
    white-space: normal; overflow-wrap: anywhere; } }
.badge { color: var(--good); font-weight: 700; font-size: 0.8rem; }
.pictures tbody th, .pictures thead th { min-width: 0; }
.pictures td, .pictures th { padding: 0.25rem 0.5rem 0.25rem 0; }
img { display: block; }
.exact { image-rendering: pixelated; }
.fit { max-width: 100%; height: auto; }
.side { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
.plots { display: grid; gap: 1.2rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
figure { margin: 0.6rem 0; }
.plot svg { width: 100%; max-width: 36rem; height: auto; font-size: 12px; }
.plot text { fill: var(--pale); }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { fill: none; stroke: var(--pale); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); }
.s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); }
.dot { fill: var(--paper); stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; list-style: none; padding: 0;
  margin: 0.2rem 0; font-size: 0.875rem; }
.legend svg { display: inline; width: 28px; vertical-align: middle; }
summary { cursor: pointer; padding: 0.4rem 0; }
code { overflow-wrap: anywhere; font-size: 0.85em; background: var(--shade); padding: 0 0.25em;
  border-radius: 3px; }
@media print { nav, .skip { display: none; } .scroll { overflow: visible; } }
"""
