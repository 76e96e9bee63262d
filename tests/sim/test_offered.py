"""The load that is offered: against a count by hand, and against what idle GPUs really do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import FleetSpec
from sim.loads import Clients, make_load
from sim.models.costs import CostModel
from sim.models.workloads.catalogue import load_catalogue
from sim.offered import offered_load
from sim.policies import make_policy
from sim.workload import bind
from tests.support import POOL, V100, ListTrace, own, poisson, simulate


def offered(workload, calibration=POOL, gpus=2, policy="balance"):
    costs = CostModel(calibration, workload.functions, make_policy(policy).workers[0])
    return offered_load(workload, costs, FleetSpec(calibration.spec, gpus))


def test_work_over_time_by_hand():
    workload = own(ListTrace([0.0, 1.0, 2.0, 10.0], [0, 1, 0, 0], [2.0, 3.0, 1.0, 4.0]))
    its = offered(workload)
    dispatch_s = 4 * POOL.dispatch_s.kaas
    assert its.invocations == 4
    assert its.busy_gpus == pytest.approx((10.0 + dispatch_s) / 10.0)
    assert its.graphs["opaque"].functions == 2
    assert its.graphs["opaque"].gpu_time_frac == pytest.approx(1.0)
    assert its.server_frac is None
    assert not its.overload


def test_a_limit_ends_the_time_in_which_they_come():
    workload = replace(own(ListTrace([0.0, 1.0, 2.0, 10.0], [0, 1, 0, 0], [2.0, 3.0, 1.0, 4.0])), limit=3)
    assert (offered(workload).invocations, offered(workload).duration_s) == (3, 2.0)


def test_it_is_what_warm_gpus_without_queues_do(tmp_path):
    """On a fleet where all find their buffers and none waits, occupied GPU time is the offered load."""
    jacobi = {"jacobi": load_catalogue("kaas")["jacobi"]}
    workload = bind(poisson(3_000, 4.0, "constant", 2, 3), catalogue=jacobi)
    its = offered(workload, gpus=4)
    run = simulate(workload, make_policy("affinity"), tmp_path, gpus=4, calibration=POOL)
    assert 4 * run.summary["gpu_occupied_frac"] == pytest.approx(its.busy_gpus, rel=0.01)


def test_graphs_share_it_by_invocations_and_by_time():
    catalogue = load_catalogue("kaas")
    trace = ListTrace([float(i) for i in range(100)], [i % 2 for i in range(100)], [1.0] * 100)
    workload = bind(trace, catalogue={name: catalogue[name] for name in ("bert", "cGEMM")})
    graphs = offered(workload).graphs
    assert sum(g.invocations_frac for g in graphs.values()) == pytest.approx(1.0)
    assert sum(g.gpu_time_frac for g in graphs.values()) == pytest.approx(1.0)
    assert sum(g.functions for g in graphs.values()) == 2


def test_overload_is_told_of_gpus_and_of_the_server():
    busy = own(ListTrace([i / 1000 for i in range(1000)], [0] * 1000, [1.0] * 1000))
    its = offered(busy, V100)
    assert its.overload == "2 GPUs and the frontend's server"
    assert "That is more than 2 GPUs and the frontend's server can serve" in its.text()
    assert "by graph: opaque 1 function, 100% of invocations, 100% of GPU time" in its.text()


def test_it_reads_as_people_write():
    one = own(ListTrace([4.0], [0], [2.0]))
    assert offered(one).text().startswith("offered load: 1 invocation, 0.25/s, warm they keep 0.5")
    many = own(ListTrace([i / 5000 for i in range(1, 5001)], [0] * 5000, [1.0] * 5000))
    assert "5,000 invocations, 5,000/s, warm they keep 5,0" in offered(many).text()


def test_clients_in_a_closed_loop_and_nothing_offer_none():
    entry = {"bert": load_catalogue("kaas")["bert"]}
    loop = make_load("closed[outstanding=2,duration=1]").trace(Clients(1, "bert"))
    assert offered(bind(loop, catalogue=entry)) is None
    assert offered(own(ListTrace([], [], [], n_functions=1))) is None
