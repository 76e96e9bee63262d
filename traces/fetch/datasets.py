"""The public data sets that ``traces fetch`` knows: where they are published, under what licence, and how to cite them.

A size or checksum stands here only where someone has held the file, and ``known_from`` says who. The publishers print
none.
"""

from __future__ import annotations

from dataclasses import dataclass

_BLOBS = "https://azurepublicdatasettraces.blob.core.windows.net"
_GITHUB = "https://github.com/Azure/AzurePublicDataset"
_PINNED = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/b469a113cedca53ddc3bdea71a143dc4b7d8700c"

# LICENSE of AzurePublicDataset; each data set's page asks for the citation.
_AZURE_LICENCE = "CC-BY 4.0, https://creativecommons.org/licenses/by/4.0/"
_SHAHRAD = (
    "Shahrad, Fonseca, Goiri, Chaudhry, Batum, Cooke, Laureano, Tresness, Russinovich, Bianchini. Serverless in the "
    "Wild: Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider. USENIX ATC 2020"
)
_ZHANG = (
    "Zhang, Goiri, Chaudhry, Fonseca, Elnikety, Delimitrou, Bianchini. Faster and Cheaper Serverless Computing on "
    "Harvested Resources. SOSP 2021"
)
_PATEL = (
    "Patel, Choukse, Zhang, Shah, Goiri, Maleki, Bianchini. Splitwise: Efficient Generative LLM Inference Using Phase "
    "Splitting. ISCA 2024"
)
_STOJKOVIC = (
    "Stojkovic, Zhang, Goiri, Torrellas, Choukse. DynamoLLM: Designing LLM Inference Clusters for Performance and "
    "Energy Efficiency. HPCA 2025"
)
_OTHERS = "notes of people who downloaded it"
_COMPLETE = "a complete copy of the file at this commit"


@dataclass(frozen=True)
class Address:
    """Where a file lies. size_bytes, sha256 (lower-case hexadecimal): None where unknown; known_from: whence else."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    known_from: str = ""

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Dataset:
    """One file of a public data set. addresses: the same content, in the order in which they are tried."""

    name: str
    summary: str
    addresses: tuple[Address, ...]
    licence: str
    citation: str
    use: str  # how to go on, for people


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="azure2019",
            summary="Azure Functions 2019: 14 days of invocations a minute, durations, memory; 46,000 functions a day",
            addresses=(  # AzureFunctionsDataset2019.md; then a release of the same repository, found by others
                Address(
                    f"{_BLOBS}/azurepublicdatasetv2/azurefunctions_dataset2019/azurefunctions-dataset2019.tar.xz",
                ),
                Address(
                    f"{_GITHUB}/releases/download/dataset-functions-2019/"
                    "azurefunctions_dataset2019_azurefunctions-dataset2019.tar.xz",
                    142_968_140,
                    "aff8b3ca7240a41a109e4ee598e0a96e45fcb92e7b8395ac19cb3748cd260d89",
                    _OTHERS,
                ),
            ),
            licence=_AZURE_LICENCE,
            citation=_SHAHRAD,
            use="read the archive as it is; unpacked once with 'tar -xf FILE', single days open faster",
        ),
        Dataset(
            name="azure2021",
            summary="Azure Functions Invocation Trace 2021: 2 weeks, 1,980,951 invocations of 424 functions",
            addresses=(  # AzureFunctionsInvocationTrace2021.md
                Address(
                    f"{_GITHUB}/raw/master/data/AzureFunctionsInvocationTraceForTwoWeeksJan2021.rar",
                    18_444_269,
                    "8bb5d1c82e89e467062b6582996232df24edfebadbaf3287a8c985ca178ba92d",
                    _OTHERS,
                ),
            ),
            licence=_AZURE_LICENCE,
            citation=_ZHANG,
            use="a RAR 5 archive, which can't be read directly: unpack with unrar ('unrar x FILE'), then read the .txt",
        ),
        *(
            Dataset(
                name=f"azure-llm-2023-{service}",
                summary=f"Azure LLM inference 2023, {what}: {n_rows} requests of an hour",
                addresses=(
                    Address(f"{_PINNED}/data/AzureLLMInferenceTrace_{service}.csv", size_bytes, sha256, _COMPLETE),
                ),
                licence=_AZURE_LICENCE,
                citation=_PATEL,
                use="read the file as it is",
            )
            for service, what, n_rows, size_bytes, sha256 in (
                (
                    *("code", "code completion", "8,819", 320_117),
                    "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
                ),
                (
                    *("conv", "conversation", "19,366", 719_188),
                    "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
                ),
            )
        ),
        *(
            Dataset(
                name=f"azure-llm-2024-{service}",
                summary=f"Azure LLM inference 2024, {what}: {n_rows} requests of a week",
                # AzureLLMInferenceDataset2024.md spells the container this way; numbers of rows from its notebook.
                addresses=(Address(f"{_BLOBS}/azurellminfererencetrace/AzureLLMInferenceTrace_{service}_1week.csv"),),
                licence=_AZURE_LICENCE,
                citation=_STOJKOVIC,
                use="read the file as it is",
            )
            for service, what, n_rows in (
                ("code", "code completion", "16,803,695"),
                ("conv", "conversation", "27,303,999"),
            )
        ),
    )
}
