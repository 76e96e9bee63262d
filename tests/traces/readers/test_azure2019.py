"""Azure Functions 2019: what tables and days mean, and the rules for their defects."""

import numpy as np
import pytest

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.anomalies import RULES
from traces.arrivals.durations import DEFAULT_S
from traces.open import open_trace
from traces.readers.daily_files import Role

MIB = 2**20


def functions(trace):
    return {f.key: f for f in trace.functions}


def test_minute_k_covers_the_sixty_seconds_before_k_minutes(azure2019):
    azure2019.day(("a/f", {1: 2, 1440: 1}))
    trace = open_trace(azure2019.path, placement="equidistant")
    assert collect(trace).at_s.tolist() == [15, 45, 86_370]
    assert (trace.duration_s, trace.n_arrivals, trace.source.window_s) == (86_400, 3, (0, 86_400))


def test_functions_are_in_file_order_and_only_those_invoked(azure2019):
    azure2019.day(("b/f", {5: 1}), ("a/never", {}), ("a/f", {2: 1}), ("a/g", {700: 1}))
    whole, hour = open_trace(azure2019.path), open_trace(azure2019.path, window="00:00-01:00")
    assert [f.key for f in whole.functions] == ["b/f", "a/f", "a/g"]
    assert [f.key for f in hour.functions] == ["b/f", "a/f"]
    assert collect(hour).function.tolist() == [1, 0]
    assert [f.app for f in whole.functions] == ["b", "a", "a"]


def test_the_source_says_what_was_done(azure2019):
    azure2019.day(("a/f", {481: 1}))
    source = open_trace(azure2019.path, window="08:00-09:00", rate_scale=2, seed=7, placement="start").source
    assert source.format == "azure2019"
    assert source.files == tuple(str(azure2019.file(role)) for role in Role)
    assert source.window_s == (28_800, 32_400)
    assert source.options == {"placement": "start", "rate_scale": 2.0, "seed": 7}
    assert source.anomalies == {}


def test_duration_mean_and_memory_come_from_their_tables(azure2019):
    azure2019.day(("a/f", {1: 1}), ("a/g", {1: 1}), ("b/h", {1: 1}))
    azure2019.durations(("b/h", 30, [30] * 7), ("a/f", 10, [10] * 7), ("a/g", 0, [0, 0, 0, 25, 25, 25, 25]))
    azure2019.memory(("b", 100), ("a", 150))
    trace = open_trace(azure2019.path)
    assert {key: f.mean_s for key, f in functions(trace).items()} == {"a/f": 0.01, "a/g": 0.025, "b/h": 0.03}
    assert {key: f.memory_bytes for key, f in functions(trace).items()} == {
        "a/f": 75 * MIB,
        "a/g": 75 * MIB,
        "b/h": 100 * MIB,
    }
    assert trace.source.anomalies == {"average_not_positive": 1}


def test_memory_is_shared_with_functions_that_the_window_leaves_out(azure2019):
    azure2019.day(("a/f", {1: 1}), ("a/idle", {}))
    assert open_trace(azure2019.path).functions[0].memory_bytes == 32 * MIB


def test_defects_have_rules_and_are_counted(azure2019):
    azure2019.invocations(("a/f", {1: 1, 3: 2}), ("b/g", {1: 1}), ("a/f", {1: 4}), ("c/h", {2: 1}))
    azure2019.durations(("a/f", 10, [10] * 7), ("a/f", 99, [99] * 7), ("b/g", -3, [5, 4, 9, 9, 9, 9, -1]))
    azure2019.memory(("a", 10), ("a", 20), ("b", 0))
    trace = open_trace(azure2019.path)
    n = np.bincount(collect(trace).function)
    assert n.tolist() == [7, 1, 1]
    by_key = functions(trace)
    assert by_key["a/f"].mean_s == 0.01
    assert by_key["b/g"].mean_s == 0.009
    assert by_key["c/h"].mean_s == DEFAULT_S
    assert (by_key["a/f"].memory_bytes, by_key["b/g"].memory_bytes) == (10 * MIB, None)
    assert trace.source.anomalies == {
        "duplicate_invocations_row": 1,
        "duplicate_durations_row": 1,
        "average_not_positive": 1,
        "percentile_negative": 1,
        "percentiles_descend": 1,
        "function_without_durations": 1,
        "duplicate_memory_row": 1,
        "memory_not_positive": 1,
        "function_without_memory": 2,
    }
    assert set(trace.source.anomalies) <= set(RULES)


