"""The named errors of the project: every mistake that a user can make ends in one of these.

The commands print them as one sentence, without a traceback, and exit 2.
"""


class ProjectError(Exception):
    """Base of all errors that are meant to be read by a user.

    The message quotes the offending value, where it stands (file, row, column or key) and the rule it breaks.
    """


class TraceError(ProjectError):
    """A trace file that can't be read as what it claims to be."""


class ScenarioError(ProjectError):
    """A scenario, flag, policy parameter, catalogue or calibration that makes no sense."""


class RunError(ProjectError):
    """A run directory that can't be read, or a run that can't be done."""


class OutputError(ProjectError):
    """A place that can't be written to: taken, not ours to replace, or refused by the disk."""


class PolicyError(ProjectError):
    """A policy ordered something impossible; the message tells the story."""
