"""Make sure that workers compute the same as this process, with the same files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.tasks.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Client

# What results are computed with, and what carries them between processes.
PACKAGES = (
    *("orimap", "dask", "distributed", "cloudpickle", "msgpack"),
    *("numpy", "scipy", "scikit-learn", "scikit-image", "numba", "zarr", "xarray"),
)


def check_workers(client: "Client", addresses: Sequence[str], shared: Sequence[Path]) -> None:
    """Compare versions of workers with ours, and look whether they find what is shared.

    Parameters
    ----------
    client : Client
    addresses : sequence of str
        Of the workers.
    shared : sequence of Path
        Folders and files that they must find at the same place.

    Raises
    ------
    UnavailableError
        If one of them has other versions, or does not find something.
    """
    import platform

    # By name, from the standard library: code of another Python could not be read there.
    pythons = _asked(client, addresses, platform.python_version)
    _compare({host: {"Python": _minor(found)} for host, found in pythons.items()},
             {"Python": _minor(platform.python_version())})  # fmt: skip
    names = [str(path) for path in shared]

    def look() -> tuple[dict[str, str], list[str]]:
        # Its code travels with it: the packages it asks for may not be there.
        import os
        from importlib.metadata import PackageNotFoundError, version

        found = {}
        for package in PACKAGES:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "not there"
        return found, [name for name in names if not os.path.exists(name)]

    ours, _ = look()
    answers = _asked(client, addresses, look)
    _compare({host: versions for host, (versions, _) in answers.items()}, ours)
    for host, (_, absent) in answers.items():
        if absent:
            raise UnavailableError(
                "a worker that sees the same files",
                f"{host} does not see {', '.join(absent)}",
                "put acquisition and results into folders that all nodes share",
            )


def _minor(version: str) -> str:
    """Return 3.11 of 3.11.2."""
    return ".".join(version.split(".")[:2])


def _asked(client: "Client", addresses: Sequence[str], question: Any) -> dict[str, Any]:
    """Return the answers of workers, by address; one that has left meanwhile has none."""
    answers = client.run(question, workers=list(addresses), on_error="return")
    for at, answer in answers.items():
        if isinstance(answer, Exception) and not isinstance(answer, OSError):
            raise UnavailableError(
                "a worker that answers", f"{at}: {type(answer).__name__}: {answer}", "run it again"
            ) from answer
    return {at: answer for at, answer in answers.items() if not isinstance(answer, OSError)}


def _compare(found: Mapping[str, Mapping[str, str]], ours: Mapping[str, str]) -> None:
    """Name what differs."""
    for host, theirs in found.items():
        differing = [
            f"{name} {theirs[name]} instead of {version}"
            for name, version in ours.items()
            if theirs[name] != version
        ]
        if differing:
            raise UnavailableError(
                "the same versions on workers as here",
                f"on {host} {', '.join(differing)}",
                "let the profile name the Python of this environment (python: PATH), in a "
                "folder that all nodes share",
            )
