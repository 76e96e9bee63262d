"""A page: sections, data, styles and scripts in one file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from analysis.report import html
from analysis.report.comparison import comparison, effects_of, in_words
from analysis.report.data import Group, drawn, groups
from analysis.report.functions import functions
from analysis.report.points import points
from analysis.report.provenance import provenance, reproduce, told
from analysis.report.source import Source, open_source
from analysis.report.tables import runs, summary
from sim import __version__
from sim.files.output import new_file, write_text

_HERE = Path(__file__).parent
_GENERATOR = "gpu-faas analyze report"  # tells that a page is ours to replace


def write_report(paths: Sequence[Path], file: Path, *, verify: bool = True) -> None:
    """Write the page on a data set, or on runs; an older page is replaced.

    paths: what ``simulate sweep`` made, or runs and folders of runs. verify: see ``analysis.runs.open_runs``. Raises
    RunError for what can't be read, and OutputError where the page can't be written.
    """
    with new_file(file, _is_page) as part:
        write_text(part, page(open_source(paths, verify=verify)))


def page(source: Source) -> str:
    """The text of the page: the same runs give the same bytes."""
    shown, effects = groups(source), effects_of(source)
    sections = {
        "summary": summary(source, in_words(source, effects)),
        "comparison": comparison(source, effects),
        "figures": _figures(shown),
        "runs": runs(source),
        "functions": functions(source, shown),
        "provenance": provenance(source),
        "reproduce": reproduce(source),
    }
    style = _read("vendor/uPlot.min.css") + _read("report.css")
    library = f"/*\n{_read('vendor/LICENSE')}\n*/\n{_read('vendor/uPlot.iife.min.js')}"
    script = _read("report.js")
    return Template(_read("page.html")).substitute(
        policy=_policy([library, script], style),
        generator=_GENERATOR,
        title=html.escape(source.name),
        subtitle=html.escape(_subtitle(source)),
        links="".join(f'<a href="#{name}">{name.capitalize()}</a>\n' for name, text in sections.items() if text),
        sections="".join(sections.values()),
        version=html.escape(__version__),
        data=_json({**drawn(source, shown), **points(source)}),
        style=style,
        library=library,
        script=script,
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _is_page(file: Path) -> bool:
    return f'content="{_GENERATOR}"'.encode() in file.read_bytes()


def _policy(scripts: Sequence[str], style: str) -> str:
    """Content security policy: nothing is loaded, and nothing runs but these very scripts."""
    allowed = " ".join(map(_hash, scripts))
    return f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """JSON inside of a script element, which no text in it can end."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _figures(shown: Sequence[Group]) -> str:
    if not shown:
        return html.section("figures", "Figures", html.paragraph("There is no run to draw."))
    return html.section(
        "figures",
        "Figures",
        html.paragraph(
            "Drag across a figure to zoom in. A click on a name hides or shows its line everywhere.", "soft"
        ),
        "<noscript><p>Figures need JavaScript; the tables have their numbers.</p></noscript>\n",
        '<div class="bar" id="legend"></div>\n<div class="bar" id="choice"></div>\n<div id="charts"></div>\n',
    )


def _subtitle(source: Source) -> str:
    """What was run, in a line."""
    runs = source.runs.values()
    traces = dict.fromkeys(Path(str(trace)).name for run in runs for trace in told(run, "scenario").get("traces") or [])
    calibrations = dict.fromkeys(str(told(run, "calibration").get("name")) for run in runs)
    said = [f"Trace {', '.join(traces)}"] if traces else []
    return "; ".join([*said, f"calibration {', '.join(calibrations)}"] if calibrations else said)
