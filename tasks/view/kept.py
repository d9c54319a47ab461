"""Keep what was read or worked out last, up to so many bytes, for many threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """The last values that were asked for; those that were not used for longest go first.

    Parameters
    ----------
    most_bytes : int
        Of all values together; one that is larger alone is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the value of a key; made once, however many threads ask for it.

        Parameters
        ----------
        key : hashable
        make : callable
            Makes the value. What it raises goes to whoever asked, and nothing is kept.
        size : callable
            Bytes of a value.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key][0]
            try:
                value = make()
                self._keep(key, value, size(value))
                return value
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def _keep(self, key: Hashable, value: Any, bytes_: int) -> None:
        """Keep a value, and let go of the oldest that there is no room for."""
        if bytes_ > self.most_bytes:
            return
        with self._lock:
            self._values[key] = (value, bytes_)
            self.bytes += bytes_
            while self.bytes > self.most_bytes:
                _, (_, gone) = self._values.popitem(last=False)
                self.bytes -= gone
