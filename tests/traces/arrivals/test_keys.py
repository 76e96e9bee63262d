"""Keys of functions: readable, and different for different functions, whatever the names are."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.trace_files import collect
from traces.arrivals.keys import app_of, escaped, keys_of
from traces.open import open_trace
from traces.writer import write_native

NAMES = st.lists(st.text("a/%25F", max_size=6), min_size=1, max_size=40, unique=True)


def keys(apps, functions):
    return keys_of(pa.array(functions, pa.string()), pa.array(apps, pa.string())).to_pylist()


@given(NAMES, NAMES)
def test_different_functions_have_different_keys(apps, functions):
    pairs = [(a, f) for a in apps for f in functions]
    made = keys(*zip(*pairs, strict=True))
    assert len(set(made)) == len(pairs)
    assert [app_of(key) for key in made] == escaped(pa.array([a for a, _ in pairs])).to_pylist()


@given(NAMES)
def test_names_of_both_have_different_keys_without_a_slash(functions):
    made = keys_of(pa.array(functions, pa.string())).to_pylist()
    assert len(set(made)) == len(functions)
    assert [app_of(key) for key in made] == made


def test_other_keys_are_the_names_themselves():
    assert keys(["shop", "a b", "50%", "%2f"], ["x", "v1/x", "%2F", ""]) == ["shop/x", "a b/v1/x", "50%/%2F", "%2f/"]
    assert keys(["a/b", "a%2Fb", "a%252Fb"], ["c"] * 3) == ["a%2Fb/c", "a%252Fb/c", "a%25252Fb/c"]


TABLES = {
    "azure2019-invitro": ("HashApp,HashFunction,1", "a/b,c,1", "a,b/c,1"),
    "azure2021": ("app,func,end_timestamp,duration", "a/b,c,2,1", "a,b/c,2,1"),
    "alibaba-gpu-pods": (
        "qos,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,scheduled_time,deletion_time",
        "LS/1,2,3,4,5,x,0,0,9",
        "LS,1,2,3,4,5-x,0,0,9",
    ),
    "huawei-requests": (
        "time_worker,funcName,userID,podID,totalCost_worker",
        "1,c,a/b,pool1-2-3-x,1",
        "1,b/c,a,pool1-2-3-x,1",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_two_functions_stay_two_when_a_slash_moves(name, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("\n".join([*TABLES[name], ""]))
    trace = open_trace(file)
    assert trace.source.format == name
    assert len(trace.functions) == len({f.key for f in trace.functions}) == len({f.app for f in trace.functions}) == 2
    assert sorted(collect(trace).function.tolist()) == [0, 1]


def test_an_app_is_written_alike_before_and_after_a_conversion(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("HashApp,HashFunction,1\na/b,c,1\na/b,d,1\na,b/c,1\n")
    trace = open_trace(file)
    write_native(trace, tmp_path / "x.parquet")
    again = open_trace(tmp_path / "x.parquet")
    assert [(f.key, f.app) for f in again.functions] == [(f.key, f.app) for f in trace.functions]
    assert [f.app for f in trace.functions] == ["a%2Fb", "a%2Fb", "a"]


def test_memory_of_an_app_is_that_of_its_functions_alone(tmp_path):
    (tmp_path / "i.csv").write_text("HashApp,HashFunction,1\na/b,c,1\na,b/c,1\na,b,1\n")
    (tmp_path / "m.csv").write_text("HashApp,AverageAllocatedMb\na/b,100\na,60\n")
    trace = open_trace([tmp_path / "i.csv", tmp_path / "m.csv"])
    assert [f.memory_bytes / 2**20 for f in trace.functions] == [100, 30, 30]
