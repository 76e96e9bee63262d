"""Which mode fits which policy and machine, and what is said where it can't be had."""

from __future__ import annotations

import sys
from enum import IntEnum
from types import ModuleType, SimpleNamespace

import pytest

from replay.device import green, mps
from replay.errors import DeviceError, ReplayError
from replay.fleet import worker_main
from replay.fleet.messages import EXECUTOR, Assignment
from replay.fleet.modes import MODES, check_mode, check_needs, check_standing, modes_of
from sim.domain import WorkerKind
from sim.policies import make_policy
from sim.protocol import Need, Standing
from tests.contract.policies import Script


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without MPS: call with what it has of it. Returns the folder of the pipes."""

    def make(*, command=False, daemon=False):
        commands, pipes = tmp_path / "bin", tmp_path / "pipes"
        commands.mkdir()
        pipes.mkdir()
        if command:
            (commands / mps.COMMAND).touch(mode=0o755)
        if daemon:
            (pipes / "control").touch()
        monkeypatch.setenv("PATH", str(commands))
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipes))
        return pipes

    return make


def test_a_daemon_is_started_where_none_runs_and_quits_afterwards(machine):
    pipes = machine()
    command = pipes.parent / "bin" / mps.COMMAND
    control = pipes / "control"
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = -d ]; then : > {control}; else read word; echo "$word" > {pipes}/said; fi\n'
    )
    command.chmod(0o755)
    with mps.running():
        assert control.exists()
        with mps.running():
            pass
        assert not (pipes / "said").exists(), "one that runs already is not ours to end"
    assert (pipes / "said").read_text() == "quit\n"


def test_a_daemon_that_does_not_start_is_told(machine):
    pipes = machine()
    command = pipes.parent / "bin" / mps.COMMAND
    command.write_text("#!/bin/sh\necho 'Cannot find MPS' >&2\nexit 1\n")
    command.chmod(0o755)
    with pytest.raises(DeviceError, match=f"'{mps.COMMAND} -d' fails \\(Cannot find MPS\\)$"), mps.running():
        pass


def test_without_the_command_there_is_no_daemon_to_start(machine):
    machine()
    with pytest.raises(DeviceError, match=f"the command {mps.COMMAND} isn't there"), mps.running():
        pass
    with mps.running(needed=False):
        pass


CARRIED = {"timers", "shared devices", "executors", "latest start"}
EXECUTORS = [Standing(0)]
PROCESSES = [Standing(0, 0), Standing(1, 1)]
SHARES = [Standing(0, 0, 0.5, 1 << 20), Standing(0, 1, 0.5, 1 << 20)]
PARTS = [Standing(0, 0, memory_bytes=1 << 20)]


def ordering(*needs, workers=(WorkerKind.EXCLUSIVE,)):
    """A policy that needs to order this."""
    policy = Script([])
    policy.needs, policy.workers = frozenset(needs), workers
    return policy


def test_the_mode_follows_from_what_a_policy_orders_whatever_its_class():
    kaas, processes = ordering(Need.TIMERS, Need.EXECUTORS, workers=(WorkerKind.KAAS,)), ordering()
    fitting = {
        modes_of(kaas, EXECUTORS), modes_of(kaas, []), modes_of(processes, []), modes_of(processes, PROCESSES),
        modes_of(processes, SHARES), modes_of(processes, PARTS), modes_of(ordering(Need.SHARED_DEVICES), PROCESSES),
        modes_of(ordering(Need.SHARED_DEVICES, workers=(WorkerKind.KAAS,)), EXECUTORS),
    }  # fmt: skip
    assert fitting == {
        ("kaas",), ("exclusive",), ("static", "fractional", "green"), ("fractional", "green"), ("shared",),
    }  # fmt: skip
    assert {mode for modes in fitting for mode in modes} == set(MODES)


@pytest.mark.parametrize("need", [need for need in Need if need.value not in CARRIED])
def test_what_no_replay_can_carry_is_refused_by_its_name(need):
    message = f"^script needs {need.value}, which no mode of a replay can carry; of what policies may need, it carries "
    with pytest.raises(ReplayError, match=message):
        check_needs(ordering(need, Need.TIMERS))


def test_what_a_replay_can_carry_is_not_refused():
    check_needs(ordering(*(need for need in Need if need.value in CARRIED)))


def test_workers_that_turn_out_to_be_of_another_mode_are_refused():
    check_standing("fractional", ordering(), PROCESSES)
    with pytest.raises(ReplayError, match=r"^script begins with workers of the mode 'fractional' or 'green', which "):
        check_standing("static", ordering(), SHARES)


def test_the_mode_must_fit_the_policy():
    affinity, exclusive, static = (make_policy(name) for name in ("affinity", "exclusive", "static"))
    assert check_mode(None, affinity, EXECUTORS, "cpu") == "kaas"
    assert check_mode("exclusive", exclusive, [], "cpu") == "exclusive"
    assert check_mode("static", static, PROCESSES, "cuda:0") == "static"
    assert check_mode("green", static, PROCESSES, "cuda:0") == "green"
    assert check_mode("green", make_policy("fractional"), SHARES, "cuda:0") == "green"
    with pytest.raises(
        ReplayError, match=r"^mode 'exclusive' does not fit affinity.*, which is .* of the mode 'kaas'$"
    ):
        check_mode("exclusive", affinity, EXECUTORS, "cpu")
    with pytest.raises(ReplayError, match=r"which is for workers of the mode 'fractional' or 'green'$"):
        check_mode("static", make_policy("fractional"), SHARES, "cpu")
    with pytest.raises(ReplayError, match=r"^unknown mode 'fast'; known are kaas, exclusive, static, "):
        check_mode("fast", affinity, EXECUTORS, "cpu")


def test_a_cpu_has_nothing_to_share():
    message = "^mode 'fractional' needs an NVIDIA GPU, which MPS can share; the device is 'cpu'$"
    with pytest.raises(ReplayError, match=message):
        check_mode(None, make_policy("fractional"), SHARES, "cpu")
    message = "^mode 'green' needs an NVIDIA GPU, which green contexts can share; the device is 'cpu'$"
    with pytest.raises(ReplayError, match=message):
        check_mode("green", make_policy("fractional"), SHARES, "cpu")


def test_without_mps_the_command_is_named(machine):
    machine()
    message = (
        "^mode 'fractional' needs MPS: the command nvidia-cuda-mps-control isn't there, which comes with the NVIDIA "
        "driver$"
    )
    with pytest.raises(DeviceError, match=message):
        check_mode(None, make_policy("fractional"), SHARES, "cuda:0")


def test_without_a_daemon_the_way_to_start_it_is_told(machine):
    pipes = machine(command=True)
    message = (
        f"^mode 'fractional' needs MPS: no control daemon runs, for there is no {pipes}/control; start one by "
        "'nvidia-cuda-mps-control -d', or let CUDA_MPS_PIPE_DIRECTORY name the folder of one$"
    )
    with pytest.raises(DeviceError, match=message):
        check_mode(None, make_policy("fractional"), SHARES, "cuda:0")


def test_a_daemon_of_which_there_is_only_the_pipe_will_do(machine):
    machine(daemon=True)
    assert check_mode(None, make_policy("fractional"), SHARES, "cuda:0") == "fractional"


# Green contexts


class Status(IntEnum):
    """Some of CUresult."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_NOT_SUPPORTED = 801


