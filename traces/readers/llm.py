"""Azure LLM inference traces of 2023, 2024 and 2025: one row a request, with its numbers of tokens; a service a file.

2023: Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024. 2024: Stojkovic
et al., "DynamoLLM", HPCA 2025. 2025 (with images): "ModServe", SoCC 2025. AzurePublicDataset, CC-BY 4.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from traces.arrivals.events import EventTrace
from traces.arrivals.functions import Functions
from traces.files.directory import TracePath
from traces.files.kinds import Kind
from traces.formats import Format, csv_files, has_columns
from traces.llm_facts import service_s
from traces.options import ReadOptions
from traces.readers.eventlog import DatedRows, log_trace, since_midnight

_NAME = "azure-llm"
_KINDS = {"TIMESTAMP": Kind.INSTANT, "ContextTokens": Kind.COUNT, "GeneratedTokens": Kind.COUNT}
_IMAGES = "NumImages"

DEPLOYMENT = ("llama2-70b", "a100-80gb", 8)
"""What requests are thought to run on, since the traces tell no duration: a key of ``llm_facts.DEPLOYMENTS``."""


def _read(paths: Sequence[TracePath], options: ReadOptions) -> EventTrace:
    """Each file is a function, named like the file. Trace time runs from the midnight, UTC, of the earliest request."""
    anomalies: Counter[str] = Counter()
    functions = Functions()
    parts: list[DatedRows] = []
    for file in csv_files(paths):
        number = functions.number_of_file(file.path)
        for batch in file.stream(_KINDS | ({_IMAGES: Kind.COUNT} if _IMAGES in file.header else {})):
            at, context, generated, *images = batch.columns
            duration_s = service_s(DEPLOYMENT, context.to_numpy().astype(float), generated.to_numpy().astype(float))
            parts.append((at, np.full(len(batch), number, np.int32), duration_s))
            anomalies["image_inputs_unused"] += sum(int(np.count_nonzero(column.to_numpy())) for column in images)
    trace = log_trace(_NAME, paths, since_midnight(parts), functions, options, anomalies)
    model, gpu, n_gpus = DEPLOYMENT
    return replace(trace, source=replace(trace.source, durations_of=f"{model} on {n_gpus} {gpu}, by tokens"))


FORMAT = Format(
    name=_NAME,
    summary="Azure LLM inference traces 2023, 2024 and 2025: one row a request, one file a service",
    tables=(f"requests: {', '.join(_KINDS)}; optionally {_IMAGES}",),
    recognises=has_columns(*_KINDS),
    read=_read,
)
