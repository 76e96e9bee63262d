"""From measurements to the numbers of the simulator, and back: probe, calibrate, validate."""
