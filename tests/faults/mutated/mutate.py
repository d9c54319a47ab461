"""Damage a file in one of the ways that copies, disks and people do; each by its seed alone."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Headers and indices lie within so many bytes from either end.
HEADER_BYTES = 600


def flipped_bits(content: bytearray, rng: np.random.Generator) -> None:
    """Turn some bits around, anywhere."""
    for at in rng.integers(len(content), size=rng.integers(1, 9)):
        content[at] ^= 1 << rng.integers(8)


def flipped_header(content: bytearray, rng: np.random.Generator) -> None:
    """Turn some bits around where files say what they hold."""
    for at in rng.integers(min(HEADER_BYTES, len(content)), size=rng.integers(1, 9)):
        content[at] ^= 1 << rng.integers(8)


def cut(content: bytearray, rng: np.random.Generator) -> None:
    """Leave out the end."""
    del content[rng.integers(len(content)) :]


def cut_little(content: bytearray, rng: np.random.Generator) -> None:
    """Leave out a few bytes at the end."""
    del content[len(content) - min(len(content), rng.integers(1, 200)) :]


def zeros(content: bytearray, rng: np.random.Generator) -> None:
    """Put zeros in place of a piece, as disks do that have lost it."""
    size = min(len(content), int(rng.choice([16, 512, 4096, 65536])))
    at = rng.integers(len(content) - size + 1)
    content[at : at + size] = bytes(size)


def swapped(content: bytearray, rng: np.random.Generator) -> None:
    """Exchange two pieces of the size that disks store."""
    size = 512
    if len(content) < 4 * size:
        content.reverse()
        return
    a, b = (size * each for each in rng.integers(len(content) // size, size=2))
    content[a : a + size], content[b : b + size] = content[b : b + size], content[a : a + size]


def huge_number(content: bytearray, rng: np.random.Generator) -> None:
    """Put a very large number where files say how much they hold."""
    digits = [
        found for found in re.finditer(rb"\d+", bytes(content[:HEADER_BYTES])) if found[0] != b"0"
    ]
    if digits and rng.random() < 0.5:
        found = digits[rng.integers(len(digits))]
        content[found.start() : found.end()] = b"9" * len(found[0])
        return
    at = 2 * rng.integers(max(1, min(HEADER_BYTES, len(content)) // 2 - 2))
    content[at : at + 4] = bytes(rng.choice([b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\1\0"]))


def other_kind(content: bytearray, rng: np.random.Generator) -> None:
    """Exchange the names of kinds of number, where they are written out; else turn bits around."""
    kinds = [(b"<u2", b"<f2"), (b"<u2", b">u2"), (b"uint16", b"float6"), (b"U16", b"U08")]
    kinds += [(b"uint16", b"uint32"), (b"U16", b"R64"), (b"<u2", b"|O8"), (b"<u2", b"<i8")]
    there = [kind for kind in kinds if kind[0] in content]
    if not there:
        flipped_header(content, rng)
        return
    before, after = there[rng.integers(len(there))]
    at = content.index(before)
    content[at : at + len(before)] = after


def longer(content: bytearray, rng: np.random.Generator) -> None:
    """Put bytes into the middle or behind the end."""
    at = len(content) if rng.random() < 0.5 else rng.integers(len(content))
    content[at:at] = rng.bytes(int(rng.integers(1, 3000)))


WAYS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    flipped_bits, flipped_header, cut, cut_little, zeros, swapped, huge_number, other_kind, longer,
)  # fmt: skip


def mutate(folder: Path, seed: int) -> str:
    """Damage one of the files of an acquisition.

    Parameters
    ----------
    folder : Path
        That holds its files and nothing else.
    seed : int
        Way, file and place follow from it.

    Returns
    -------
    str
        What was done, to which file.
    """
    way = WAYS[seed % len(WAYS)]
    rng = np.random.default_rng(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    content = bytearray(path.read_bytes())
    way(content, rng)
    path.write_bytes(content)
    return f"{way.__name__} of {path.relative_to(folder)}"
