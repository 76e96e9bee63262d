"""A fleet split into independent cells by tenant: one large run as several small ones, merged into one."""
