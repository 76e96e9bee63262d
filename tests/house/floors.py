"""The floors, from the ground up: the one list that says who may import whom."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """Modules that belong together. names: a package with all in it that has no room of its own, or single modules.

    A top-level package as a name is its ``__init__.py`` alone: a new module beside it must be given a room.
    """

    names: tuple[str, ...]
    what: str

    @property
    def name(self) -> str:
        """The first of its names, by which others call it."""
        return self.names[0]


@dataclass(frozen=True)
class Floor:
    """Wings side by side that never import each other; each is a stack of storeys, and a storey a row of rooms.

    A module may import what is in its room, on a lower floor, and on a lower storey of its wing.
    """

    name: str
    wings: tuple[tuple[tuple[Room, ...], ...], ...]


def _room(names: str, what: str) -> Room:
    return Room(tuple(names.split()), what)


FLOORS = [
    Floor(
        "ground",
        (
            (
                (
                    _room(
                        "sim.errors sim sim.text sim.settings sim.schema sim.streams",
                        "errors, the text of messages, names with parameters, keys of a file, random streams",
                    ),
                ),
                (
                    _room("sim.files", "files that are read with suspicion and written whole or not at all"),
                    _room("sim.terminal.console sim.terminal sim.terminal.signals", "what all commands share"),
                    _room("sim.processes", "work in processes of this machine"),
                ),
            ),
        ),
    ),
    Floor("nouns", (((_room("sim.domain", "functions, kernel graphs, buffers, devices, fleets, traces"),),),)),
    Floor(
        "physics and protocol",
        (
            ((_room("sim.protocol", "events, actions, and what a policy sees"),),),
            ((_room("sim.models", "memory, sharing, start-up, costs and their calibration"),),),
            ((_room("sim.models.workloads", "the kernel graphs of the catalogues"),),),
            ((_room("sim.loads", "clients that make a load in place of a trace"),),),
        ),
    ),
    Floor(
        "brain",
        (
            ((_room("sim.policies", "one policy a file"),),),
            ((_room("sim.placement sim.firstfit", "who gets which device, when, the same in every world"),),),
            (
                (
                    _room(
                        "sim.dispatcher sim.orders sim.belief",
                        "what is believed of the fleet, and which orders are refused",
                    ),
                ),
            ),
            ((_room("sim.workload sim.binding sim.offered", "a trace bound to functions, and what load it offers"),),),
            ((_room("sim.scenario", "what to run, as a file or as options"),),),
        ),
    ),
    Floor("records", (((_room("sim.records", "tables, results, run directories, manifests, decision logs"),),),)),
    Floor(
        "worlds",
        (
            (
                (_room("sim.seam", "what an engine is given, and what comes out"),),
                (_room("sim.engine", "the simulated fleet, the only room with SimPy"),),
            ),
            (
                (_room("replay.errors replay", "errors of GPUs"),),
                (_room("replay.kernels", "CUDA sources, their arguments and checks"),),
                (_room("replay.device", "the seam to CUDA, and the CPU that stands in for a GPU"),),
                (_room("replay.executor", "kernel graphs and their memory on one GPU"),),
                (_room("replay.fleet", "processes that serve a trace on GPUs"),),
                (
                    _room("replay.calibration", "from measurements to the numbers of the simulator"),
                    _room("replay.run replay.session replay.steps", "one replay, or all that a visit to a GPU needs"),
                ),
                (_room("replay.trials", "single questions to a device, beside replays"),),
            ),
            (
                (
                    _room(
                        "traces.options traces traces.window traces.units traces.anomalies traces.llm_facts",
                        "windows, units, options of reading, and names of what is odd in a trace",
                    ),
                ),
                (_room("traces.files traces.formats", "tables in CSV and Parquet, archives, directories, formats"),),
                (_room("traces.arrivals traces.writer", "from rows to arrivals in order, and back into a file"),),
                (_room("traces.readers", "one public data set a file"),),
                (
                    _room("traces.open", "the list of formats, and the way in"),
                    _room("traces.synth", "traces made up after published statistics"),
                    _room("traces.sample", "a smaller trace that is like a large one"),
                    _room("traces.fetch", "public data sets, downloaded"),
                    _room("traces.inspect", "what is in a trace"),
                ),
            ),
            (
                (
                    _room(
                        "analysis.runs analysis analysis.labels analysis.metrics analysis.curves analysis.compare "
                        "analysis.hit_ratio analysis.palette",
                        "runs that are read, compared and named",
                    ),
                ),
                (
                    _room(
                        "analysis.dataset analysis.measures analysis.study_report",
                        "many runs as one table, what is measured in it, what a study asks for",
                    ),
                    _room("analysis.statistics", "intervals, comparisons, batches, warm-up: arrays in, numbers out"),
                ),
                (
                    _room(
                        "analysis.comparison analysis.pairs analysis.onerun analysis.verdicts",
                        "policies against a baseline: effect, interval and verdict",
                    ),
                    _room("analysis.series", "what figures of data sets draw, as tables"),
                ),
                (_room("analysis.spans", "what invocations and workers did when"),),
                (
                    _room("analysis.why analysis.account", "where the time of one invocation went"),
                    _room("analysis.timeline", "a run as a file that Perfetto opens"),
                ),
                (
                    _room("analysis.figures", "figures, the only room with matplotlib"),
                    _room("analysis.report", "one page about runs, to explore and to pass on"),
                ),
                (_room("analysis.paper", "the figures and tables that a study asks for"),),
                (_room("analysis.api", "tables, comparisons and figures for use from Python"),),
            ),
        ),
    ),
    Floor(
        "composition",
        (
            (
                (_room("sim.compose", "trace, policy, costs, engine and recorder put together"),),
                (_room("sim.cells", "a fleet divided by tenant, and its tables in one"),),
                (_room("sim.experiment", "a scenario: for each of its policies a run directory"),),
                (_room("sim.sweeps", "studies of many runs, in processes or on a cluster"),),
                (_room("sim.api", "simulations for use from Python"),),
            ),
        ),
    ),
    Floor("studies", (((_room("sim.studies", "all that is about one paper"),),),)),
    Floor(
        "commands",
        (
            (
                (
                    _room("replay.cli", "the replay command"),
                    _room("traces.cli", "the traces command"),
                    _room("analysis.cli", "the analyze command"),
                    _room("sim.studies.kaas.command sim.studies.mig.command", "simulate reproduce"),
                ),
                (_room("sim.cli", "the simulate command"),),
            ),
        ),
    ),
    Floor("door", (((_room("sim.terminal.start", "where the commands begin"),),),)),
]
