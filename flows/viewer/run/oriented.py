"""Say which crystals there are and how clusters lie, for the page of a run.

Tested in tests/flows/viewer/run/test_oriented.py.
"""

from dataclasses import asdict
from io import BytesIO
from typing import Any

import numpy as np

from orimap.tasks.report.page import data_address
from orimap.tasks.view.oriented import Oriented


def orientations_words(found: Oriented) -> dict[str, Any]:
    """Return the crystals with their colour keys, and what is said of each cluster."""
    return {
        "crystals": [
            {"name": crystal.name, "colour": colour, "key": _key(found, n)}
            for n, (crystal, colour) in enumerate(
                zip(found.crystals, found.colours_of_crystals, strict=True)
            )
        ],
        "clusters": [
            {
                "number": each.cluster + 1,
                "indexed": each.indexed,
                "crystal": each.phase,
                "zone": each.zone,
                "reliability": each.reliability,
                "margin": each.margin,
                "ambiguous": each.ambiguous,
                "remark": each.remark,
                "neighbours": [
                    {"number": other + 1, "angle": row.angle, "axis": row.axis, "name": row.name}
                    for other, row in found.neighbours(each.cluster)
                ],
            }
            for each in found.clusters
        ],
    }


def reflections_words(found: Oriented, number: int) -> dict[str, Any]:
    """Return the simulated reflections of a cluster counted from 1, the brightest first."""
    return {"reflections": [asdict(each) for each in found.reflections(number - 1)]}


def _key(found: Oriented, crystal: int) -> dict[str, Any]:
    """Return the colour key of a crystal as a picture, with the places and names of its corners."""
    from PIL import Image

    image, corners, names = found.key(crystal)
    png = BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(png, "png")
    return {
        "image": data_address(png.getvalue()),
        "height": image.shape[0],
        "width": image.shape[1],
        "corners": [
            {"x": float(x), "y": float(y), "name": name}
            for (x, y), name in zip(corners, names, strict=True)
        ],
    }
