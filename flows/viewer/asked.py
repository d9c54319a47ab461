"""What a request of the page asks for, checked: numbers, names, a disc or ring."""

from starlette.requests import Request

from orimap.tasks.errors import InputError
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view.virtual import Aperture


class Asked:
    """The parameters of one request.

    Parameters
    ----------
    request : Request
    """

    def __init__(self, request: Request) -> None:
        self._query = request.query_params
        self._path = request.path_params

    @property
    def revision(self) -> str | None:
        """The revision whose clusters are asked for, None for the automatic result."""
        return self._query.get("revision") or None

    def text(self, name: str) -> str:
        """Return a parameter as it came; InputError without."""
        value = self._path.get(name, self._query.get(name))
        if value is None:
            raise InputError(f"{name}", "none", f"ask with {name}=...")
        return str(value)

    def number(self, name: str, otherwise: float | None = None) -> float:
        """Return a number; InputError if it is none."""
        given = self._path.get(name, self._query.get(name))
        if given is None and otherwise is not None:
            return otherwise
        try:
            return float(self.text(name))
        except ValueError:
            raise InputError(f"a number for {name}", str(given), f"give {name}=1.5") from None

    def whole(self, name: str) -> int:
        """Return a whole number; InputError if it is none."""
        given = self.text(name)
        try:
            return int(given)
        except ValueError:
            raise InputError(f"a whole number for {name}", given, f"give {name}=3") from None

    @property
    def position(self) -> tuple[int, int]:
        """Row and column in the scan."""
        return self.whole("y"), self.whole("x")

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where a line begins and ends."""
        start = self.number("y0"), self.number("x0")
        return start, (self.number("y1"), self.number("x1"))

    @property
    def region(self) -> Block:
        """A rectangle; both ends belong to it, in either order."""
        rows = sorted((self.whole("y0"), self.whole("y1")))
        columns = sorted((self.whole("x0"), self.whole("x1")))
        return Block(rows[0], rows[1] + 1, columns[0], columns[1] + 1)

    @property
    def aperture(self) -> Aperture:
        """A disc or a ring on the detector."""
        return Aperture(
            self.text("shape"),
            self.number("y"),
            self.number("x"),
            self.number("radius"),
            self.number("inner", 0.0),
        )

    @property
    def exact(self) -> bool:
        """Whether a virtual image is to be the exact one."""
        return self._query.get("exact", "0") not in ("0", "", "false")
