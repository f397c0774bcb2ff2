"""The style sheet of the report page, light and dark."""

STYLE = """
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--rule:#e1e5ea;
--good:#14713d;--bad:#b3261e;--warn:#8a5a00;--bar:#3b6fb5}
@media(prefers-color-scheme:dark){:root{--ground:#12161c;--card:#1b212a;--ink:#e6eaf0;--soft:#98a3b3;
--rule:#2c3542;--good:#5fd08f;--bad:#ff8a80;--warn:#f0b95b;--bar:#6ea3ea}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 4rem}
header,section{background:var(--card);border:1px solid var(--rule);border-radius:8px;
padding:1.25rem 1.5rem;margin-bottom:1rem}
header{border-left:6px solid var(--good)}header.rejected{border-left-color:var(--bad)}
header h1{margin:.1rem 0 .3rem;font-size:1.9rem;color:var(--good)}header.rejected h1{color:var(--bad)}
header p{margin:0;overflow-wrap:anywhere}.kicker{color:var(--soft);font-size:.85rem}
h2{font-size:1.05rem;margin:0 0 .7rem}table+h2{margin-top:1.4rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:1rem}
.figures b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}
.figures span,.more{color:var(--soft);font-size:.85rem}
details{border-top:1px solid var(--rule);padding:.45rem 0}details:first-of-type{border-top:0}
summary{cursor:pointer}.count{float:right;font-variant-numeric:tabular-nums;color:var(--soft)}
summary code{font-weight:600;margin-right:.4rem}code.E{color:var(--bad)}code.W{color:var(--warn)}
code.R{color:var(--soft)}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}
.grid td,.grid th{border-bottom:1px solid var(--rule)}th{font-weight:600;font-size:.85rem;color:var(--soft)}
.grid td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.place{white-space:nowrap;color:var(--soft);font-family:ui-monospace,monospace;font-size:.8rem;width:1%}
pre{margin:.2rem 0 .3rem;padding:.4rem .6rem;background:var(--ground);border-radius:4px;font-size:.78rem;
white-space:pre-wrap;overflow-wrap:anywhere}
code{font-family:ui-monospace,monospace;font-size:.85em}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.25rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem;margin-bottom:.25rem}svg{width:100%;height:auto}
.bar{fill:var(--bar)}.bar.marked{fill:var(--warn)}.axis{stroke:var(--rule)}
svg text{fill:var(--soft);font-size:11px;text-anchor:middle}svg .value{fill:var(--ink)}
@media print{body{background:#fff}header,section{break-inside:avoid}}
"""
