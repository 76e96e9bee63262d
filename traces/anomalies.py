"""The odd but published rows that are read by a rule rather than refused: ``TraceSource.anomalies`` counts them."""

from __future__ import annotations

RULES = {
    "average_not_positive": "duration rows with an Average of 0 or less: the median stands for it, or 1 ms",
    "duplicate_durations_row": "duration rows of a function that has one: the first counts",
    "duplicate_invocations_row": "invocation rows of a function that has one: their counts are summed",
    "duplicate_memory_row": "memory rows of an app or function that has one: the first counts",
    "duplicate_minute": "counts of a function in a minute that has one: they are summed",
    "file_passed_over": "files of a directory that aren't of the trace's format: left out",
    "files_of_one_directory": "files of events found side by side in a directory: they are read as parts of one trace",
    "function_without_durations": "invoked functions without a duration row that day: 0.684 s, the published median",
    "function_without_memory": "functions of which neither they nor their app have a memory row: unknown memory",
    "image_inputs_unused": "requests with images beside the text: their duration is that of the text",
    "input_bytes_unused": "invocations with a size of their input: checked, and not used",
    "memory_not_positive": "memory rows of 0 or less: left out",
    "memory_varies": "functions of which rows tell different memory: the largest counts",
    "minimum_or_maximum_empty": "empty cells in the columns Minimum and Maximum, which aren't used",
    "model_id_empty": "requests without a base model: they are of one function, 'unknown'",
    "negative_duration": "pods that were deleted before they were scheduled: they take 1 ms",
    "negative_start": "invocations that end before their duration has passed: they start at 0",
    "percentile_negative": "duration rows with a negative percentile: it reads as 1 ms",
    "percentiles_descend": "duration rows of which a percentile is below a lower one: it reads as the lower one",
    "pod_never_scheduled": "pods that were never scheduled, so that their duration isn't known: left out",
    "request_failed": "requests that failed: they count like others, for the time that they took",
    "request_unfinished": "requests that were pending or processing when the log ended: they count like others",
    "trigger_changed": "functions with another trigger on a later day: the last one other than 'others' counts",
    "zero_duration": "invocations of duration 0: they take 1 ms",
}
