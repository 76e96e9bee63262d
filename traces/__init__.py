"""Readers of public serverless traces, their synthesis and the ``traces`` command."""
