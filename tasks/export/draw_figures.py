"""Draw the figures of the report again, for a paper or a talk: as png, svg or pdf."""

from pathlib import Path

from orimap.tasks.export.contents import Contents
from orimap.tasks.report.results import read_results
from orimap.tasks.store.open_results import revision_store

# Text stays text, which an editor can change and a search can find.
AS_TEXT = {"svg.fonttype": "none", "pdf.fonttype": 42}


def write_folder(
    contents: Contents, folder: Path, results: Path, kind: str, dpi: int
) -> dict[str, str]:
    """Draw every figure that the results allow; return what each shows, by its name.

    Parameters
    ----------
    contents : Contents
    folder : Path
    results : Path
        ``analysis.zarr``; of a revision, its groups take the place of these.
    kind : {"png", "svg", "pdf"}
    dpi : int
        Dots per inch; of svg and pdf, those of the images in them.
    """
    import matplotlib as mpl

    from orimap.tasks.report.drawings.catalogue import FIGURES, report_drawings

    revision = contents.revision
    store = None if revision is None else revision_store(results.parent, revision)
    written = {}
    with mpl.rc_context(AS_TEXT):
        for drawing in report_drawings(read_results(results, store), FIGURES):
            name = f"{drawing.name}.{kind}"
            drawing.draw().savefig(folder / name, format=kind, dpi=dpi, facecolor="white")
            written[name] = drawing.alt
    return written
