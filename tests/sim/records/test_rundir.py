"""What a run directory says of the process that wrote it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sim.records.rundir import peak_rss_bytes

LARGE_BYTES = 300 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of getrusage")
def test_the_peak_of_a_process_is_its_own_and_not_that_of_what_started_it():
    large = bytearray(LARGE_BYTES)
    assert peak_rss_bytes() > len(large)
    code = "from sim.records.rundir import peak_rss_bytes; print(peak_rss_bytes())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 2**20 < int(done.stdout) < len(large)