def test_empty_extremes_are_counted(azure2019):
    azure2019.day(("a/f", {1: 1}))
    file = azure2019.file(Role.DURATIONS)
    file.write_text(file.read_text().replace("1.0,9.0", ","))
    assert open_trace(azure2019.path).source.anomalies == {"minimum_or_maximum_empty": 2}


def test_an_invocations_file_may_stand_alone(azure2019):
    azure2019.invocations(("a/f", {1: 1}))
    trace = open_trace(azure2019.file(Role.INVOCATIONS))
    assert trace.functions[0].mean_s == DEFAULT_S
    assert trace.functions[0].memory_bytes is None
    assert collect(trace).duration_s.tolist() == [DEFAULT_S]
    assert trace.source.anomalies == {"function_without_durations": 1, "function_without_memory": 1}


def test_tables_may_be_named_one_by_one(azure2019):
    azure2019.day(("a/f", {1: 1}))
    named = open_trace([azure2019.file(role) for role in Role])
    assert named.functions == open_trace(azure2019.path).functions


@pytest.mark.parametrize("role", [Role.DURATIONS, Role.MEMORY])
def test_a_directory_must_have_all_tables_of_a_day(azure2019, role):
    azure2019.day(("a/f", {1: 1}))
    azure2019.file(role).unlink()
    with pytest.raises(TraceError, match=f"lacks the {role.name.lower()} table .*expected {role.published_name(1)}"):
        open_trace(azure2019.path)


def test_files_of_no_format_in_a_directory_are_passed_over(azure2019):
    azure2019.day(("a/f", {1: 1}))
    (azure2019.path / "notes.csv").write_text("x,y\n")
    assert open_trace(azure2019.path).n_arrivals == 1


class TestDays:
    def test_day_k_starts_k_days_after_the_first(self, azure2019):
        azure2019.day(("a/f", {1: 1}), day=2)
        azure2019.day(("a/f", {2: 1}), ("b/g", {1: 1}), day=3)
        azure2019.day(("b/g", {1440: 1}), day=5)
        trace = open_trace(azure2019.path, placement="start")
        assert trace.duration_s == 4 * 86_400
        assert collect(trace).at_s.tolist() == [0, 86_400, 86_460, 4 * 86_400 - 60]
        assert collect(trace).function.tolist() == [0, 1, 0, 1]

    def test_each_day_has_its_own_durations_and_the_mean_is_of_invocations(self, azure2019):
        azure2019.day(("a/f", {1: 1}), day=1)
        azure2019.day(("a/f", {1: 3}), day=2)
        azure2019.durations(("a/f", 500, [500] * 7), day=2)
        trace = open_trace(azure2019.path)
        assert collect(trace).duration_s.tolist() == [0.1, 0.5, 0.5, 0.5]
        assert trace.functions[0].mean_s == pytest.approx((0.1 + 3 * 0.5) / 4)

    def test_only_the_days_of_the_window_are_read(self, azure2019):
        azure2019.day(("a/f", {1: 1}), day=1)
        azure2019.day(("b/g", {61: 1}), day=2)
        azure2019.file(Role.DURATIONS, 1).write_text(azure2019.file(Role.DURATIONS, 1).read_text() + "broken\n")
        trace = open_trace(azure2019.path, window="25:00-26:00", placement="start")
        assert [f.key for f in trace.functions] == ["b/g"]
        assert collect(trace).at_s.tolist() == [0]
        assert all(".d02." in file for file in trace.source.files)

    def test_memory_of_the_last_days_is_the_last_known(self, azure2019):
        azure2019.day(("a/f", {1: 1}), day=12)
        azure2019.day(("a/f", {1: 1}), ("a/g", {1: 1}), day=13)
        azure2019.file(Role.MEMORY, 13).unlink()
        azure2019.memory(("a", 50), day=12)
        trace = open_trace(azure2019.path, window="24:00-25:00")
        assert [f.memory_bytes for f in trace.functions] == [25 * MIB] * 2

    def test_memory_never_comes_from_a_later_day(self, azure2019):
        for day in (12, 13, 14):
            azure2019.day(("a/f", {1: 1}), day=day)
            azure2019.memory(("a", day), day=day)
        azure2019.file(Role.MEMORY, 13).unlink()
        assert open_trace(azure2019.path, window="24:00-48:00").functions[0].memory_bytes == 12 * MIB

    def test_a_function_needs_durations_only_on_days_when_it_is_invoked(self, azure2019):
        azure2019.day(("a/f", {1: 1}), day=1)
        azure2019.day(("b/g", {1: 1}), day=2)
        trace = open_trace(azure2019.path)
        assert [f.mean_s for f in trace.functions] == [0.1, 0.1]
        assert trace.source.anomalies == {}

    def test_the_last_telling_trigger_counts(self, azure2019):
        for day, trigger in ((1, "others"), (2, "queue"), (3, "others")):
            azure2019.day(("a/f", {1: 1}), day=day)
            azure2019.invocations(("a/f", {1: 1}), day=day, trigger=trigger)
        trace = open_trace(azure2019.path)
        assert trace.functions[0].trigger == "queue"
        assert trace.source.anomalies == {"trigger_changed": 1}

    def test_two_tables_of_a_day_are_refused(self, azure2019):
        azure2019.day(("a/f", {1: 1}))
        copy = azure2019.path / "copy.csv"
        copy.write_text(azure2019.file(Role.INVOCATIONS).read_text())
        with pytest.raises(TraceError, match="second invocations table of day 1"):
            open_trace(azure2019.path)


