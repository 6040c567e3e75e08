"""How fast the codecs are, beside the CRC alone: `make bench`.

Under `make test` each of these runs once, for its value. What is promised about their times is checked by
`tests.bench.claims`.
"""

from collections.abc import Callable
from typing import Any

import pytest

from hsl.codec.batch import BatchDecoder, BatchEncoder, MessageBatch, prot_flits
from hsl.codec.engines import engine
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message
from hsl.native import crc32c, crc32c_portable, crc64xz, crc64xz_portable
from tests.bench import traffic

FORMS = sorted(FORMATS)
CRC: dict[str, Callable[[bytes], int]] = {"L64": crc32c, "B256": crc64xz}
PORTABLE: dict[str, Callable[[bytes], int]] = {"L64": crc32c_portable, "B256": crc64xz_portable}
REFERENCE_FLITS = 200


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def data(form: str) -> bytes:
    """A buffer full of good flits."""
    return traffic.flits(form)


def noted(benchmark: Any, data: bytes, form: str, messages: int = 0) -> None:
    """Rates beside the times: bytes, flits and messages per second."""
    benchmark.extra_info |= {"bytes": len(data), "flits": len(data) // FORMATS[form].bytes}
    if messages:
        benchmark.extra_info["messages"] = messages
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.min
        for name in ("bytes", "flits", "messages"):
            if name in benchmark.extra_info:
                benchmark.extra_info[f"M{name}/s"] = round(benchmark.extra_info[name] / seconds / 1e6, 3)


def reference_decode(data: bytes, form: str) -> list[Message]:
    """The messages of `data`, by the reference."""
    codec, shape = engine("reference"), FORMATS[form]
    unpacker, found = codec.Unpacker(), []
    for at in range(0, len(data), shape.bytes):
        flit = codec.decode_flit(data[at : at + shape.bytes], form)
        messages, error = unpacker.feed(flit.payload, flit.som if shape.has_som else None, lambda vc: True)
        assert error is None
        found += messages
    return found


@pytest.mark.benchmark(group="CRC alone")
@pytest.mark.parametrize("path", ["dispatched", "portable"])
def test_crc_alone(benchmark: Any, data: bytes, form: str, path: str) -> None:
    """The floor: one CRC over the buffer, by the CPU's instructions and by tables."""
    crc = (CRC if path == "dispatched" else PORTABLE)[form]
    assert benchmark(crc, data) == CRC[form](data)
    noted(benchmark, data, form)


@pytest.mark.benchmark(group="decode")
def test_native_columns(benchmark: Any, data: bytes, form: str) -> None:
    """Bytes to columns of flits and messages, every CRC checked, every message copied."""
    decoded = benchmark(lambda: BatchDecoder(form).decode(data))
    assert not decoded.flits["fault"]["code"].any()
    noted(benchmark, data, form, len(decoded.messages))


@pytest.mark.benchmark(group="decode")
def test_native_objects(benchmark: Any, data: bytes, form: str) -> None:
    """Bytes to Message objects, through a batch."""
    part = data[: len(data) // 16]
    messages = benchmark(lambda: list(BatchDecoder(form).decode(part).messages))
    assert len(messages) > 100
    noted(benchmark, part, form, len(messages))


@pytest.mark.benchmark(group="decode")
def test_reference_objects(benchmark: Any, data: bytes, form: str) -> None:
    """Bytes to Message objects, by the reference; the same as those of the native codec."""
    part = data[: REFERENCE_FLITS * FORMATS[form].bytes]
    messages = benchmark(reference_decode, part, form)
    assert messages == list(BatchDecoder(form).decode(part).messages)
    noted(benchmark, part, form, len(messages))


@pytest.mark.benchmark(group="encode")
def test_native_encode(benchmark: Any, data: bytes, form: str) -> None:
    """Columns of messages to bytes, with CRC."""
    messages = BatchDecoder(form).decode(data).messages
    flits = prot_flits(len(data) // FORMATS[form].bytes)
    encoded, taken = benchmark(lambda: BatchEncoder(form).encode(flits, messages))
    assert taken == len(messages)
    assert encoded.tobytes()[: -4 * FORMATS[form].bytes] == data[: -4 * FORMATS[form].bytes]
    noted(benchmark, data, form, taken)


@pytest.mark.benchmark(group="encode")
def test_reference_encode(benchmark: Any, data: bytes, form: str) -> None:
    """Message objects to granules, by the reference."""
    part = data[: REFERENCE_FLITS * FORMATS[form].bytes]
    batch = BatchDecoder(form).decode(part).messages
    messages, encode = list(batch), engine("reference").encode_message
    granules = benchmark(lambda: [encode(message) for message in messages])
    assert list(MessageBatch.of(messages)) == messages
    assert len(granules) == len(messages)
    noted(benchmark, part, form, len(messages))
