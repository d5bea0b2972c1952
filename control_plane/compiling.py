"""Compiling as a server does it: in a thread, from documents that are known, out of the garbage collector's way."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from control_plane.core.compile import CompiledFleet, compile_commit
from control_plane.documents import DocumentCache
from control_plane.git_objects import Tree


async def compile_tree(
    tree: Tree, previous: CompiledFleet | None, documents: DocumentCache | None = None
) -> CompiledFleet:
    """What `compile_commit` makes of a commit; one at a time."""
    return await asyncio.to_thread(_compile, tree, previous, documents)


def _compile(tree: Tree, previous: CompiledFleet | None, documents: DocumentCache | None) -> CompiledFleet:
    with _uncollected() if previous is None else nullcontext():
        return compile_commit(tree.entries, tree.blobs, previous, documents)


@contextmanager
def _uncollected() -> Iterator[None]:
    """For what grows large, holds no cycles and stays: a whole fleet, compiled for the first time.

    The garbage collector does not look through it while it grows, nor, with everything else that is there by then, ever
    again: on a hundred thousand sites that would hold up every answer for half a second, now and then. What is garbage
    before it grows goes first, or it would stay for ever, with the files that it holds open.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
