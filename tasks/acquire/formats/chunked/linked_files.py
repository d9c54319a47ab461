"""Find the files that an HDF5 file leads to: links, virtual data sets, data stored outside.

Nothing of a file is read before whoever asks has been told where it lies, and could refuse. Places
are those in which the HDF5 library looks, in its order.
"""

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orimap.tasks.acquire.formats.chunked.hdf5_files import load_h5py, opened
from orimap.tasks.errors import InputError

if TYPE_CHECKING:
    import h5py

# Is told of a file before it is opened, and may raise.
Allow = Callable[[Path], None]
# What h5py raises for links that lead nowhere, or in circles.
LEADS_NOWHERE = (OSError, RuntimeError, KeyError, ValueError)
# Links to links, one after the other, as the library follows them.
LINKS_AT_MOST = 40


def anything(_: Path) -> None:
    """Allow every file."""


def linked_files(path: Path, allow: Allow = anything) -> tuple[Path, ...]:
    """Return all files that anything in an HDF5 file leads to, and those that they lead to.

    Parameters
    ----------
    path : Path
        No HDF5 file leads nowhere.
    allow : callable
        Told of each file before it is opened.

    Raises
    ------
    Exception
        What ``allow`` raises.
    """
    found: dict[Path, None] = {}
    known, ahead = {_real(path)}, [path]
    while ahead:
        for place, holds_hdf5 in list(_leads_of(ahead.pop(), allow)):
            found[place] = None
            if holds_hdf5 and _real(place) not in known:
                known.add(_real(place))
                ahead.append(place)
    return tuple(found)


def files_behind(path: Path, name: bytes | str) -> tuple[Path, ...]:
    """Return the files, beside its own, from which one data set of an HDF5 file comes.

    Parameters
    ----------
    path : Path
    name : bytes or str
        Of the data set, from the root of the file.
    """
    found: dict[Path, None] = {}
    known: set[tuple[str, bytes]] = set()
    ahead = [(path, os.fsencode(name).strip(b"/"))]
    while ahead:
        file, name = ahead.pop(0)
        if (_real(file), name) in known:
            continue
        known.add((_real(file), name))
        try:
            for place, target in _behind(file, name):
                if place != file:
                    found[place] = None
                if target is not None:
                    ahead.append((place, target))
        except (InputError, *LEADS_NOWHERE):
            continue  # it has no data there, which reading finds out
    found.pop(path, None)
    return tuple(found)


def _behind(path: Path, name: bytes) -> list[tuple[Path, bytes | None]]:
    """Return where a data set of a file leads to: files, and the names of data sets in them."""
    h5py = load_h5py()
    with opened(path) as file:
        for _ in range(LINKS_AT_MOST):
            link, before, behind = _first_link(file, name)
            if link is None:
                break
            target = os.fsencode(link.path).strip(b"/")
            if isinstance(link, h5py.ExternalLink):
                place = _place_of_link(link, path)
                return [] if place is None else [(place, b"/".join(filter(None, (target, behind))))]
            absolute = os.fsencode(link.path).startswith(b"/")
            parts = [target, behind] if absolute else [before, target, behind]
            name = b"/".join(filter(None, parts))
        item = file.get(name)
        if not isinstance(item, h5py.Dataset):
            return []
        found: list[tuple[Path, bytes | None]] = [(place, None) for place in _stored_outside(item)]
        for source in item.virtual_sources() if item.is_virtual else ():
            target = os.fsencode(source.dset_name).strip(b"/")
            places = [path] if source.file_name == "." else _places_of_source(source, path)[0]
            found += [(place, target) for place in places]
        return found


def _first_link(file: "h5py.File", name: bytes) -> tuple[Any, bytes, bytes]:
    """Return the first name on the way to a data set that is a link; what comes before and after.

    None where there is no link on the way.
    """
    h5py = load_h5py()
    parts, group = name.split(b"/"), file
    for number, part in enumerate(parts):
        link = group.get(part, getlink=True)
        if isinstance(link, (h5py.SoftLink, h5py.ExternalLink)):
            return link, b"/".join(parts[:number]), b"/".join(parts[number + 1 :])
        group = group[part]
    return None, name, b""


