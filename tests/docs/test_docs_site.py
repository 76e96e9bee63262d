"""The site: plain docstrings and helps are set as what they are, and the reference has what is public."""

import importlib.util
import re

import pytest

from tests.docs.pages import ROOT

SPEC = importlib.util.spec_from_file_location("plaintext", ROOT / "docs" / "_ext" / "plaintext.py")
plaintext = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(plaintext)
REFERENCE = {file.stem: file.read_text("utf-8") for file in (ROOT / "docs" / "reference").iterdir()}


def test_what_a_docstring_says_of_parameters_is_a_list():
    text = (
        "Open it. paths: files; more\nof them. ``format``, as: names, see x: y. Raises TraceError: never.\n\nThe end."
    )
    assert plaintext.docstring(text, ["paths", "format", "as"]) == (
        "Open it.\n\n* ``paths``: files; more of them.\n* ``format``, ``as``: names, see x: y.\n\n"
        "Raises TraceError: never.\n\nThe end."
    )


def test_a_docstring_without_word_of_its_parameters_stays_as_it_is():
    text = "See paths: they are many.\n\nIn two paragraphs."
    assert plaintext.docstring(text, ["paths"]) == plaintext.docstring(text, []) == text


def test_a_docstring_is_plain_text_but_for_code_and_names_of_pages():
    text = "A |mean| of 2*n and m*n, of x_ and ``x_*y``: see docs/design/costs.md."
    assert (
        plaintext.docstring(text, [])
        == r"A \|mean\| of 2\*n and m\*n, of x\_ and ``x_*y``: see :doc:`/docs/design/costs`."
    )


def test_what_is_indented_in_a_docstring_stands_as_it_is():
    assert plaintext.docstring("Pairs:\n\n    Run  -> Finished\n    Stop -> WorkerStopped", []) == (
        "Pairs:\n\n\n.. code-block:: text\n\n        Run  -> Finished\n        Stop -> WorkerStopped\n"
    )


def test_examples_of_a_help_stand_as_they_are():
    lines = ["Do it.", "", "| Example:", "|   simulate run *", "| That is all.", ""]
    assert [*plaintext.help_text(lines)] == [
        *("Do it.", "", "Example:", "", ".. code-block:: text", "", "      simulate run *", "", "That is all.", "")
    ]


@pytest.mark.parametrize("package", ["sim", "analysis"])
def test_the_reference_has_what_packages_hand_out(package):
    source = (ROOT / package / "__init__.py").read_text("utf-8")
    public = {
        name for names in re.findall(r"^ +from [\w.]+ import (.+)$", source, re.MULTILINE) for name in names.split(", ")
    }
    assert public
    assert public <= set(re.findall(rf"autofunction:: {package}\.(\w+)$", REFERENCE["python"], re.MULTILINE))
