"""How the pages look: those of a benchmark, of a run and of a sweep are of one family."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; color: #24303a;
  max-width: 1280px; margin: 2.5rem auto; padding: 0 1.5rem; background: #fff; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.8rem 0 .6rem; padding-top: .8rem;
  border-top: 1px solid #dde3e8; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, li { max-width: 62rem; } .small, li { color: #55616c; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; margin: .6rem 0; }
th { text-align: left; font-weight: 600; color: #55616c; border-bottom: 1px solid #9aa7b1; }
th, td { padding: .28rem .7rem .28rem 0; vertical-align: top; white-space: nowrap; }
td { border-bottom: 1px solid #edf0f3; }
td.figure { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { font-weight: 600; } tr.rival td.name { font-weight: 400; }
.best { background: #e4f1ea; border-radius: 3px; padding: .05rem .3rem; font-weight: 600; }
.better { color: #0b7350; font-weight: 600; } .worse { color: #b23a22; font-weight: 600; } .tie { color: #6b7580; }
.tag { color: #6b7580; font-size: .78rem; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: flex-start; }
img { max-width: 100%; height: auto; display: block; }
figure { margin: 1.2rem 0; max-width: 62rem; } figcaption { color: #55616c; font-size: .84rem; }
@media (max-width: 700px) { body { margin: 1rem auto; padding: 0 .8rem; } h1 { font-size: 1.3rem; }
  .maps img { max-width: none; width: 54rem; }
  .figures > div { max-width: 100%; overflow-x: auto; } .figures img { max-width: none; } }
nav a { display: inline-block; margin-right: .9rem; white-space: nowrap; } a { color: #2e6fbf; text-decoration: none; }
"""
