"""Which instances fit, against a brute force that knows only the starts; and what changing them takes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.models.mig.placement import Instance, Reconfiguration, fit
from sim.models.mig.profiles import N_COMPUTE_SLICES, N_MEMORY_SLICES, TABLES, profiles_of, table_of

GPUS = sorted(TABLES)
A100 = table_of("a100-80")


def some_way(profiles):
    """Whether any choice of starts gives no memory slice to two instances, and no profile more than it may have."""
    if any(n > profile.at_most for profile, n in Counter(profiles).items()):
        return False
    for starts in product(*(profile.starts for profile in profiles)):
        taken = [s for p, start in zip(profiles, starts, strict=True) for s in range(start, start + p.memory_slices)]
        if len(taken) == len(set(taken)):
            return True
    return False


@pytest.mark.parametrize("gpu", GPUS)
@given(data=st.data())
def test_instances_fit_where_brute_force_finds_a_way(gpu, data):
    table = table_of(gpu)
    wanted = data.draw(st.lists(st.sampled_from(sorted(table.profiles)), max_size=5))
    try:
        instances = fit(table, wanted)
    except ScenarioError:
        assert not some_way([table[name] for name in wanted])
        return
    assert [instance.profile.name for instance in instances] == wanted
    assert all(instance.start in instance.profile.starts for instance in instances)
    slices = [s for instance in instances for s in instance.memory_slices]
    assert len(slices) == len(set(slices))
    assert set(slices) <= set(range(N_MEMORY_SLICES))
    assert fit(table, wanted) == instances


@pytest.mark.parametrize("gpu", GPUS)
def test_no_set_without_overlap_takes_more_compute_or_more_of_a_profile_than_there_is(gpu):
    every = [Instance(p, start) for p in profiles_of(gpu).values() if not p.name.endswith("+me") for start in p.starts]
    sets = [()]
    for instance in every:
        sets += [
            (*its, instance) for its in sets if not any({*i.memory_slices} & {*instance.memory_slices} for i in its)
        ]
    assert len(sets) > 100
    for its in sets:
        assert sum(instance.profile.compute_slices for instance in its) <= N_COMPUTE_SLICES
    for profile in profiles_of(gpu).values():
        if not profile.name.endswith("+me"):
            assert max(sum(i.profile is profile for i in its) for its in sets) == profile.at_most


@pytest.mark.parametrize(
    ("fits", "wanted"),
    [
        (True, "7g.80gb"),
        (True, "4g.40gb 3g.40gb"),
        (True, "3g.40gb 4g.40gb"),
        (True, "3g.40gb 3g.40gb"),
        (True, "4g.40gb 2g.20gb 1g.10gb"),
        (True, "1g.10gb 1g.10gb 3g.40gb 2g.20gb"),
        (True, "2g.20gb 2g.20gb 2g.20gb 1g.20gb"),
        (True, "1g.10gb " * 7),
        (True, "1g.10gb+me " + "1g.10gb " * 6),
        (True, ""),
        (False, "4g.40gb 4g.40gb"),
        (False, "4g.40gb 2g.20gb 2g.20gb"),
        (False, "3g.40gb 3g.40gb 1g.10gb"),
        (False, "1g.10gb " * 8),
        (False, "1g.10gb+me 1g.10gb+me"),
        (False, "7g.80gb 1g.10gb"),
    ],
)
def test_sets_that_are_known(fits, wanted):
    if fits:
        assert len(fit(A100, wanted.split())) == len(wanted.split())
    else:
        with pytest.raises(ScenarioError, match="a100-80: "):
            fit(A100, wanted.split())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["5g.40gb"], "unknown MIG profile of a100-80 '5g.40gb', did you mean '4g.40gb'? Known are 7g.80gb, 4g.40gb, "),
        (["4g.40gb"] * 2, "a100-80: 2 instances of 4g.40gb are wanted, it holds at most 1"),
        (["3g.40gb", "3g.40gb", "1g.10gb"], "3g.40gb, 3g.40gb, 1g.10gb take 9 memory slices, it has 8"),
        (
            ["2g.20gb", "4g.40gb", "2g.20gb"],
            "2g.20gb, 4g.40gb, 2g.20gb don't fit together, as instances begin only at certain memory slices: "
            "2g.20gb at 0 or 2 or 4, 4g.40gb at 0",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(wanted, said):
    with pytest.raises(ScenarioError) as error:
        fit(A100, wanted)
    assert said in str(error.value)


def test_a_gpu_without_a_table_is_refused():
    with pytest.raises(ScenarioError, match="unknown GPU with MIG 'v100'; known are a100-40, a100-80, h100-80"):
        profiles_of("v100")


@pytest.mark.parametrize("gpu", GPUS)
def test_shares_add_up_to_no_more_than_the_gpu(gpu):
    whole = next(iter(profiles_of(gpu).values()))
    assert whole.bandwidth_frac == 1
    assert whole.compute_frac <= 1
    for profile in profiles_of(gpu).values():
        assert profile.at_most * profile.compute_frac <= whole.compute_frac + 1e-9
        assert profile.at_most * profile.bandwidth_frac <= 1
        assert profile.at_most * profile.memory_bytes <= whole.memory_bytes


def test_larger_instances_have_more_of_everything():
    for gpu in GPUS:
        for a, b in combinations(profiles_of(gpu).values(), 2):
            for facts in ("compute_slices", "memory_slices", "memory_bytes", "n_sms", "compute_frac", "bandwidth_frac"):
                assert getattr(a, facts) >= getattr(b, facts)


def test_only_instances_that_change_take_time():
    takes_s = Reconfiguration(create_s=2.0, destroy_s=3.0).takes_s
    two = fit(A100, ["3g.40gb", "4g.40gb"])
    four = fit(A100, ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"])
    assert two[0] == four[0]
    assert takes_s((), two) == 2 * 2.0
    assert takes_s(two, two) == 0
    assert takes_s(two, tuple(reversed(two))) == 0
    assert takes_s(two, four) == 3.0 + 3 * 2.0
    assert takes_s(four, ()) == 4 * 3.0
    moved = Instance(A100["3g.40gb"], 0)
    assert takes_s([moved], [Instance(A100["3g.40gb"], 4)]) == 3.0 + 2.0
