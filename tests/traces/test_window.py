"""Windows: HH:MM-HH:MM in trace time, and nothing else."""

import pytest

from sim.errors import TraceError
from traces.window import format_window, parse_window


@pytest.mark.parametrize(
    ("text", "window_s"),
    [
        ("00:00-00:01", (0, 60)),
        ("08:00-09:00", (28_800, 32_400)),
        ("08:00:30-08:01", (28_830, 28_860)),
        ("23:59-24:00", (86_340, 86_400)),
        ("32:00-33:00", (115_200, 118_800)),
        ("335:00-336:00", (1_206_000, 1_209_600)),
    ],
)
def test_windows_are_seconds_and_back(text, window_s):
    assert parse_window(text) == window_s
    assert format_window(window_s) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8:00-9:00",
        "08:00",
        "08:00-",
        "-09:00",
        "08:60-09:00",
        "08:00-09:00 ",
        "a-b",
        "08:00-09:00:99",
        "٠٨:00-09:00",
    ],
)
def test_other_forms_are_refused(text):
    with pytest.raises(TraceError, match="write HH:MM-HH:MM"):
        parse_window(text)


@pytest.mark.parametrize("text", ["09:00-08:00", "09:00-09:00"])
def test_an_end_before_the_start_is_refused(text):
    with pytest.raises(TraceError, match="end must be after its start"):
        parse_window(text)
