"""What the paths of a trace may lead to: each file once, and tables of other things only beside it."""

import os
import tarfile

import pytest

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.open import open_trace
from traces.readers.daily_files import Role

EVENTS = "app,func,end_timestamp,duration\na,f,10.5,0.25\nb,g,99.0,3\n"


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "trace" / "events.csv"
    file.parent.mkdir()
    file.write_text(EVENTS)
    return file


def symbolic(file):
    link = file.with_name("symbolic.csv")
    link.symlink_to(file)
    return link


def hard(file):
    link = file.with_name("hard.csv")
    os.link(file, link)
    return link


class TestOnce:
    @pytest.mark.parametrize("again", [lambda f: f, symbolic, hard, lambda f: f.parent / ".." / "trace" / f.name])
    def test_a_file_that_is_named_twice_is_refused(self, events, again):
        with pytest.raises(TraceError, match="and would count twice"):
            open_trace([events, again(events)])

    def test_the_message_has_both_names(self, events):
        link = symbolic(events)
        with pytest.raises(TraceError) as caught:
            open_trace([events, link])
        assert str(caught.value) == f"{link}: is the same file as {events}, and would count twice"
        with pytest.raises(TraceError) as caught:
            open_trace([events, events])
        assert str(caught.value) == f"{events}: is named twice, and would count twice"

    @pytest.mark.parametrize("link", [symbolic, hard])
    def test_a_directory_with_a_file_and_a_link_to_it_is_refused(self, events, link):
        link(events)
        with pytest.raises(TraceError, match="and would count twice"):
            open_trace(events.parent)

    def test_a_directory_and_a_file_in_it_are_refused(self, events):
        with pytest.raises(TraceError, match="and would count twice"):
            open_trace([events.parent, events])

    def test_a_link_to_the_directory_is_the_directory(self, events, tmp_path):
        (tmp_path / "link").symlink_to(events.parent)
        assert open_trace(tmp_path / "link").n_arrivals == 2
        with pytest.raises(TraceError, match="and would count twice"):
            open_trace([tmp_path / "link", events.parent])

    def test_an_archive_and_a_link_to_it_are_refused(self, events, tmp_path):
        archive = tmp_path / "events.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(events, "events.csv")
        (tmp_path / "link.tar").symlink_to(archive)
        with pytest.raises(TraceError, match="and would count twice"):
            open_trace([archive, tmp_path / "link.tar"])

    def test_a_note_may_be_a_link(self, events):
        (events.parent / "a.csv").write_text("x,y\n")
        (events.parent / "b.csv").symlink_to(events.parent / "a.csv")
        trace = open_trace(events.parent)
        assert (trace.n_arrivals, dict(trace.source.anomalies)) == (2, {"file_passed_over": 2})

    def test_copies_are_parts_of_a_trace(self, events):
        events.with_name("copy.csv").write_text(EVENTS)
        assert open_trace(events.parent).n_arrivals == 4


class TestForeignTables:
    def test_one_that_repeats_a_column_is_passed_over(self, azure2019):
        azure2019.day(("a/f", {1: 1}))
        (azure2019.path / "mapping.csv").write_text("function,proxy,proxy\na,b,c\n")
        trace = open_trace(azure2019.path)
        assert (trace.n_arrivals, trace.source.anomalies) == (1, {"file_passed_over": 1})

    def test_one_of_the_trace_that_repeats_a_column_is_refused(self, azure2019):
        azure2019.day(("a/f", {1: 1}))
        (azure2019.path / "x.d02.csv").write_text("HashApp,HashFunction,Trigger,Trigger,1\na,f,http,http,1\n")
        with pytest.raises(TraceError, match=r"x.d02.csv, row 1: the column 'Trigger' stands there twice"):
            open_trace(azure2019.path)

    def test_one_that_is_named_must_be_of_the_trace(self, tmp_path):
        file = tmp_path / "mapping.csv"
        file.write_text("function,proxy,proxy\na,b,c\n")
        with pytest.raises(TraceError, match="columns function, proxy, proxy: the format can't be told"):
            open_trace(file)


class TestTrainings:
    """InVitro's GPU trainings have tables whose columns are numbered invocations, with the header of Azure 2019."""

    @pytest.fixture(params=["deadline.csv", "iterations.csv", "batch.csv"])
    def training(self, request, azure2019):
        azure2019.day(("a/f", {1: 1}))
        file = azure2019.path / request.param
        file.write_text(azure2019.file(Role.INVOCATIONS).read_text().replace(",1,0", ",86400,86400", 1))
        return file

    def test_one_that_is_named_is_refused(self, training):
        with pytest.raises(TraceError, match="InVitro's GPU trainings, where a column is an invocation") as caught:
            open_trace(training)
        assert str(caught.value).startswith(f"{training}: ")

    def test_one_in_a_directory_is_passed_over(self, training):
        trace = open_trace(training.parent)
        assert len(collect(trace).at_s) == 1
        assert trace.source.anomalies == {"file_passed_over": 1}

    def test_without_invocations_there_is_no_trace(self, training, tmp_path):
        (tmp_path / "only").mkdir()
        training.rename(tmp_path / "only" / training.name)
        with pytest.raises(TraceError, match="no invocations table"):
            open_trace(tmp_path / "only")
