"""Figures for papers: of runs, traces, synthesis and the KaaS study. Only this package imports matplotlib."""
