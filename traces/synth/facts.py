"""The published facts that the synthetic trace follows, each with its source.

ATC: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020; figures: those of AzurePublicDataset's 2019
analysis, read off to about 0.02, of the whole workload unless "released subset" is said; sample: 500 functions of
Azure Functions 2019 over 8 hours, published with InVitro; issue: a thread of AzurePublicDataset on GitHub.
"""

from __future__ import annotations

N_FUNCTIONS = 46_413  # rows of the invocations table of d01

# Functions of an app: cumulative share of apps (ATC section 3.2, figure 1; the 0.04 % of larger apps are cut).
APP_SIZE = (1, 1, 2, 3, 4, 5, 10, 100)
APP_SIZE_CDF = (0.0, 0.54, 0.71, 0.80, 0.85, 0.88, 0.95, 0.9996)
# Cumulative share of all invocations by size of the app (figure 1; the last point closes it).
INVOCATIONS_APP_SIZE = (1, 2, 3, 10, 100)
INVOCATIONS_APP_SIZE_CDF = (0.25, 0.45, 0.59, 0.85, 1.0)

OWNERS_PER_APP = 0.9  # sample: 428 owners of 476 apps

TRIGGERS = ("http", "timer", "queue", "event", "storage", "orchestration", "others")
TIMER = TRIGGERS.index("timer")
# Share in percent of functions and of invocations (figure 2), and of apps that have the trigger at all (figure 3a).
FUNCTIONS_BY_TRIGGER = (55.0, 15.6, 15.2, 2.2, 2.8, 6.9, 2.2)
INVOCATIONS_BY_TRIGGER = (35.9, 2.0, 33.5, 24.7, 0.7, 2.3, 1.0)
APPS_WITH_TRIGGER = (64.07, 29.15, 23.70, 5.79, 6.83, 3.09, 6.28)
# Triggers of an app: share of apps in percent (figure 3b). The 9.6 % that are left out have combinations such that
# the shares of figure 3a come out.
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
# Odds of the triggers of an app, for its functions beyond one a trigger: fitted to the functions of figure 2.
FURTHER_FUNCTIONS = (1.0, 0.1, 0.4, 0.04, 0.04, 20.0, 0.03)

# Minutes between the firings of a timer: share in percent (sample; the 22 % of other periods are left out). The 15 %
# of 8 hours and more, which the sample can't tell apart, are daily: figure 5a has a step there, and none before.
TIMER_PERIOD_SHARE = {5: 18, 1440: 15, 60: 11, 1: 8, 15: 7, 10: 6, 3: 4, 2: 3, 30: 2, 4: 2, 120: 1, 240: 1}

# Invocations a day, in the mean over the 14 days: cumulative share of functions and of apps (figure 5a, released
# subset).
RATE_A_DAY = (0.07, 1.0, 10.0, 24.0, 288.0, 1440.0, 86_400.0)
RATE_CDF = (0.0, 0.33, 0.55, 0.62, 0.83, 0.92, 0.99)
APP_RATE_A_DAY = (0.07, 1.0, 24.0, 288.0, 1440.0, 86_400.0)
APP_RATE_CDF = (0.0, 0.18, 0.45, 0.66, 0.83, 0.98)
# The head above: a Pareto tail from 1/s at the last percent to the first of 46,413 functions, which has 13.5 % of
# 12.5 billion invocations in 14 days (figure 5b): ln(46413 * 0.01) / ln(1.2e8 / 86400).
RATE_A_DAY_MAX = 1.2e8
HEAD_PARETO_ALPHA = 0.85
# Share of all invocations that the most invoked functions have (figure 5b, released subset).
TOP_FUNCTIONS = (1e-3, 1e-2, 1e-1)
TOP_FUNCTIONS_SHARE = (0.70, 0.93, 0.995)
TOP_APPS, TOP_APPS_SHARE = 0.186, 0.996  # ATC section 3.3

# Coefficient of variation of the inter-arrival times of apps without timer: cumulative share (figure 6). The last
# point closes the curve.
NO_TIMER_CV = (0.0, 0.1, 1.0, 2.0, 4.0, 10.0, 50.0)
NO_TIMER_CV_CDF = (0.0, 0.10, 0.35, 0.55, 0.76, 0.92, 1.0)
# Factor on cv^2 - 1 of functions, fitted so that the curve comes out for apps: several functions together are more
# regular than one.
BURST_GAIN = 2.0
# The same of all apps, and of apps with nothing but timers.
ALL_CV, ALL_CV_CDF = (1.0, 2.0, 4.0, 6.0, 10.0), (0.57, 0.72, 0.86, 0.90, 0.95)
TIMER_CV, TIMER_CV_CDF = (0.1, 1.0), (0.47, 0.93)
REGULAR_CV = 0.5  # callers that are more regular than this don't follow the cycles of day and week: our choice

# Mean length of a burst, such that the variance over the mean of counts grows about as in the sample: from 4.1 in 1
# minute to 7.3 in 15 minutes for http, from 2.5 to 5.6 in 5 minutes for queue (medians of functions above 1/min).
BURST_MINUTES = 2.0
VARIANCE_TO_MEAN = {1: 3.3, 5: 5.5}  # by minutes that are counted together; the means of http and queue

# The volume of an hour over the mean is 0.81 to 1.25 (figure 4, released subset); a sine and two days can't be that
# lopsided, so these two make the same ratio of least to most. The phase isn't published with the data.
DAILY_SWING = 0.135
WEEKEND_DIP = 0.15
WEEKEND_DAYS = (6, 7, 13, 14)  # d01 is Monday, 15 July 2019
HOURLY_VOLUME = (0.81, 1.25)

# Mean duration of a function: LogNormal, in seconds (ATC section 3.4), cut at 10 minutes.
DURATION_MU = -0.38
DURATION_SIGMA = 2.36
DURATION_MAX_S = 600.0
DURATION_S, DURATION_CDF = (1.0, 60.0), (0.50, 0.96)  # of averages (ATC section 3.4)
DURATION_MAX_P50_S, DURATION_MAX_P75_S = 3.0, 10.0  # of maxima (ATC section 3.4)
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
LAST_MEMORY_DAY = 12  # the data set has no memory tables of d13 and d14

# Defects of a day's tables, as rows of the 46,413 functions of d01. They were reported by users of the data: where no
# other source is given, at github.com/Azure/AzurePublicDataset under the number in brackets.
NEGATIVE_AVERAGE_ROWS = 5  # [13]
ZERO_AVERAGE_ROWS = 500  # more than 500: github.com/vhive-serverless/invitro, [278]
TWICE_IN_DURATIONS = 16  # [23]
TWICE_IN_MEMORY = 10  # apps; [23]
WITHOUT_DURATIONS = 622  # invoked functions; [23]
WITHOUT_MEMORY = 422  # apps with invocations; [23]
EMPTY_EXTREMES = 500  # described, but their number isn't published: our choice
VAGUE_ON_FIRST_DAY = 1_600  # 'others' on d01 only: "many" [39]; the two columns of figure 2 differ by 3.5 %
