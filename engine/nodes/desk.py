"""Where processes that this one has started call its services: a socket that it alone hands out.

Those of a Ray of its own are among them.
"""

import contextlib
import secrets
import threading
import weakref
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from engine.nodes.executor import Reply, Service


class _Desk:
    """Answers calls from other processes, each connection on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._listener: Listener | None = None
        self._services: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def pickled(self, service: Service) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what a service is in another process, as ``__reduce__`` is to return it."""
        with self._lock:
            listener = self._listener = self._listener or self._opened()
            self._services[id(service)] = service
        return DeskClient, (str(listener.address), self._key, id(service))

    def _opened(self) -> Listener:
        # in a folder of this user's alone; and the key goes only to processes that it starts
        listener = Listener(family="AF_UNIX", backlog=64, authkey=self._key)
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="desk").start()
        return listener

    def _accept(self, listener: Listener) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError, Exception):  # somebody else's, or gone
                caller = listener.accept()
                threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: "Connection[Any, Any]") -> None:
        with contextlib.suppress(OSError, EOFError):  # the process has ended
            while True:
                number, method, args = caller.recv()
                answer: tuple[Any, Exception | None]
                try:
                    answer = self._services[number].call(method, *args), None
                except Exception as error:  # noqa: BLE001 - it is the caller's
                    answer = None, error
                caller.send(answer)


DESK = _Desk()


class _Answered:
    """An answer that is there."""

    def __init__(self, value: Any, error: Exception | None) -> None:  # noqa: ANN401 - any answer
        self._value, self._error = value, error

    def result(self) -> Any:  # noqa: ANN401 - whatever the method returned
        if self._error:
            raise self._error
        return self._value


class DeskClient:
    """A service of the process that started this one.

    Args:
        address: Where that process listens.
        key: What shows that this one is its child.
        number: Which service it is.
    """

    def __init__(self, address: str, key: bytes, number: int) -> None:
        self._whose = (address, key, number)
        self._connections = threading.local()  # a call may wait long: each thread has one

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the same client."""
        return DeskClient, self._whose

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """Call a method, and return its answer."""
        return self.send(method, *args).result()

    def send(self, method: str, *args: object) -> Reply:
        """Call a method; its answer is waited for at once."""
        address, key, number = self._whose
        if not hasattr(self._connections, "this"):
            self._connections.this = Client(address, "AF_UNIX", authkey=key)
        connection = self._connections.this
        connection.send((number, method, args))
        return _Answered(*connection.recv())

    def end(self) -> None:
        """Do nothing: whoever started the service ends it."""
