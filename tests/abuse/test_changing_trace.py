"""A trace that changes while it is read, converted, sampled or simulated."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from sim.errors import TraceError
from sim.experiment import run_scenario
from sim.records.recorder import Recorder
from sim.scenario import read_scenario
from traces.open import open_trace
from traces.readers import native
from traces.synth.azure2019 import write_azure2019
from traces.writer import write_native


@pytest.fixture
def trace(tmp_path):
    write_azure2019(tmp_path / "azure", n_functions=10, minutes=2, rate_per_s=5.0)
    write_native(open_trace(tmp_path / "azure"), tmp_path / "trace.parquet")
    return tmp_path / "trace.parquet"


def same_size_and_time(file):
    """As another file of the same length that was copied over it, time and all."""
    facts = file.stat()
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def another(file):
    shutil.copy(file, file.with_name("copy"))
    os.replace(file.with_name("copy"), file)


@pytest.mark.parametrize("change", [same_size_and_time, another, os.unlink])
def test_a_run_by_a_trace_that_changed_is_not_valid(trace, tmp_path, monkeypatch, change):
    """The first policy has seen the trace as it was, the second one can't be trusted."""
    n_closed = []
    close = Recorder.close

    def close_and_change(self):
        close(self)
        n_closed.append(1)
        if len(n_closed) == 2:
            change(trace)

    monkeypatch.setattr(Recorder, "close", close_and_change)
    scenario = read_scenario(None, {"traces": [str(trace)], "policies": ["balance", "affinity"]})
    first, second = run_scenario(scenario, tmp_path / "runs").values()
    assert first["valid"]
    assert not second["valid"]
    assert second["reasons"] == [f"{trace}: changed since it was opened"]


def test_a_trace_that_changes_while_it_is_converted_gives_no_file(trace, tmp_path):
    opened = open_trace(trace)

    class Changing:
        source, functions, duration_s = opened.source, opened.functions, opened.duration_s

        def chunks(self):
            yield from opened.chunks()
            os.utime(trace)

    with pytest.raises(TraceError, match=r"trace\.parquet: changed while it was read"):
        write_native(Changing(), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_a_trace_that_changes_while_it_is_opened_is_refused(trace, monkeypatch):
    read = native.FORMAT.read

    def read_and_change(paths, options):
        opened = read(paths, options)
        os.utime(trace)
        return opened

    monkeypatch.setattr("traces.open.FORMATS", {"native": replace(native.FORMAT, read=read_and_change)})
    with pytest.raises(TraceError, match=r"trace\.parquet: changed while it was read"):
        open_trace(trace)
