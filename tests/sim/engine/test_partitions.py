"""Devices that are partitioned, and nodes that come and go, on orders of a policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import FleetSpec, KernelGraph, NodeSpec
from sim.models.mig.placement import Reconfiguration
from sim.models.mig.profiles import profiles_of
from sim.protocol import (
    ANY_DEVICE,
    Arrival,
    DeviceChanged,
    Finished,
    Need,
    Partition,
    Run,
    Scale,
    Slot,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
)
from tests.sim.engine.by_script import GPU, function, play

PROFILES = profiles_of("a100-80")
A100 = replace(GPU, device=replace(GPU.device, memory_bytes=80 << 30, mig="a100-80"), n_multiprocessors=108)
CREATE_S = Reconfiguration().create_s
WHOLE = Slot(0, 80 << 30)


def wide():
    """Four kernels of as many blocks as the whole device has multiprocessors: 0.25 s each there."""
    its = function(0)
    kernels = tuple(replace(kernel, grid=(108, 1, 1)) for kernel in its.graph.kernels)
    return replace(its, graph=KernelGraph("wide", kernels, its.graph.buffers))


def slot(number, profile):
    return Slot(number, PROFILES[profile].memory_bytes, profile)


def partitioned(directory, answers, arrivals, **more):
    needs = {Need.PARTITIONS, Need.SHARED_DEVICES}
    return play(directory, answers, arrivals, [wide()], needs=needs, gpu=A100, **more)


def near(told):
    """Instants without what is lost in sums of thirds."""
    return [(pytest.approx(at_s, abs=1e-9), event) for at_s, event in told]


def test_a_device_becomes_instances_with_slots_of_their_own(tmp_path):
    """14 and 28 multiprocessors of 108: 8 and 4 waves instead of one, each 0.25 s for each of 4 kernels."""
    slots = (slot(1, "1g.10gb"), slot(2, "2g.20gb"))
    answers = [
        (Arrival(1, 0), [Partition(0, ("1g.10gb", "2g.20gb"))]),
        (DeviceChanged(0, slots), [Start(0, 1, 0), Start(1, 2, 0), Run(0, 0), Run(1, 1)]),
    ]
    told = partitioned(tmp_path, answers, [(1.0, 0), (1.0, 0)])
    there_s = 1.0 + 2 * CREATE_S
    assert told.after(1.0) == near([
        (there_s, DeviceChanged(0, slots)), (there_s + 0.5, WorkerReady(0, 1)), (there_s + 0.5, WorkerReady(1, 2)),
        (there_s + 4.5, Finished(1, 1)), (there_s + 8.5, Finished(0, 0)),
    ])  # fmt: skip
    assert list(told.run.table("workers").device) == [0, 0]
    assert set(told.run.table("devices").device) == {0}


@pytest.mark.parametrize(("profile", "waves"), [("1g.10gb", 8), ("2g.20gb", 4), ("3g.40gb", 3), ("4g.40gb", 2)])
@pytest.mark.parametrize("sharing", ["mps", "turns", "slices[length=0]"])
def test_an_instance_is_slower_by_the_waves_of_its_multiprocessors(tmp_path, profile, waves, sharing):
    answers = [(Arrival(0, 0), [Partition(0, (profile,)), Start(0, ANY_DEVICE, 0), Run(0, 0)])]
    told = partitioned(tmp_path, answers, [(1.0, 0)], sharing=sharing)
    assert told.log[-1] == (pytest.approx(1.0 + CREATE_S + 0.5 + waves), Finished(0, 0))


def test_workers_share_an_instance_and_its_memory_is_their_room(tmp_path):
    half = PROFILES["1g.10gb"].memory_bytes // 2
    starts = [Start(worker, ANY_DEVICE, 0, memory_bytes=half) for worker in range(3)]
    answers = [(Arrival(1, 0), [Partition(0, ("1g.10gb",)), *starts, Run(0, 0), Run(1, 1), Stop(0)])]
    told = partitioned(tmp_path, answers, [(1.0, 0), (1.0, 0)], sharing="slices[length=0]")
    ready_s = 1.0 + CREATE_S + 0.5
    assert told.after(2.0) == near([
        (ready_s, WorkerReady(0, 1)), (ready_s, WorkerReady(1, 1)), (ready_s + 16.0, Finished(0, 0)),
        (ready_s + 16.0, Finished(1, 1)), (ready_s + 16.0, WorkerStopped(0)), (ready_s + 16.5, WorkerReady(2, 1)),
    ])  # fmt: skip


def test_it_becomes_whole_again_and_instances_that_stay_take_no_time(tmp_path):
    one, two = (slot(1, "2g.20gb"),), (slot(1, "2g.20gb"), slot(2, "1g.10gb"))
    answers = [
        (Arrival(0, 0), [Partition(0, ("2g.20gb",))]),
        (DeviceChanged(0, one), [Partition(0, ("2g.20gb", "1g.10gb"))]),
        (DeviceChanged(0, two), [Partition(0, ())]),
        (DeviceChanged(0, (WHOLE,)), [Start(0, 0, 0), Run(0, 0)]),
    ]
    told = partitioned(tmp_path, answers, [(1.0, 0)])
    assert told.after(1.0) == near([
        (1.0 + CREATE_S, DeviceChanged(0, one)), (1.0 + 2 * CREATE_S, DeviceChanged(0, two)),
        (1.0 + 4 * CREATE_S, DeviceChanged(0, (WHOLE,))), (1.5 + 4 * CREATE_S, WorkerReady(0, 0)),
        (2.5 + 4 * CREATE_S, Finished(0, 0)),
    ])  # fmt: skip


def test_no_worker_gets_an_instance_that_is_gone(tmp_path):
    answers = [
        (Arrival(0, 0), [Partition(0, ("7g.80gb",))]),
        (DeviceChanged(0, (slot(1, "7g.80gb"),)), [Partition(0, ()), Start(0, ANY_DEVICE, 0), Run(0, 0)]),
    ]
    told = partitioned(tmp_path, answers, [(1.0, 0)])
    assert told.after(1.0)[2:] == near([(1.5 + 2 * CREATE_S, WorkerReady(0, 0)), (2.5 + 2 * CREATE_S, Finished(0, 0))])


# Nodes that come and go

NODES = FleetSpec.of_nodes([NodeSpec(GPU.spec, 1), NodeSpec(GPU.spec, 2, standby=True)], node_start_s=2.0)


def scaled(directory, answers, arrivals, fleet=NODES, gpu=GPU, needs=frozenset({Need.SCALING})):
    its = {name: getattr(fleet, name) for name in ("gpus_per_node", "mixed", "node_start_s")}
    return play(directory, answers, arrivals, needs=needs, gpus=fleet.n_gpus, gpu=gpu, **its)


def test_a_node_comes_after_its_start_and_who_waits_for_any_device_gets_it(tmp_path):
    starts = [Start(worker, ANY_DEVICE, 0) for worker in range(3)]
    answers = [(Arrival(2, 0), [*starts, *(Run(i, i) for i in range(3)), Scale(1, up=True)])]
    told = scaled(tmp_path, answers, [(1.0, 0)] * 3)
    assert told.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (2.5, Finished(0, 0)), (3.0, DeviceChanged(1, (Slot(1, 1000),))),
        (3.0, DeviceChanged(2, (Slot(2, 1000),))), (3.5, WorkerReady(1, 1)), (3.5, WorkerReady(2, 2)),
        (4.5, Finished(1, 1)), (4.5, Finished(2, 2)),
    ]  # fmt: skip


def test_a_node_that_goes_is_gone_at_once_and_can_come_again(tmp_path):
    answers = [
        (Arrival(0, 0), [Scale(0, up=False), Start(0, ANY_DEVICE, 0), Run(0, 0)]),
        (DeviceChanged(0, ()), [Scale(0, up=True)]),
    ]
    told = scaled(tmp_path, answers, [(1.0, 0)])
    assert told.after(0.0)[1:] == [
        (1.0, DeviceChanged(0, ())), (3.0, DeviceChanged(0, (Slot(0, 1000),))), (3.5, WorkerReady(0, 0)),
        (4.5, Finished(0, 0)),
    ]  # fmt: skip


def test_a_node_comes_back_without_instances(tmp_path):
    fleet = FleetSpec.of_nodes([NodeSpec(A100.spec, 1)], node_start_s=2.0)
    parts = (slot(1, "7g.80gb"),)
    answers = [
        (Arrival(0, 0), [Partition(0, ("7g.80gb",))]),
        (DeviceChanged(0, parts), [Scale(0, up=False)]),
        (DeviceChanged(0, ()), [Scale(0, up=True)]),
        (DeviceChanged(0, (WHOLE,)), [Start(0, 0, 0), Run(0, 0)]),
    ]
    told = scaled(tmp_path, answers, [(1.0, 0)], fleet, A100, {Need.SCALING, Need.PARTITIONS})
    gone_s = 1.0 + CREATE_S
    assert told.after(1.0) == near([
        (gone_s, DeviceChanged(0, parts)), (gone_s, DeviceChanged(0, ())), (gone_s + 2.0, DeviceChanged(0, (WHOLE,))),
        (gone_s + 2.5, WorkerReady(0, 0)), (gone_s + 3.5, Finished(0, 0)),
    ])  # fmt: skip
