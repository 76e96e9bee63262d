"""The published facts that the synthetic trace follows, each with its source.

ATC: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020; figures: those of AzurePublicDataset's 2019
analysis, read off to about 0.02; sample: 500 functions of Azure Functions 2019 over 8 hours, published with
InVitro.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from traces.placement import Floats

# Functions of an app: cumulative share of apps (ATC section 3.2, figure 1; the 0.04 % of larger apps are cut).
APP_SIZE = (1, 1, 2, 3, 4, 5, 10, 100)
APP_SIZE_CDF = (0.0, 0.54, 0.71, 0.80, 0.85, 0.88, 0.95, 0.9996)

OWNERS_PER_APP = 0.9  # sample: 428 owners of 476 apps

# Triggers of an app: share of apps in percent (figure 3b, ATC column; the remaining 10 % are left out).
TRIGGERS_OF_APP = {
    ("http",): 43.27,
    ("timer",): 13.36,
    ("queue",): 9.47,
    ("http", "timer"): 4.59,
    ("http", "queue"): 4.22,
    ("event",): 3.01,
    ("storage",): 2.80,
    ("timer", "queue"): 2.57,
    ("http", "timer", "queue"): 2.48,
    ("http", "others"): 1.69,
    ("http", "storage"): 1.05,
    ("http", "orchestration"): 1.03,
    ("http", "timer", "others"): 0.84,
}

# Minutes between the firings of a timer: share in percent (sample; the 22 % of other periods are left out).
TIMER_PERIOD_SHARE = {5: 18, 480: 15, 60: 11, 1: 8, 15: 7, 10: 6, 3: 4, 2: 3, 30: 2, 4: 2, 120: 1, 240: 1}

# Invocations a day: cumulative share of functions (figure 5a, released subset).
RATE_A_DAY = (0.07, 1.0, 10.0, 24.0, 288.0, 1440.0, 86_400.0)
RATE_CDF = (0.0, 0.33, 0.55, 0.62, 0.83, 0.92, 0.99)
# The head above: a Pareto tail from 1/s at the last percent to the first of 46,413 functions, which has 13.5 % of
# 12.5 billion invocations in 14 days (figure 5b): ln(46413 * 0.01) / ln(1.2e8 / 86400).
RATE_A_DAY_MAX = 1.2e8
HEAD_PARETO_ALPHA = 0.85

# Variance over mean of the counts a minute (sample: medians of functions above 1/min; storage and others as queue).
VARIANCE_TO_MEAN = {
    "http": 4.1,
    "queue": 2.5,
    "event": 3.5,
    "orchestration": 26.0,
    "storage": 2.5,
    "others": 2.5,
}
DAILY_SWING = 0.25  # amplitude of the daily cycle (ATC figure 4: hourly volume 0.8 to 1.25 of the mean)

# Mean duration of a function: LogNormal, in seconds (ATC section 3.4), cut at 10 minutes.
DURATION_MU = -0.38
DURATION_SIGMA = 2.36
DURATION_MAX_S = 600.0
RATE_DURATION_CORRELATION = -0.34  # sample: Spearman's, of rate and mean duration
# Spread within a function, sigma = ln(p75 / p25) / 1.349: cumulative share of functions (sample).
SPREAD_CDF = (0.10, 0.25, 0.50, 0.75, 0.90)
SPREAD_SIGMA = (0.0, 0.18, 0.46, 1.01, 1.99)
EXTREME_P = 1e-3  # the quantile that stands for percentiles 0 and 100

# Memory of an app: Burr XII in MB (ATC section 3.5) and medians of percentile over average (sample).
MEMORY_BURR_C = 11.652
MEMORY_BURR_K = 0.221
MEMORY_BURR_SCALE_MB = 107.083
MEMORY_PERCENTILE_RATIOS = (0.858, 0.912, 0.970, 1.0, 1.039, 1.102, 1.144, 1.216)
MEMORY_SAMPLES_A_MINUTE = 12  # one in 5 s


def normal_quantile(p: Floats) -> Floats:
    """Quantiles of the standard normal distribution."""
    return np.array([NormalDist().inv_cdf(float(x)) for x in p])
