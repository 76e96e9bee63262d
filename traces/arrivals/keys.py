"""Keys of functions: ``app/function``, or one name for both. No two functions share one, whatever their names hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def keys_of(function: pa.Array, app: pa.Array | None = None) -> pa.Array:
    """The key of each row of columns of names; without apps a function is its own app.

    The first slash of a key ends its app.
    """
    import pyarrow.compute as pc

    return escaped(function) if app is None else pc.binary_join_element_wise(escaped(app), function, "/")


def app_of(key: str) -> str:
    """The app of a key, as it is written there."""
    return key.partition("/")[0]


def escaped(names: pa.Array) -> pa.Array:
    """Names without a slash, different ones for different names: ``/`` is ``%2F``, and ``%2F`` and ``%25`` begin with
    ``%25``. All others stay as they are, and those are all that are published.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = names.dictionary_encode()  # names repeat: a tenth of the time
    plain = pc.replace_substring(pc.replace_substring_regex(coded.dictionary, "%(25|2F)", r"%25\1"), "/", "%2F")
    return pa.DictionaryArray.from_arrays(coded.indices, plain).dictionary_decode()