class TestDerivedSamples:
    """The tolerant layout: slices of minutes, other names, any order, memory per function."""

    @pytest.mark.parametrize("name", ["{}", "minute_{}", "{}_minute"])
    def test_the_number_of_a_minute_column_is_the_minute(self, tmp_path, name):
        columns = ",".join(name.format(k) for k in (482, 481, 483))
        (tmp_path / "invocations.csv").write_text(f"HashFunction,{columns},HashApp\nf,0,2,1,a\n")
        trace = open_trace(tmp_path / "invocations.csv", placement="start")
        assert trace.source.format == "azure2019-invitro"
        assert trace.source.window_s == (28_800, 28_980)
        assert collect(trace).at_s.tolist() == [0, 0, 120]
        assert trace.functions[0].trigger == "unknown"

    def test_memory_per_function_is_not_divided(self, azure2019):
        azure2019.day(("a/f", {1: 1}), ("a/g", {1: 1}))
        azure2019.file(Role.MEMORY).unlink()
        (azure2019.path / "memory.csv").write_text("HashFunction,HashApp,AverageAllocatedMb\nf,a,9.5\ng,a,3\n")
        trace = open_trace(azure2019.path)
        assert trace.source.format == "azure2019-invitro"
        assert [f.memory_bytes for f in trace.functions] == [9.5 * MIB, 3 * MIB]

    @pytest.mark.parametrize("trigger", [[], ["Trigger"]])
    @pytest.mark.parametrize("names", [["HashFunction"], ["HashApp", "HashFunction"], ["HashFunction", "HashApp"]])
    @pytest.mark.parametrize("layout", ["{}\n", "{}\r\n", '"{}"\n', '"{}"\r\n', "\ufeff{}\n", '\ufeff"{}"\r\n'])
    def test_names_of_functions_may_lack_apps_and_owners(self, tmp_path, layout, names, trigger):
        """As simulators publish their samples: by pandas or a spreadsheet, for as many minutes as they simulated."""
        quote = '","' if '"' in layout else ","
        minutes = [str(k) for k in range(1, 61)]
        rows = [[*names, *trigger, *minutes]]
        for i, count in ((7, "2"), (8, "1")):
            cells = {"HashFunction": str(i), "HashApp": f"app{i}"}
            rows.append([*map(cells.get, names), *["http" for _ in trigger], *["0"] * 59, count])
        first, *others = (quote.join(row) for row in rows)
        file = tmp_path / "anything.txt"
        text = layout.format(first) + "".join(layout.lstrip("\ufeff").format(line) for line in others)
        file.write_bytes(text.encode())
        trace = open_trace(file, placement="start")
        assert (trace.source.format, trace.source.window_s) == ("azure2019-invitro", (0, 3600))
        assert [f.key for f in trace.functions] == (["7", "8"] if len(names) == 1 else ["app7/7", "app8/8"])
        assert [f.app for f in trace.functions] == (["7", "8"] if len(names) == 1 else ["app7", "app8"])
        assert {f.trigger for f in trace.functions} == {"http" if trigger else "unknown"}
        assert collect(trace).at_s.tolist() == [3540.0] * 3
        assert trace.source.anomalies == {"function_without_durations": 2, "function_without_memory": 2}

    def test_tables_without_apps_are_joined_by_the_function(self, tmp_path):
        (tmp_path / "inv.csv").write_text("HashFunction,1,2\n7,1,0\n8,0,1\n")
        points = ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))
        (tmp_path / "dur.csv").write_text(f"HashFunction,Average,{points}\n8,20{',20' * 7}\n7,10{',10' * 7}\n")
        (tmp_path / "mem.csv").write_text("HashApp,HashFunction,AverageAllocatedMb\na,7,100\na,8,200\n")
        trace = open_trace(tmp_path)
        assert {f.key: (f.mean_s, f.memory_bytes) for f in trace.functions} == {
            "7": (0.01, 100 * MIB),
            "8": (0.02, 200 * MIB),
        }
        assert trace.source.anomalies == {}

    def test_memory_of_apps_needs_apps(self, tmp_path):
        (tmp_path / "inv.csv").write_text("HashFunction,1,2\n7,1,0\n")
        (tmp_path / "mem.csv").write_text("HashApp,AverageAllocatedMb\na,100\n")
        with pytest.raises(TraceError, match=r"mem.csv, row 1: lacks the column 'HashFunction'"):
            open_trace([tmp_path / "inv.csv", tmp_path / "mem.csv"])

    def test_durations_of_apps_need_the_apps_of_the_invocations(self, tmp_path):
        (tmp_path / "inv.csv").write_text("HashApp,HashFunction,1,2\na,7,1,0\n")
        points = ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))
        (tmp_path / "dur.csv").write_text(f"HashFunction,Average,{points}\n7,10{',10' * 7}\n")
        with pytest.raises(TraceError, match=r"dur.csv, row 1: lacks the column 'HashApp'"):
            open_trace([tmp_path / "inv.csv", tmp_path / "dur.csv"])

    def test_days_must_tell_functions_apart_alike(self, tmp_path):
        files = [tmp_path / "x.d01.csv", tmp_path / "x.d02.csv"]
        files[0].write_text("HashFunction,1\nf,1\n")
        files[1].write_text("HashApp,HashFunction,1\na,f,1\n")
        with pytest.raises(
            TraceError, match=r"d02.csv: .* by HashApp and HashFunction, but .*d01.csv by HashFunction$"
        ):
            open_trace(files)

    def test_the_published_format_is_strict(self, tmp_path):
        file = tmp_path / "invocations.csv"
        file.write_text("HashApp,HashFunction,1\na,f,1\n")
        assert open_trace(file, format="azure2019-invitro").n_arrivals == 1
        with pytest.raises(TraceError, match="not in the format azure2019"):
            open_trace(file, format="azure2019")

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_line_ends_quotes_and_byte_order_marks_are_read(self, tmp_path, end):
        file = tmp_path / "x.csv"
        lines = ["\ufeffHashApp,HashFunction,1,2", '"a",f,1,0', "b,g,0,2"]
        file.write_bytes(end.join(lines).encode())
        assert [f.key for f in open_trace(file).functions] == ["a/f", "b/g"]
