"""Draw the figures of the report again, for a paper or a talk: as png, svg or pdf."""

from dataclasses import replace
from pathlib import Path

from orimap.tasks.export.contents import Contents
from orimap.tasks.report.results import Results, read_results

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
        ``analysis.zarr``; of a revision, the groups in ``contents`` take the place of its own.
    kind : {"png", "svg", "pdf"}
    dpi : int
        Dots per inch; of svg and pdf, those of the images in them.
    """
    import matplotlib as mpl

    from orimap.tasks.report.drawings import FIGURES, report_drawings

    written = {}
    with mpl.rc_context(AS_TEXT):
        for drawing in report_drawings(_results(contents, results), FIGURES):
            name = f"{drawing.name}.{kind}"
            drawing.draw().savefig(folder / name, format=kind, dpi=dpi, facecolor="white")
            written[name] = drawing.alt
    return written


def _results(contents: Contents, store: Path) -> Results:
    """Return what the report shows, of the revision where there is one."""
    found = read_results(store)
    if contents.revision is None:
        return found
    tree = contents.tree
    groups = {
        name: tree[name].to_dataset() if name in tree.children else group
        for name, group in found.groups.items()
    }
    return replace(found, attrs=dict(tree.attrs), groups=groups)
