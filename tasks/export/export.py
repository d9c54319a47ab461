"""Export results: check what is asked for, write it aside, and put it in its place at the end."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orimap.tasks.errors import InputError, as_whole, words_of
from orimap.tasks.export.formats import FORMATS, PICTURES
from orimap.tasks.store import leftovers
from orimap.tasks.store.run_folder import require_outside_stores, try_writing

if TYPE_CHECKING:
    from orimap.tasks.export.contents import Contents

# In the folder of the results, unless another place is named.
EXPORTS = "exports"
# In every folder of files: what they show, and that they are ours.
RECORD = "export_{}.json"
DOTS_PER_INCH = 300
# What can be written where clusters were indexed.
OF_ORIENTATIONS = ("ang", "ctf")


def export_results(
    folder: Path,
    to: str,
    output: Path | None = None,
    *,
    revision: str | None = None,
    picture: str | None = None,
    dpi: int | None = None,
    force: bool = False,
) -> Path:
    """Write results in the format of another program.

    Parameters
    ----------
    folder : Path
        Of a run.
    to : str
        One of `formats.FORMATS`.
    output : Path, optional
        File or folder to write, by default in ``folder/exports``. A single file goes into a folder
        that is there.
    revision : str, optional
        Export this revision, not the automatic result.
    picture : {"png", "svg", "pdf"}, optional
        Of figures.
    dpi : int, optional
        Of figures, dots per inch.
    force : bool
        Replace files that are there. Others in the same folder stay.

    Returns
    -------
    Path
        What was written: a file, or a folder with a record, ``export_hspy.json``, beside
        the other files.

    Raises
    ------
    InputError
        If the format is unknown or cannot be written, there are no results, or no orientations
        that the format is for, or the place is taken or cannot be written. Nothing is left
        half-written.
    """
    _check_format(to)
    kind, dots = _check_figures(to, picture, dpi)
    from orimap.tasks.export.contents import read_contents

    contents = read_contents(folder, revision)
    if to in OF_ORIENTATIONS:
        from orimap.tasks.export.orientation_map import indexed_clusters

        indexed_clusters(contents)
    place, as_file = _place(folder, to, output, contents.name, revision)
    record = RECORD.format(to)
    earlier = _earlier(place / record) if force else ()
    if not force:
        _refuse_taken([place] if as_file else [], place if (place / record).exists() else None)
    require_outside_stores(place)
    # A folder that is there is written into, whatever is around it.
    home = place if place.is_dir() and not as_file else place.parent
    if output is None:
        home.mkdir(parents=True, exist_ok=True)
    _check_writable(home)
    leftovers.clear_folder(home)
    aside = leftovers.aside(home / (place.name or to))
    try:
        if as_file:
            _file_writers()[to](contents, aside)
            aside.replace(place)
            return place
        aside.mkdir()
        if to == "figures":
            from orimap.tasks.export.draw_figures import write_folder

            written = write_folder(contents, aside, folder / "analysis.zarr", kind, dots)
        else:
            written = _folder_writers()[to](contents, aside)
        _write_record(contents, to, aside / record, written)
        if not force:
            _refuse_taken([place / name for name in written])
        _move(aside, place, earlier)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        aside.unlink(missing_ok=True)
    return place


def _file_writers() -> Mapping[str, Callable[["Contents", Path], None]]:
    from orimap.tasks.export import write_ang, write_ctf, write_emd, write_hspy, write_tables

    return {
        "hspy": write_hspy.write_file,
        "emd": write_emd.write_file,
        "npz": write_tables.write_npz,
        "ang": write_ang.write_file,
        "ctf": write_ctf.write_file,
    }


def _folder_writers() -> Mapping[str, Callable[["Contents", Path], dict[str, str]]]:
    from orimap.tasks.export import write_blockfile, write_hspy, write_tables, write_tiff

    return {
        "hspy": write_hspy.write_folder,
        "tiff": write_tiff.write_folder,
        "csv": write_tables.write_csv,
        "blo": write_blockfile.write_folder,
    }


def _check_format(to: str) -> None:
    if isinstance(to, str) and to in FORMATS:
        return
    if to == "zspy":
        raise InputError(
            "a format that can be written here",
            "zspy, which hyperspy writes with Zarr 2, and orimap needs Zarr 3",
            "export hspy, and save it anew where hyperspy and Zarr 2 are installed: "
            "hs.load('mean_patterns.hspy').save('mean_patterns.zspy')",
        )
    found = repr(to) if isinstance(to, str) else f"{to!r}, which is not one name"
    raise InputError("a format to export to", found, f"choose one of {', '.join(FORMATS)}")


def _check_figures(to: str, picture: str | None, dpi: int | None) -> tuple[str, int]:
    """Return kind and dots per inch of figures; other formats have neither."""
    if to != "figures" and not (picture is None and dpi is None):
        given = [name for name, value in (("--format", picture), ("--dpi", dpi)) if value]
        raise InputError(
            f"{' and '.join(given) or '--dpi'} for figures only",
            f"--to {to}",
            f"leave {'it' if len(given) < 2 else 'them'} out, or export figures",
        )
    if picture is not None and picture not in PICTURES:
        raise InputError(
            "a format of figures", repr(picture), f"choose one of {', '.join(PICTURES)}"
        )
    dots = DOTS_PER_INCH if dpi is None else as_whole(dpi)
    if dots is None or not 10 <= dots <= 2400:
        raise InputError("10 to 2400 dots per inch", f"{dpi!r}", "300 suits most journals")
    return picture or "png", dots


def _place(
    folder: Path, to: str, output: Path | None, name: str, revision: str | None
) -> tuple[Path, bool]:
    """Return where to write, and whether that is one file."""
    form = FORMATS[to]
    own = f"{name}{form.file}" if form.file else to
    if output is None:
        return folder / EXPORTS / (revision or "") / own, form.file is not None
    if form.file and output.is_dir():
        return output / own, True
    ending = output.suffix.lower()
    if form.file and ending not in form.endings:
        raise InputError(
            f"a file name that ends in {form.file} for {to}",
            f"--output {output}",
            f"write --output {output.with_suffix(form.file)}",
        )
    if to == "hspy" and ending in form.endings and not output.is_dir():
        return output, True
    if not form.file and (output.is_file() or ending in form.endings):
        raise InputError(
            f"a folder, as {to} is several files",
            f"--output {output}, a file" if output.is_file() else f"--output {output}",
            f"write --output {output.with_suffix('')}" if ending else "give another folder",
        )
    return output, form.file is not None


def _refuse_taken(places: list[Path], exported: Path | None = None) -> None:
    """Refuse to write over what is there: files, or an earlier export in a folder."""
    taken = [place for place in places if place.exists()]
    if taken or exported:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise InputError(
            "a folder that does not exist yet"
            if exported
            else "the name of a file that does not exist yet",
            f"an earlier export in {exported}" if exported else f"{taken[0]}{more}",
            "write elsewhere with --output, or replace it with --force",
        )


def _check_writable(folder: Path) -> None:
    try:
        try_writing(folder)
    except OSError as error:
        raise InputError(
            "a folder that can be written",
            error.strerror or words_of(error),
            "create it, or write elsewhere with --output",
        ) from error


def _write_record(contents: "Contents", to: str, path: Path, written: dict[str, str]) -> None:
    """Write what the files of a folder show."""
    written[path.name] = "this list"
    record = {
        "format": to,
        "source": contents.facts.get("source_file"),
        "orimap_version": contents.version,
        "revision": contents.revision,
        "remarks": contents.remarks,
        "files": written,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False), "utf-8")


def _earlier(record: Path) -> tuple[str, ...]:
    """Return the files that an earlier export left in a folder, by its record."""
    try:
        files = json.loads(record.read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(name for name in files if Path(name).name == name)


def _move(aside: Path, place: Path, earlier: tuple[str, ...]) -> None:
    """Put a folder, or its files, where they belong; what an earlier export left over goes."""
    if not place.is_dir():
        aside.rename(place)
        return
    made = {file.name for file in aside.iterdir()}
    for file in sorted(aside.iterdir()):
        file.replace(place / file.name)
    for name in set(earlier) - made:
        (place / name).unlink(missing_ok=True)
