"""Images that both the reference script and the tests compare, made anew from seeds."""

import numpy as np

SHAPES = [
    (11, 11),
    (12, 17),
    (96, 96),
    (97, 128),
    (255, 255),
    (256, 256),
    (257, 300),
    (383, 400),
    (384, 384),  # 1.5 blocks of 256: rounds to 2
    (385, 385),
    (400, 300),
    (512, 512),
    (515, 513),
    (640, 640),  # 2.5 blocks: rounds to even, 2
    (641, 700),  # 3 pixels a block, not a multiple
]
KINDS = ["noise", "pattern", "similar", "faint", "nearly_empty"]


def image_pair(kind: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return two float64 images in [0, 1] of the given kind and shape.

    ``noise``: unrelated uniform noise. ``pattern``: bright disks on a dim background, different
    disks in each. ``similar``: the same pattern twice with a little noise. ``faint``: disks without
    background, one image a tenth as bright. ``nearly_empty``: one bright pixel against nothing.
    """
    # PCG64 and Generator.random give the same stream in every version of NumPy.
    rng = np.random.Generator(np.random.PCG64([KINDS.index(kind), *shape]))
    if kind == "noise":
        return rng.random(shape), rng.random(shape)
    if kind == "nearly_empty":
        first, second = np.zeros(shape), np.zeros(shape)
        first[shape[0] // 3, shape[1] // 2] = 1
        return first, second
    background = 0.0 if kind == "faint" else 0.05
    first = _disks(rng, shape, background)
    if kind == "similar":
        return first, np.clip(first + 0.02 * (rng.random(shape) - 0.5), 0, 1)
    second = _disks(rng, shape, background)
    return (first, 0.1 * second) if kind == "faint" else (first, second)


def _disks(rng: np.random.Generator, shape: tuple[int, int], background: float) -> np.ndarray:
    """A dozen bright disks at random places on a dim background that fades from the centre."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2) / min(shape)
    image = background / (1 + 20 * distance**2)
    for _ in range(12):
        centre_y, centre_x, brightness = rng.random(3)
        inside = np.hypot(y - centre_y * shape[0], x - centre_x * shape[1]) < min(shape) / 40 + 1
        image[inside] = np.maximum(image[inside], brightness)
    return image / image.max()
