"""Fair queueing: bounds between functions that always wait, virtual time, and the window, by hand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.policies.largest import Largest
from sim.protocol import Arrival, Finished, Run
from tests.contract.scripted import ScriptedWorld

Quarters = st.integers(1, 12).map(lambda n: n / 4)


def backlogged(policy, n_gpus, run_s, n_each):
    """The log of a run in which ``n_each`` invocations of every function wait from the beginning."""
    script = [(0.0, function, run_s[function]) for _ in range(n_each) for function in range(len(run_s))]
    world = ScriptedWorld(make_policy(policy), n_gpus, script, len(run_s), expected_s=run_s).run()
    return world.log, [function for _, function, _ in script]


def order(log):
    return [action.invocation for _, _, actions in log for action in actions]


def most_apart(amounts, one, other):
    """By how much one got more than the other in any interval, at most; ``amounts``: (function, how much) in order."""
    apart = least = most = 0.0
    for function, amount in amounts:
        apart += amount * ((function == one) - (function == other))
        yield max(apart - least, most - apart)
        least, most = min(least, apart), max(most, apart)


def while_all_wait(log, function, n_functions, n_each):
    """The orders of a log as long as every function has something queued."""
    left = [n_each] * n_functions
    for invocation in order(log)[:]:
        left[function[invocation]] -= 1
        if not all(left):
            return
        yield invocation


CHOICES = [
    "mqfq[overrun={T},service={s}]", "mqfq[overrun={T},service={s},choice=same,d=2]",
    "mqfq[overrun={T},service={s},choice=least]", "mqfq-sticky[overrun={T},service={s},select=0]",
    "mqfq-sticky[overrun={T},service={s}]",
]  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
@given(st.integers(1, 4), st.lists(Quarters, min_size=2, max_size=4), st.sampled_from([0.0, 1.0, 2.5, 10.0]), Quarters)
def test_what_is_begun_of_two_functions_differs_by_two_windows_and_two_services(
    choice, n_gpus, run_s, overrun, service
):
    log, function = backlogged(choice.format(T=overrun, s=service), n_gpus, run_s, 30)
    begun = [(function[i], service) for i in while_all_wait(log, function, len(run_s), 30)]
    for one, other in combinations(range(len(run_s)), 2):
        assert max(most_apart(begun, one, other), default=0.0) <= 2 * overrun + 2 * service


@given(st.integers(1, 4), st.lists(Quarters, min_size=2, max_size=4), st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_weighted_shares_differ_by_the_bound_of_sfq(n_gpus, run_s, weight):
    """(D + 1) (l_i / w_i + l_j / w_j) of what is completed (Jin, Chase and Kaur, SIGMETRICS 2004)."""
    log, function = backlogged(f"wfq[favoured=1,weight={weight}]", n_gpus, run_s, 30)
    length = [run_s[0] / weight, *run_s[1:]]
    waiting = {*while_all_wait(log, function, len(run_s), 30)}
    done = [event.invocation for _, event, _ in log if isinstance(event, Finished) and event.invocation in waiting]
    shares = [(function[i], length[function[i]]) for i in done]
    for one, other in combinations(range(len(run_s)), 2):
        bound = (n_gpus + 1) * (length[one] + length[other])
        assert max(most_apart(shares, one, other), default=0.0) <= bound


def test_a_favoured_function_gets_its_weight():
    log, function = backlogged("wfq[favoured=1,weight=3]", 1, [1.0, 1.0], 40)
    first = [function[i] for i in order(log)[:40]]
    assert first.count(0) == 30


def by_hand(policy, script, n_gpus=1):
    world = ScriptedWorld(make_policy(policy), n_gpus, script, 4).run()
    return "".join(str(script[i][1]) for i in order(world.log))


def test_the_warm_flow_runs_ahead_until_it_is_throttled():
    """0 has the tags 0, 1 and 2; then 3 > 0 + 2, and 1 is chosen and held, until 6 > 3 + 2."""
    script = [(0.0, 3, 1.0)] + [(0.0, 0, 1.0)] * 8 + [(0.0, 1, 1.0)] * 8
    assert by_hand("mqfq[overrun=2,service=1,held=1]", script) == "3" + "000" + "111111" + "00000" + "11"


def test_without_a_window_flows_take_turns_and_the_same_goes_on_only_in_a_tie():
    script = [(0.0, 3, 1.0)] + [(0.0, 0, 1.0)] * 4 + [(0.0, 1, 1.0)] * 4
    for choice, turns in (("warm", "01010101"), ("least", "01010101"), ("same", "01100110")):
        assert by_hand(f"mqfq[overrun=0,service=1,choice={choice}]", script) == "3" + turns


@pytest.mark.parametrize("choice", ["warm", "same"])
def test_a_flow_at_the_very_end_of_the_window_may_run(choice):
    """The second of 0 has the tag 1 = 0 + overrun."""
    script = [(0.0, 3, 1.0)] + [(0.0, 0, 1.0)] * 3 + [(0.0, 1, 1.0)] * 3
    assert by_hand(f"mqfq[overrun=1,service=1,choice={choice},held=1]", script)[:4] == "3001"


def test_virtual_time_stays_when_all_is_done():
    """Flow 0 had the tags 0 to 4; the tags of 1, which comes later, begin at 4 and not at 0, so that 1 catches up with
    one at most."""
    script = [(float(i), 0, 1.0) for i in range(5)] + [(9.0, 1, 1.0)] * 3 + [(9.0, 0, 1.0)] * 3
    assert by_hand("mqfq[overrun=0,service=1]", script) == "00000" + "101010"


def test_a_service_that_was_never_measured_is_a_tenth_of_the_window_and_then_the_mean():
    """Of 0 two are measured, 1 and 3 s; what comes then has tags 2 s apart, and those of 1, unmeasured, 0.5 s."""
    script = [(0.0, 0, 1.0), (2.0, 0, 3.0)] + [(10.0, 0, 1.0)] * 3 + [(10.0, 1, 1.0)] * 6
    # 0 has the tags 0 and 0.5 at first; its finish tag is then 0.5 + 1, the mean so far. At 10 it gets 1.5, which is
    # begun at once, 3.5 and 5.5. Virtual time is 3.5 when 1 comes, which gets 3.5, 4, 4.5, 5, 5.5 and 6.
    assert by_hand("mqfq[overrun=5,choice=least]", script) == "00" + "0" + "0" + "1111" + "0" + "11"


def test_an_executor_is_given_as_many_as_it_has_tokens():
    policy = make_policy("mqfq-sticky")
    world = ScriptedWorld(policy, 1, [(0.0, 0, 1.0)] * 3, 1)
    orders = [list(world.dispatcher.report(0.0, Arrival(i, 0))) for i in range(3)]
    assert orders == [[Run(0, 0)], [Run(1, 0)], []]
    assert world.dispatcher.report(1.0, Finished(0, 0)) == [Run(2, 0)]


def test_sticky_takes_the_fewest_in_flight_of_the_deepest_then_the_longest_queue():
    #        0 and 0 are with the executor; then 1 has three queued, 2 two, 0 four: 1, for it is the longer of the idle
    script = [(0.0, 0, 1.0)] * 6 + [(0.0, 2, 1.0)] * 2 + [(0.0, 1, 1.0)] * 3
    assert by_hand("mqfq-sticky[overrun=100,service=1]", script)[:3] == "001"
    # Of the two with the greatest finish tags, 0 and 1 have 6 and 3; 2 is left out though it has none in flight.
    assert "2" not in by_hand("mqfq-sticky[overrun=100,service=1,select=2]", script)[:8]


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), st.integers(0, 9))), max_size=60))
def test_the_largest_are_the_first_of_all_sorted(k, changes):
    told, numbers = set(), {}
    largest = Largest(k, lambda thing, chosen: (told.add if chosen else told.remove)(thing))
    for thing, number in changes:
        if number is None:
            numbers.pop(thing, None)
            largest.drop(thing)
        else:
            numbers[thing] = number
            largest.put(thing, number)
        expected = set(sorted(numbers, key=lambda it: (-numbers[it], it))[:k])
        assert told == expected == {it for it in range(8) if it in largest}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mqfq[overrun=-1]", "overrun is -1.0, must be at least 0"),
        ("mqfq[overrun=inf]", "overrun is inf, must be at least 0 and finite"),
        ("mqfq[service=-1]", "service is -1.0, must be at least 0"),
        ("mqfq[d=0]", "d is 0, must be at least 1"),
        ("mqfq[held=0]", "held is 0, must be at least 1"),
        ("mqfq[choice=any]", "choice is 'any', must be one of warm, least, same"),
        ("mqfq-sticky[select=-1]", "select is -1, must be at least 0"),
        ("wfq[weight=0]", "weight is 0.0, must be above 0"),
        ("wfq[favoured=-1]", "favoured is -1, must be at least 0"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_rule(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_policy(text)
