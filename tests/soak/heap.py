"""The Python heap of this process: what is allocated, and of which kind most objects are."""

import ctypes
import gc
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree

_C_LIBRARY: Final = ctypes.CDLL(None)
_C_LIBRARY.fopen.restype = ctypes.c_void_p


def figures() -> dict[str, float]:
    """After a collection: blocks that the interpreter has allocated (an object has one at least), and its objects.

    What the C library holds back is given to the system, so that the resident memory says what is in use.
    """
    gc.collect()
    _C_LIBRARY.malloc_trim(0)
    return {
        "heap: blocks": sys.getallocatedblocks(),
        "heap: objects": len(gc.get_objects()),
        "C library: kB": _allocated_bytes() / 1000,
    }


def _allocated_bytes() -> int:
    """What the C library has given out, and took from the system for large pieces: as malloc_info(3) tells."""
    with tempfile.NamedTemporaryFile() as file:
        stream = _C_LIBRARY.fopen(file.name.encode(), b"w")
        _C_LIBRARY.malloc_info(0, ctypes.c_void_p(stream))
        _C_LIBRARY.fclose(ctypes.c_void_p(stream))
        whole = ElementTree.parse(file.name).getroot()
    free = sum(int(one.attrib["size"]) for one in whole.findall("total") if one.attrib["type"] in ("fast", "rest"))
    mapped = sum(int(one.attrib["size"]) for one in whole.findall("total") if one.attrib["type"] == "mmap")
    current = next(int(one.attrib["size"]) for one in whole.findall("system") if one.attrib["type"] == "current")
    return current - free + mapped


def kinds() -> Counter[str]:
    """How many objects there are of each type."""
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def more(before: Mapping[str, int], after: Mapping[str, int], many: int = 12) -> list[str]:
    """The types of which there are more, the most first, in words."""
    grown = Counter({kind: count - before.get(kind, 0) for kind, count in after.items()})
    return [f"{kind} +{count}" for kind, count in grown.most_common(many) if count > 0]
