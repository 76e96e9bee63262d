"""The gallery has every figure, and is what its script writes."""

from __future__ import annotations

import importlib.util

from analysis.series.kinds import KINDS, check_report
from sim.files.plaindata import read_yaml
from tests.docs.pages import ROOT

MOST_BYTES = 400_000  # of all pictures


def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_is_what_its_script_writes_and_has_every_figure():
    script = gallery()
    assert (ROOT / "docs" / "gallery.md").read_text("utf-8") == script.page()
    assert set(script.FIGURES) == set(KINDS)
    pictures = list(script.PICTURES.iterdir())
    assert {file.name for file in pictures} == {f"{name}.png" for name in KINDS}
    assert sum(file.stat().st_size for file in pictures) < MOST_BYTES


def test_the_study_of_the_gallery_asks_for_six_figures_and_a_table():
    study = read_yaml(ROOT / "docs" / "examples" / "fleet-size.yaml")
    report = check_report(study["report"], study["factors"], "report")
    assert len(report.figures) == 6
    assert report.baseline