@pytest.fixture
def bindings(monkeypatch):
    """Stands for cuda.bindings: call with what its driver has; returns the driver, whose ``calls`` are kept."""

    def install(*, n_sms=132, group=8, version=12080, fails=None):
        driver = ModuleType("cuda.bindings.driver")
        driver.calls = []
        driver.CUdevResourceType = SimpleNamespace(CU_DEV_RESOURCE_TYPE_SM="SMs")
        driver.CUgreenCtxCreate_flags = SimpleNamespace(CU_GREEN_CTX_DEFAULT_STREAM="default stream")

        def resource(n):
            return SimpleNamespace(sm=SimpleNamespace(smCount=n))

        def split(n_groups, whole, flags, n_least):
            n = -(-n_least // group) * group
            return [resource(n)] * n_groups, n_groups, resource(whole.sm.smCount - n)

        answers = {
            "cuDriverGetVersion": lambda: (version,),
            "cuDeviceGet": lambda ordinal: (f"device {ordinal}",),
            "cuDeviceGetDevResource": lambda device, kind: (resource(n_sms),),
            "cuDevSmResourceSplitByCount": split,
            "cuDevResourceGenerateDesc": lambda parts, n: (("description", *[p.sm.smCount for p in parts[:n]]),),
            "cuGreenCtxCreate": lambda description, device, flags: (("green", description, device, flags),),
            "cuCtxFromGreenCtx": lambda green: (("context", green),),
            "cuCtxSetCurrent": lambda context: (),
        }

        def function(name):
            def call(*arguments):
                driver.calls.append((name, *arguments))
                if name == fails:
                    return (Status.CUDA_ERROR_NOT_SUPPORTED, *[None] * len(answers[name](*arguments)))
                return (Status.CUDA_SUCCESS, *answers[name](*arguments))

            call.__name__ = name
            return call

        for name in answers:
            setattr(driver, name, function(name))
        packages = {"cuda": ModuleType("cuda"), "cuda.bindings": ModuleType("cuda.bindings")}
        packages["cuda.bindings"].driver = driver
        for name, module in {**packages, "cuda.bindings.driver": driver}.items():
            monkeypatch.setitem(sys.modules, name, module)
        return driver

    return install


@pytest.mark.parametrize(
    ("share", "n_sms", "group", "given"),
    [(1 / 8, 132, 8, 16), (2 / 8, 132, 8, 32), (4 / 8, 132, 8, 64), (1 / 8, 80, 2, 10), (1 / 8, 56, 8, 8)],
)
def test_a_green_context_has_no_more_than_its_share_but_a_group(bindings, share, n_sms, group, given):
    driver = bindings(n_sms=n_sms, group=group)
    assert green.enter(3, share) == given
    description = ("description", given)
    made = ("green", description, "device 3", "default stream")
    assert driver.calls[-1] == ("cuCtxSetCurrent", ("context", made)), "the context isn't current"


def test_without_bindings_green_contexts_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", None)
    message = r"^mode 'green' needs cuda\.bindings, which can't be imported \(.*\); pip install cuda-bindings$"
    with pytest.raises(DeviceError, match=message):
        green.enter(0, 0.5)


def test_an_old_driver_has_no_green_contexts(bindings):
    bindings(version=12020)
    message = "^mode 'green' needs an NVIDIA driver for CUDA 12.4 or newer, 550 or higher; this one is for CUDA 12.2$"
    with pytest.raises(DeviceError, match=message):
        green.enter(0, 0.5)


@pytest.mark.parametrize("name", ["cuDeviceGetDevResource", "cuDevSmResourceSplitByCount", "cuCtxSetCurrent"])
def test_a_green_context_that_fails_says_where(bindings, name):
    bindings(fails=name)
    with pytest.raises(DeviceError, match=f"^mode 'green': {name} fails with CUDA_ERROR_NOT_SUPPORTED$"):
        green.enter(0, 0.5)


@pytest.mark.parametrize(("share", "usable"), [(0.25, 32), (1.0, 132)])
def test_a_worker_opens_its_gpu_and_then_a_green_context_for_a_part_of_it(bindings, monkeypatch, share, usable):
    driver = bindings()
    attributes = {"multiProcessorCount": 132}
    runtime = SimpleNamespace(getDevice=lambda: 0, getDeviceProperties=lambda device: attributes)

    def open_device(name):
        driver.calls.append(("open", name))
        return SimpleNamespace(runtime=runtime)

    monkeypatch.setattr("replay.device.cuda.open_device", open_device)
    assignment = Assignment("cuda:0", (), {}, EXECUTOR, mode="green", share=share)
    assert worker_main._open(assignment)[1] == usable
    assert driver.calls[0] == ("open", "cuda:0")
    assert ("cuCtxSetCurrent" in [name for name, *_ in driver.calls]) is (share < 1)
