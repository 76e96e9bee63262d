"""The simulated world: SimPy carries out the dispatcher's actions. Only this package imports simpy."""

from sim.engine.simulation import simulate

__all__ = ["simulate"]
