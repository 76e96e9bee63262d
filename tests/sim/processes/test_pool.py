"""Processes may die, and nothing is lost or done twice without need."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sim.processes.pool import MOST_DEATHS, in_processes


def work(task):
    """Leaves a mark for each time that it is begun, and dies when it is told to, so many times."""
    folder, name, n_deaths = task
    marks = Path(folder, name)
    with marks.open("a") as file:
        file.write("x")
    if marks.stat().st_size <= n_deaths:
        os._exit(9)
    if name.startswith("slow"):
        time.sleep(60)
    return f"{name} by {os.getpid()}"


def run(tmp_path, jobs, *tasks, stopping=lambda: False):
    tasks = [(str(tmp_path), name, n_deaths) for name, n_deaths in tasks]
    return {task[1]: result for task, result in in_processes(work, tasks, jobs, stopping)}


def begun(tmp_path):
    return {file.name: file.stat().st_size for file in tmp_path.iterdir()}


def test_a_task_whose_process_dies_is_begun_again_and_the_others_are_not(tmp_path):
    results = run(tmp_path, 2, ("a", 0), ("b", 1), ("c", 0), ("d", MOST_DEATHS), ("e", 0))
    assert begun(tmp_path) == {"a": 1, "b": 2, "c": 1, "d": MOST_DEATHS, "e": 1}
    assert all(results[name].startswith(f"{name} by ") for name in "abce")
    assert "process died" in results["d"]


def test_a_process_does_one_task_after_another(tmp_path):
    results = run(tmp_path, 1, ("a", 0), ("b", 0), ("c", 0))
    assert len({text.split()[-1] for text in results.values()}) == 1


def test_told_to_stop_it_waits_for_nobody(tmp_path):
    results = run(tmp_path, 2, ("slow", 0), ("a", 0), stopping=lambda: begun(tmp_path).get("slow", 0) > 0)
    assert "slow" not in results
    assert run(tmp_path, 2) == {}
