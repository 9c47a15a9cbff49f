"""A part's digest covers its rows, their names and types, however Arrow stores them in memory."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.tables.part_file import encode_part, read_rows

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=8)


def digest_of(rows: pa.Table) -> bytes:
    metadata: dict[bytes, bytes] = read_rows(encode_part(rows)).schema.metadata
    return metadata[b"toprung.rows_sha256"]


@given(texts=TEXTS, start=st.integers(0, 8), cut=st.integers(0, 8))
def test_the_same_rows_have_the_same_digest_in_slices_and_chunks(
    texts: list[str | None], start: int, cut: int
) -> None:
    column = pa.array(texts, pa.string())
    wanted = pa.table({"text": pa.array(texts[start:], pa.string())})
    sliced = pa.table({"text": column}).slice(start)
    chunks = pa.table({"text": pa.chunked_array([column[start:cut], column[max(start, cut) :]], pa.string())})
    assert digest_of(sliced) == digest_of(chunks) == digest_of(wanted)


@given(one=TEXTS, other=TEXTS)
def test_other_texts_have_another_digest(one: list[str | None], other: list[str | None]) -> None:
    digests = [digest_of(pa.table({"text": pa.array(texts, pa.string())})) for texts in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)


@pytest.mark.parametrize("texts", [[], ["a", "", None, "ü\0"]])
def test_the_digest_of_texts_is_that_of_earlier_versions(texts: list[str | None]) -> None:
    present = sum(1 << (7 - row) for row, text in enumerate(texts) if text is not None)
    lengths = b"".join(len((text or "").encode()).to_bytes(8, "little") for text in texts)
    expected = hashlib.sha256(
        b"toprung.replaces=\ntoprung.follows=\n" + f"t\0string\0{len(texts)}\n".encode()
    )
    expected.update(bytes([present] if texts else []) + lengths + "".join(t or "" for t in texts).encode())
    assert digest_of(pa.table({"t": pa.array(texts, pa.string())})).decode() == expected.hexdigest()
