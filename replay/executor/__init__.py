"""The KaaS executor: kernel graphs of many functions on one device."""
