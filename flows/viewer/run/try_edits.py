"""Try edits on finished results: the map that they would give, with nothing written.

What is drawn of is worked out once; every edit is made once, however many follow it.

Tested in tests/flows/viewer/test_run_routes.py.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orimap.flows.pipeline.redecide import HERE
from orimap.flows.pipeline.results import root_of
from orimap.flows.pipeline.revise import (
    all_steps,
    apply_all,
    drawn_grouping,
    require_first,
    require_groups,
    stored_grouping,
)
from orimap.flows.request.names import with_new_names
from orimap.flows.request.request import Request
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.store.groups import open_group
from orimap.tasks.store.run_folder import RunFolder

if TYPE_CHECKING:
    from orimap.tasks.maps.by_hand.revise import Grouping

# Maps after the last edits that were tried.
MOST_KEPT = 16


class Trial:
    """Finished results on which edits are tried.

    Parameters
    ----------
    directory : Path
        Of finished results.

    Raises
    ------
    InputError
        If they do not hold all that their map was drawn of.
    """

    def __init__(self, directory: Path) -> None:
        from orimap.tasks.maps.parts import grain_parts, parts_by_look

        root = root_of(RunFolder(directory))
        request = Request.read(**with_new_names({**root["request"], **HERE, "output": directory}))
        analysis, k = directory / "analysis.zarr", int(root["fitted_k"])
        require_groups(analysis)
        chosen, reflections = stored_grouping(analysis)
        groups = np.array(chosen, np.int16)
        if reflections:
            parts = grain_parts(
                analysis,
                k,
                None,
                split_bent=request.split_bent,
                component_cluster=groups,
                stored=open_group(analysis, "grains"),
            )
        else:
            parts = parts_by_look(analysis, k, None, component_cluster=groups)
        self.directory = directory
        self.analysis = analysis
        self._regularity = request.regularity
        self._lock = threading.Lock()
        self._tried: dict[str, Grouping] = {"[]": drawn_grouping(analysis, parts)}

    def after(self, steps: Sequence[Edits], source: str | None = None) -> "Grouping":
        """Return the grouping after some edits, one after the other.

        Parameters
        ----------
        steps : sequence of Edits
            May be none: then the grouping is that of the results, or of ``source``.
        source : str, optional
            A revision that they start from.

        Raises
        ------
        InputError
            If a cluster is not there, or cannot be split, or ``source`` is outdated.
        """
        every = all_steps(self.directory, steps, source)
        require_first(self.analysis, every)
        names = [json.dumps([step.stored() for step in every[:n]]) for n in range(len(every) + 1)]
        with self._lock:
            known = max(n for n, name in enumerate(names) if name in self._tried)
            grouping = self._tried[names[known]]
            for at in range(known, len(every)):
                grouping = apply_all(grouping, every[at : at + 1], self._regularity)
                self._keep(names[at + 1], grouping)
        return grouping

    def _keep(self, name: str, grouping: "Grouping") -> None:
        """Keep the grouping after some edits; of the first one all others can be made."""
        self._tried[name] = grouping
        while len(self._tried) > MOST_KEPT:
            oldest = next(each for each in self._tried if each != "[]")
            del self._tried[oldest]
