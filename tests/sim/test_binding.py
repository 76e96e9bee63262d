"""Which graph a function gets: by weight, or by a map; never by the seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.binding import balance, read_map
from sim.domain import TraceFunction
from sim.errors import ScenarioError
from traces.open import open_trace
from traces.synth.azure2019 import write_azure2019

GRAPHS = ["a", "b", "c"]


def functions(*weights):
    return [TraceFunction(f"app{i % 2}/f{i}", f"app{i % 2}", "http", 1.0, None, w) for i, w in enumerate(weights)]


def test_the_heaviest_function_is_alone_when_it_weighs_as_much_as_all_others():
    assert balance(functions(1, 100, 30, 30, 30), GRAPHS) == ["c", "a", "b", "b", "c"]


def test_equal_functions_are_ordered_by_key_and_begin_with_the_first_graph():
    same = functions(1, 1, 1, 1)  # app0/f0, app0/f2, app1/f1, app1/f3
    assert balance(same, GRAPHS) == ["a", "c", "b", "a"]
    assert balance(same[::-1], GRAPHS) == ["a", "b", "c", "a"]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_no_graph_gets_much_more_than_its_share(weights):
    load = Counter(dict.fromkeys(GRAPHS, 0))
    for graph, weight in zip(balance(functions(*weights), GRAPHS), weights, strict=True):
        load[graph] += weight
    assert max(load.values()) <= min(load.values()) + max(weights)
    assert max(load.values()) <= max(max(weights), 2 * sum(weights) / len(GRAPHS))


@pytest.mark.parametrize("layout", ["counts", "instants"])
def test_binding_hangs_neither_on_the_seed_nor_on_the_rate(tmp_path, layout):
    directory = tmp_path / "trace"
    write_azure2019(directory, n_functions=40, minutes=30, rate_per_s=2.0, seed=1)
    if layout == "instants":
        from traces.writer import write_native

        (tmp_path / "one").mkdir()
        write_native(open_trace(directory), tmp_path / "one/trace.parquet")
        directory = tmp_path / "one"
    ways = [
        open_trace(directory, window="00:00-00:30", seed=seed, rate_scale=scale, placement="poisson")
        for seed, scale in ((0, 1.0), (1, 1.0), (0, 0.05), (3, 1.7))
    ]
    bound = [dict(zip([f.key for f in w.functions], balance(w.functions, GRAPHS), strict=True)) for w in ways]
    assert bound[0] == bound[1] == bound[2] == bound[3]
    assert [f.n_invocations for f in ways[0].functions] == [f.n_invocations for f in ways[2].functions]
    assert [f.mean_s for f in ways[0].functions] == [f.mean_s for f in ways[2].functions]
    seen = {f for chunk in ways[2].chunks() for f in chunk.function.tolist()}
    assert len(seen) < len(ways[2].functions)  # thinning has left some without an arrival


def test_weights_of_counted_functions_are_their_counts(tmp_path):
    (tmp_path / "own.csv").write_text("HashApp,HashFunction,1,2\na,f,5,1\na,g,0,7\nb,h,0,0\n")
    trace = open_trace(tmp_path / "own.csv", rate_scale=0.5, seed=4)
    assert {f.key: f.n_invocations for f in trace.functions} == {"a/f": 6, "a/g": 7}
    (tmp_path / "plain.txt").write_text("5 1 0 3")
    assert [f.n_invocations for f in open_trace(tmp_path / "plain.txt", rate_scale=0.5).functions] == [9]


def written(tmp_path, text):
    (tmp_path / "map.csv").write_text(text)
    return tmp_path / "map.csv"


@pytest.mark.parametrize(
    ("text", "graphs"),
    [
        ("function,graph\napp0/f0,c\napp1/f1,b\napp0/f2,a\n", ["c", "b", "a"]),
        ("graph,app\na,app0\nb,app1\n", ["a", "b", "a"]),
        ("trigger,graph\nhttp,c\n", ["c", "c", "c"]),
        ("function,graph\napp1/f1,b\n\n*,a\n", ["a", "b", "a"]),
    ],
)
def test_a_map_names_functions_apps_or_triggers(tmp_path, text, graphs):
    assert read_map(written(tmp_path, text), GRAPHS).bind(functions(1, 1, 1)) == graphs


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "map.csv: is empty"),
        ("key,graph\nx,a\n", "map.csv: has the columns key, graph; must be graph and one of function, app, trigger"),
        ("function,app,graph\n", "map.csv: has the columns function, app, graph; must be"),
        ("app,graph\napp0,resnet\n", "map.csv, row 2: unknown graph 'resnet'; known are a, b, c"),
        ("app,graph\napp0\n", "map.csv, row 2: has 1 cells, must have 2"),
        ("app,graph\napp0,a\napp0,b\n", "map.csv, row 3: the app 'app0' is there already"),
        (
            "app,graph\napp0,a\n",
            r"map.csv: has no row for the app 'app1', of the function app1/f1; a row",
        ),
        ("function,graph\napp0/f0,a\n", r"map.csv: has no row for the function 'app1/f1'; a row with"),
    ],
)
def test_a_wrong_map_is_refused_with_row_and_rule(tmp_path, text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        read_map(written(tmp_path, text), GRAPHS).bind(functions(1, 1))
    with pytest.raises(ScenarioError, match=r"none\.csv: can't be read"):
        read_map(tmp_path / "none.csv", GRAPHS)


def test_keys_that_no_function_has_are_told(tmp_path):
    chosen = read_map(written(tmp_path, "app,graph\napp0,a\nap1,b\n*,c\n"), GRAPHS)
    assert chosen.bind(functions(1, 1)) == ["a", "c"]
    assert chosen.unused(functions(1, 1)) == ["ap1"]
