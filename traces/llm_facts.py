"""Measured and published figures of models on GPUs, each with its source.

splitwise: ``data/perf_model.csv`` of github.com/Mutinifni/splitwise-sim (MIT licence), measurements for Patel et al.,
"Splitwise", ISCA 2024. azure-llm: the Azure LLM inference traces of 2023 (CC-BY 4.0), same paper; here as quantiles,
so modified. genai: Alibaba's GenAI serving trace of 2026, github.com/alibaba/clusterdata.
"""

from __future__ import annotations

import numpy as np

from traces.units import Floats

PROMPT_TOKENS = (128, 256, 512, 1024, 2048, 4096, 8192)
# (model, GPU, GPUs): milliseconds of a prompt of each of these lengths, and of each further token. splitwise: medians
# of the rows with batch_size 1 and token_size 128; its power-capped H100 are left out.
# perf.pivot_table(index=["model", "hardware", "tensor_parallel"], columns="prompt_size", values="prompt_time",
# aggfunc="median") and perf.groupby(["model", "hardware", "tensor_parallel"]).token_time.median() print them.
DEPLOYMENTS = {
    ("bloom-176b", "a100-80gb", 8): ((79.7, 99.2, 173.8, 289.2, 540.4, 1348.2, 3593.2), 48.8),
    ("bloom-176b", "h100-80gb", 8): ((48.3, 51.2, 75.5, 132.6, 253.1, 688.7, 1535.4), 36.1),
    ("llama2-70b", "a100-80gb", 2): ((81.1, 112.9, 196.9, 377.1, 688.1, 1485.3, 2990.2), 54.9),
    ("llama2-70b", "a100-80gb", 4): ((63.7, 78.6, 127.0, 227.1, 403.3, 965.2, 2278.5), 45.0),
    ("llama2-70b", "a100-80gb", 8): ((65.3, 66.8, 94.3, 154.5, 274.2, 661.2, 1549.8), 45.0),
    ("llama2-70b", "h100-80gb", 2): ((48.3, 51.8, 83.8, 158.0, 310.3, 642.7, 1339.8), 37.3),
    ("llama2-70b", "h100-80gb", 4): ((49.1, 51.0, 59.6, 105.6, 200.7, 463.5, 953.6), 29.6),
    ("llama2-70b", "h100-80gb", 8): ((58.2, 51.7, 53.4, 77.9, 136.8, 390.3, 844.9), 29.8),
}

TOKENS_P = (0.0, 0.01, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99, 1.0)
# azure-llm: quantiles of the tokens of prompt and answer, of its two services.
TOKENS = {
    "code": ((3, 17, 75, 578, 1469, 2744, 7303, 7436, 7437), (6, 6, 6, 9, 13, 24, 90, 251, 1899)),
    "conversation": ((2, 29, 181, 396, 1020, 1189, 4083, 4142, 14050), (7, 16, 41, 85, 129, 395, 451, 601, 1000)),
}

# genai: milliseconds to load a base model, p25 to p99. The ends are ours: half of p25, and p99 again.
LOAD_P = (0.0, 0.25, 0.50, 0.75, 0.99, 1.0)
LOAD_MS = (1_572.0, 3_144.0, 22_718.0, 36_921.0, 51_846.0, 51_846.0)
MEMORY_BYTES = (24.8e9, 39.6e9)  # genai: GPU memory, p50 and p99


def service_s(deployment: tuple[str, str, int], prompt: Floats, answer: Floats) -> Floats:
    """Duration of requests that have the deployment, a key of ``DEPLOYMENTS``, for themselves, by their tokens.

    Linear between the measured prompts, constant below the shortest and on at the last slope above the longest; then
    the same time for each token of the answer but the first.
    """
    prompt_ms, token_ms = DEPLOYMENTS[deployment]
    slope = (prompt_ms[-1] - prompt_ms[-2]) / (PROMPT_TOKENS[-1] - PROMPT_TOKENS[-2])
    longer = np.maximum(prompt - PROMPT_TOKENS[-1], 0.0)
    first_ms = np.interp(prompt, PROMPT_TOKENS, prompt_ms) + slope * longer
    return np.asarray((first_ms + token_ms * np.maximum(answer - 1, 0.0)) / 1e3)
