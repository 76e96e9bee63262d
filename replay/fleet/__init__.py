"""Many workers on many devices: the driver, and the processes that it gives orders to."""
