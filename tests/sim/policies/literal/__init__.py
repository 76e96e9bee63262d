"""The rules of queueing policies, as slow as they read: oracles for the policies."""
