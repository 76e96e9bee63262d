"""Azure LLM inference traces of 2023, 2024 and 2025: one row a request, with its numbers of tokens; a service a file.

2023: Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024. 2024: Stojkovic
et al., "DynamoLLM", HPCA 2025. 2025 (with images): "ModServe", SoCC 2025. AzurePublicDataset, CC-BY 4.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from traces.csvfile import CsvFile
from traces.events import EventTrace, Rows
from traces.files import TraceFile
from traces.formats import Format, TracePath, csv_files
from traces.functions import Functions
from traces.kinds import Kind
from traces.llm_facts import DEPLOYMENTS, PROMPT_TOKENS
from traces.options import ReadOptions
from traces.placement import Floats
from traces.readers.eventlog import log_trace, since_midnight

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "azure-llm"
_KINDS = {"TIMESTAMP": Kind.INSTANT, "ContextTokens": Kind.COUNT, "GeneratedTokens": Kind.COUNT}
_IMAGES = "NumImages"

DEPLOYMENT = ("llama2-70b", "a100-80gb", 8)
"""What requests are thought to run on, since the traces tell no duration: model, GPU and GPUs of ``llm_facts``."""


def service_s(context: Floats, generated: Floats) -> Floats:
    """Duration of requests that have the deployment for themselves, by their tokens.

    Linear between the measured prompts, constant below the shortest and on at the last slope above the longest; then
    the same time for each generated token but the first.
    """
    prompt_ms, token_ms = DEPLOYMENTS[DEPLOYMENT]
    slope = (prompt_ms[-1] - prompt_ms[-2]) / (PROMPT_TOKENS[-1] - PROMPT_TOKENS[-2])
    longer = np.maximum(context - PROMPT_TOKENS[-1], 0.0)
    first_ms = np.interp(context, PROMPT_TOKENS, prompt_ms) + slope * longer
    return np.asarray((first_ms + token_ms * np.maximum(generated - 1, 0.0)) / 1e3)


def _read(paths: Sequence[TracePath], options: ReadOptions) -> EventTrace:
    """Each file is a function, named like the file. Trace time runs from the midnight, UTC, of the earliest request."""
    anomalies: Counter[str] = Counter()
    functions = Functions()
    instants: list[pa.Array] = []
    numbers: list[npt.NDArray[np.int32]] = []
    durations: list[Floats] = []
    for file in csv_files(paths):
        number = functions.number_of_file(file.path)
        for batch in file.stream(_KINDS | ({_IMAGES: Kind.COUNT} if _IMAGES in file.header else {})):
            at, context, generated, *images = batch.columns
            instants.append(at)
            numbers.append(np.full(len(batch), number, np.int32))
            durations.append(service_s(context.to_numpy().astype(float), generated.to_numpy().astype(float)))
            anomalies["image_inputs_unused"] += sum(int(np.count_nonzero(column.to_numpy())) for column in images)
    parts = [Rows(*columns) for columns in zip(since_midnight(instants), numbers, durations, strict=True)]
    return log_trace(_NAME, paths, parts, functions, options, anomalies)


def _recognises(file: TraceFile) -> bool:
    return isinstance(file, CsvFile) and set(_KINDS) <= set(file.header)


FORMAT = Format(
    name=_NAME,
    summary="Azure LLM inference traces 2023, 2024 and 2025: one row a request, one file a service",
    tables=(f"requests: {', '.join(_KINDS)}; optionally {_IMAGES}",),
    recognises=_recognises,
    read=_read,
)