def _leads_of(path: Path, allow: Allow) -> Iterator[tuple[Path, bool]]:
    """Yield the files that are named in a file, and whether each is opened as HDF5."""
    h5py = load_h5py()
    if not path.is_file() or not h5py.is_hdf5(path):
        return
    try:
        with opened(path) as file:
            leads = list(_named_in(file, path))
    except (InputError, *LEADS_NOWHERE):
        return  # whoever reads it says what is wrong with it
    for places, candidates, holds_hdf5 in leads:
        for place in candidates:
            allow(place)
        for place in places:
            yield place, holds_hdf5


def _named_in(file: "h5py.File", path: Path) -> Iterator[tuple[list[Path], list[Path], bool]]:
    """Yield what each link, source and outer storage of a file means: files, and possible ones."""
    h5py = load_h5py()
    seen, ahead = set(), [file["/"]]
    while ahead:
        group = ahead.pop()
        for name in group:
            try:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    candidates = _candidates(link.filename, path, "HDF5_EXT_PREFIX")
                    yield candidates[:1], candidates, True
                    continue
                if isinstance(link, h5py.SoftLink):
                    continue
                item = group.get(name)
            except LEADS_NOWHERE:
                continue
            if isinstance(item, h5py.Group):
                place = h5py.h5o.get_info(item.id).addr
                if place not in seen:
                    seen.add(place)
                    ahead.append(item)
            elif isinstance(item, h5py.Dataset):
                outside = _stored_outside(item)
                yield outside, outside, False
                for source in item.virtual_sources() if item.is_virtual else ():
                    if source.file_name != ".":
                        yield *_places_of_source(source, path), True


def _place_of_link(link: Any, path: Path) -> Path | None:
    """Return the file that an external link leads to, None where none is there."""
    return next(iter(_candidates(link.filename, path, "HDF5_EXT_PREFIX")), None)


def _places_of_source(source: Any, path: Path) -> tuple[list[Path], list[Path]]:
    """Return the files that a source of a virtual data set means, and all that it might mean.

    Its name may have a number in it, ``%b``, and means several then.
    """
    candidates = _candidates(source.file_name, path, "HDF5_VDS_PREFIX")
    return candidates if "%b" in source.file_name else candidates[:1], candidates


def _stored_outside(dataset: "h5py.Dataset") -> list[Path]:
    """Return the files in which the values of a data set lie plainly, outside the HDF5 file."""
    folder = Path(dataset.file.filename).absolute().parent
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(folder))
    places = [Path(prefix, os.fsdecode(name)) for name, *_ in dataset.external or ()]
    return [place.absolute() for place in dict.fromkeys(places) if os.path.exists(place)]


def _candidates(name: str, path: Path, prefix_variable: str) -> list[Path]:
    """Return the files that are there of those in which the library would look for a name.

    Parameters
    ----------
    name : str
        As a link or a virtual data set has it.
    path : Path
        Of the file that it stands in.
    prefix_variable : str
        Of the environment, with folders to look into first.
    """
    folder, real = path.absolute().parent, Path(_real(path)).parent
    prefixes = os.environ.get(prefix_variable, "").replace("${ORIGIN}", str(folder)).split(":")
    relative = os.path.basename(name) if os.path.isabs(name) else name
    places = [Path(name)] if os.path.isabs(name) else []
    places += [Path(prefix, relative) for prefix in prefixes if prefix]
    places += [folder / relative, folder / os.path.basename(name), real / relative, Path(relative)]
    found: list[Path] = []
    for place in places:
        if "%b" in name:
            numbered = sorted(glob.glob(glob.escape(os.fspath(place)).replace("%b", "*")))
            found += [Path(each).absolute() for each in numbered]
        elif os.path.exists(place):
            found.append(place.absolute())
    return list(dict.fromkeys(found))


def _real(path: Path) -> str:
    """Return a path without links."""
    return os.path.realpath(path)
