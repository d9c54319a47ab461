"""The address of a run's page in the viewer, for links that work in a browser.

Never with the token: who follows the link is asked for it, or has a cookie.
"""

import os
from pathlib import Path
from urllib.parse import quote

# Set by orimap up: the address of the viewer, and the folder whose runs it shows.
VIEW_VARIABLE = "ORIMAP_VIEW"
RESULTS_VARIABLE = "ORIMAP_RESULTS"


def page_of(output: Path) -> str | None:
    """Return the address of the page of a run, None where no viewer shows it.

    Parameters
    ----------
    output : Path
        Folder of the run.
    """
    view, results = os.environ.get(VIEW_VARIABLE, ""), os.environ.get(RESULTS_VARIABLE, "")
    if not view.startswith(("http://", "https://")) or not results:
        return None
    try:
        below = output.resolve().relative_to(Path(results).resolve())
    except (OSError, ValueError):
        return None
    if below == Path():
        return None
    return f"{view.rstrip('/')}/runs/{quote(os.fsencode(below))}/"
