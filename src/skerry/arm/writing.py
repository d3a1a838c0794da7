"""Requests that write, one after the other: those that came meanwhile go into one transaction, in one thread.

A thread for each would cost more than what most of them do: each waits for its turn, for the interpreter at every
statement, and for the commit.
"""

from asyncio import AbstractEventLoop, Future, Task, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from skerry.store import Store, UnitOfWork

MOST = 16  # requests of one transaction: the engine waits for it, and their answers come together
Block = Callable[[UnitOfWork], Any]


@dataclass
class _Queue:
    """Of one event loop: what waits, and the task that runs it, if any does."""

    waiting: deque[tuple[Context, Block, Future[Any]]] = field(default_factory=deque)
    task: Task[None] | None = None


class Writing:
    """Runs blocks that write on one store, for any event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queues: WeakKeyDictionary[AbstractEventLoop, _Queue] = WeakKeyDictionary()

    async def run(self, block: Block) -> Any:
        """What `block` returns or raises, in a unit of work and the context of the caller, once that is durable."""
        loop = get_running_loop()
        queue, future = self._queues.setdefault(loop, _Queue()), loop.create_future()
        queue.waiting.append((copy_context(), block, future))
        if queue.task is None:
            queue.task = loop.create_task(self._work(queue))
        return await future

    async def _work(self, queue: _Queue) -> None:
        try:
            while queue.waiting:
                await self._write([queue.waiting.popleft() for _ in range(min(MOST, len(queue.waiting)))])
        finally:
            queue.task = None

    async def _write(self, batch: list[tuple[Context, Block, Future[Any]]]) -> None:
        blocks = [_within(context, block) for context, block, _ in batch]
        found: Sequence[Any]
        try:
            found = await run_in_threadpool(self._store.write_all, blocks)
        except BaseException as error:  # whatever it is, nobody may wait for ever
            found = [error] * len(batch)
        for (_, _, future), result in zip(batch, found, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


def _within(context: Context, block: Block) -> Block:
    return lambda work: context.run(block, work)
