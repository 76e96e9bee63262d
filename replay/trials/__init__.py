"""Questions that a replay doesn't answer, put to a device one by one."""
