"""Errors of the replay that are meant to be read by a user."""

from sim.errors import ProjectError


class ReplayError(ProjectError):
    """The replay can't do what was asked."""


class DeviceError(ReplayError):
    """A device, or the software that drives it, is missing; the message says which and how to get it."""


class LibraryError(ReplayError):
    """A function of a library fails on a device that works otherwise."""


class KernelError(ReplayError):
    """A kernel source that doesn't compile, or a launch that doesn't fit its kernel."""
