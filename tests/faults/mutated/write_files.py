"""Write one small scan in every format that can be written here, for `count.py` to damage.

Three grains at 12 x 15 positions, 32 x 32 pixels: small enough for hundreds of runs, clear enough
that the number is decided with high confidence, not square in what scans are mistaken by.
"""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import zarr
from PIL import Image

ROWS, COLUMNS, SIDE = 12, 15, 32
SPOTS = (((5, 8), (26, 24)), ((16, 4), (16, 28)), ((27, 6), (4, 25)))


def labels() -> np.ndarray:
    """Return the grain at every position: one at the left, two to the right of it."""
    grain = np.zeros((ROWS, COLUMNS), int)
    grain[:5, 6:], grain[5:, 6:] = 1, 2
    return grain


def scan() -> np.ndarray:
    """Return the patterns: (scan_y, scan_x, detector_y, detector_x), counts."""
    y, x = np.mgrid[:SIDE, :SIDE]
    beam = 0.02 + 12.0 * ((y - 16) ** 2 + (x - 16) ** 2 <= 9)
    grains = [beam + sum(4.0 * ((y - a) ** 2 + (x - b) ** 2 <= 5) for a, b in s) for s in SPOTS]
    patterns = np.stack([2000 * each / each.sum() for each in grains])
    return np.random.default_rng(0).poisson(patterns[labels()]).clip(0, 250).astype(np.uint16)


def npy(folder: Path, data: np.ndarray) -> Path:
    """NumPy's own."""
    np.save(folder / "scan.npy", data)
    return folder / "scan.npy"


def npy_columns_first(folder: Path, data: np.ndarray) -> Path:
    """NumPy's own, the last axis first."""
    np.save(folder / "scan.npy", np.asfortranarray(data))
    return folder / "scan.npy"


def blo(folder: Path, data: np.ndarray) -> Path:
    """A block file: marks before each pattern."""
    head = struct.pack(
        "<6sHIII4HHddIHId", b"IMGBLO", 258, 4096, 4096 + ROWS * COLUMNS, 0, SIDE, 0, COLUMNS, ROWS,
        0, 2.0, 2.0, 200_000, 6000, 0, 0.0,
    )  # fmt: skip
    records = [
        b"\xaaU" + struct.pack("<I", n) + p.astype("u1").tobytes() for n, p in enumerate(_row(data))
    ]
    path = folder / "scan.blo"
    path.write_bytes(head.ljust(4096, b"\0") + bytes(ROWS * COLUMNS) + b"".join(records))
    return path


def mib(folder: Path, data: np.ndarray) -> Path:
    """Merlin: a header before each frame, and a text beside."""
    path = folder / "scan.mib"
    frames = []
    for n, pattern in enumerate(_row(data)):
        moment = np.datetime64("2024-03-01T10:00:00", "ns")
        stamp = str(moment + np.timedelta64(n * 10**6 + n // COLUMNS * 5 * 10**6, "ns"))
        head = (
            f"MQ1,{n + 1:06d},00384,01,{SIDE:04d},{SIDE:04d},U16,   1x1,01,"
            f"{stamp[:26].replace('T', ' ')},0.001,0,0,0,1.2E+2,5.1E+1,0,0,0,0,0,0,3RX,175,511,000,"
            f"000,MQ1A,{stamp}Z,1000000ns,1,12"
        )
        frames.append(head.encode().ljust(384) + pattern[::-1].astype(">u2").tobytes())
    path.write_bytes(b"".join(frames))
    path.with_suffix(".hdr").write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{ROWS * COLUMNS}\n"
        f"Frames per Trigger (Number):\t{COLUMNS}\nEnd\t\n"
    )
    return path


def hdf5_compressed(folder: Path, data: np.ndarray) -> Path:
    """HDF5 in compressed chunks."""
    with h5py.File(folder / "scan.h5", "w") as file:
        chunks = (3, COLUMNS, SIDE, SIDE)
        file.create_dataset("a/frames", data=data, chunks=chunks, compression="gzip")
    return folder / "scan.h5"


def hdf5_plain(folder: Path, data: np.ndarray) -> Path:
    """HDF5 in one piece."""
    with h5py.File(folder / "scan.h5", "w") as file:
        file["frames"] = data
    return folder / "scan.h5"


def hdf5_virtual(folder: Path, data: np.ndarray) -> Path:
    """HDF5 whose rows lie in files of their own."""
    layout = h5py.VirtualLayout(data.shape, data.dtype)
    for n in range(3):
        with h5py.File(folder / f"part_{n}.h5", "w") as file:
            file["x"] = data[4 * n : 4 * n + 4]
        layout[4 * n : 4 * n + 4] = h5py.VirtualSource(f"part_{n}.h5", "x", data[:4].shape)
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    return folder / "scan.h5"


def nexus(folder: Path, data: np.ndarray) -> Path:
    """NeXus, with axes that are described."""
    with h5py.File(folder / "scan.nxs", "w") as file:
        group = file.create_group("entry/data")
        names = ["scan_y", "scan_x", "ky", "kx"]
        group.attrs.update(NX_class="NXdata", signal="counts", axes=names)
        group.create_dataset("counts", data=data, compression="gzip")
        for name, size in zip(names, data.shape, strict=True):
            along = group.create_dataset(name, data=np.arange(size) * 0.02)
            along.attrs["units"] = "nm" if "scan" in name else "1/angstrom"
    return folder / "scan.nxs"


def hspy(folder: Path, data: np.ndarray) -> Path:
    """HyperSpy's HDF5 form."""
    with h5py.File(folder / "scan.hspy", "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = file.create_group("Experiments/scan")
        group.create_dataset("data", data=data, compression="gzip")
        for n, size in enumerate(data.shape):
            group.create_group(f"axis-{n}").attrs.update(
                _type="UniformDataAxis", name="yxyx"[n], units="nm" if n < 2 else "1/nm",
                navigate=n < 2, scale=2.0 if n < 2 else 0.1, offset=0.0, size=size,
            )  # fmt: skip
        group.create_group("metadata/General").attrs["title"] = "scan"
    return folder / "scan.hspy"


def dectris(folder: Path, data: np.ndarray) -> Path:
    """A master file and two data files."""
    stack = _row(data)
    with h5py.File(folder / "scan_master.h5", "w") as file:
        for n, part in enumerate(np.array_split(stack, 2), 1):
            name = f"scan_data_{n:06d}.h5"
            with h5py.File(folder / name, "w") as other:
                other.create_dataset("entry/data/data", data=part, compression="gzip")
            file[f"entry/data/data_{n:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        detector = file.create_group("entry/instrument/detector/detectorSpecific")
        detector["ntrigger"], detector["nimages"] = len(stack), 1
    return folder / "scan_master.h5"


def swift(folder: Path, data: np.ndarray) -> Path:
    """Nion Swift's HDF5, with its description as JSON."""
    along = [{"offset": 0, "scale": 2.0, "units": "nm"}] * 2
    along += [{"offset": 0, "scale": 1e-3, "units": "rad"}] * 2
    told = {
        "collection_dimension_count": 2, "datum_dimension_count": 2, "is_sequence": False,
        "dimensional_calibrations": along, "metadata": {"instrument": {"high_tension": 1e5}},
    }  # fmt: skip
    with h5py.File(folder / "scan.h5", "w") as file:
        patterns = file.create_dataset("data/data", data=data, compression="gzip")
        patterns.attrs["properties"] = json.dumps(told)
    return folder / "scan.h5"


def stempy(folder: Path, data: np.ndarray) -> Path:
    """Lists of electrons."""
    with h5py.File(folder / "scan.h5", "w") as file:
        group = file.create_group("electron_events")
        several = h5py.special_dtype(vlen=np.dtype("u4"))
        frames = group.create_dataset("frames", (ROWS * COLUMNS,), dtype=several)
        for n, pattern in enumerate(data.reshape(ROWS * COLUMNS, -1)):
            frames[n] = np.repeat(np.arange(pattern.size), pattern).astype("u4")
        frames.attrs.update(Nx=SIDE, Ny=SIDE)
        places = group.create_dataset("scan_positions", data=np.arange(ROWS * COLUMNS, dtype="u4"))
        places.attrs.update(Nx=COLUMNS, Ny=ROWS)
    return folder / "scan.h5"


def zarr_folder(folder: Path, data: np.ndarray) -> Path:
    """A Zarr folder."""
    root = zarr.open_group(folder / "scan.zarr", mode="w")
    root.create_array("frames", data=data, chunks=(4, COLUMNS, SIDE, SIDE))
    return folder / "scan.zarr"


def zarr_zipped(folder: Path, data: np.ndarray) -> Path:
    """A zipped Zarr folder."""
    inside = zarr_folder(folder, data)
    path = folder / "scan.zarr.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for file in sorted(inside.rglob("*")):
            if file.is_file():
                zipped.write(file, file.relative_to(inside).as_posix())
    for file in sorted(inside.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    inside.rmdir()
    return path


def images(folder: Path, data: np.ndarray) -> Path:
    """A folder of images that say row and column."""
    place = folder / "scan"
    place.mkdir()
    for (y, x), pattern in zip(np.ndindex(ROWS, COLUMNS), _row(data), strict=True):
        Image.fromarray(pattern.astype(np.uint8)).save(place / f"p_x{x:02d}_y{y:02d}.png")
    return place


def tiff(folder: Path, data: np.ndarray) -> Path:
    """Patterns as slices of one TIFF file."""
    import tifffile

    tifffile.imwrite(folder / "scan.tif", _row(data))
    return folder / "scan.tif"


def mrc(folder: Path, data: np.ndarray) -> Path:
    """An MRC stack."""
    head = np.zeros(256, "<i4")
    head[:4] = SIDE, SIDE, ROWS * COLUMNS, 6
    head[7:10], head[52], head[53] = head[:3], 0x2050414D, 0x00004444
    (folder / "scan.mrc").write_bytes(head.tobytes() + _row(data).astype("<u2").tobytes())
    return folder / "scan.mrc"


def tvips(folder: Path, data: np.ndarray) -> Path:
    """A stream with a rotator index."""
    head = struct.pack("<13I", 256, 2, SIDE, SIDE, 16, 0, 0, 1, 1, 15600, 200, 0, 60)
    frames = [head.ljust(256, b"\0")]
    for n, pattern in enumerate(_row(data)):
        told = (n, 1_700_000_000 + n, 0, 0, 0.0, 0, 2, 0.0, 0.0, 0.0, 0.0, 0.0, n + 1, 0.0, 0.0)
        frames.append(struct.pack("<4IfII5fIff", *told) + pattern.astype("<u2").tobytes())
    (folder / "scan_000.tvips").write_bytes(b"".join(frames))
    return folder / "scan_000.tvips"


def ser(folder: Path, data: np.ndarray) -> Path:
    """TIA's series of images."""
    number, one = ROWS * COLUMNS, 50 + 2 * SIDE * SIDE
    axes = b"".join(
        struct.pack("<IddII", size, 0.0, 2e-9, 0, 1) + b"n" + struct.pack("<I", 1) + b"m"
        for size in (ROWS, COLUMNS)
    )
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, 0x0220, 0x4122, 0x4152, number, number)
    index = len(head) + 12 + len(axes)
    offsets = index + 16 * number + one * np.arange(number)
    tags = offsets[-1] + one + 6 * np.arange(number)
    told = struct.pack("<ddiddiHII", 0, 1, 0, 0, 1, 0, 2, SIDE, SIDE)
    body = b"".join(told + pattern[::-1].astype("<u2").tobytes() for pattern in _row(data))
    head += struct.pack("<QI", index, 2) + axes
    places = np.concatenate([offsets, tags]).astype("<u8").tobytes()
    (folder / "scan_1.ser").write_bytes(head + places + body + bytes(6 * number))
    return folder / "scan_1.ser"


def empad(folder: Path, data: np.ndarray) -> Path:
    """EMPAD: a text and a file of 128 x 128 pixels."""
    raw = np.zeros((ROWS * COLUMNS, 130, 128), "<f4")
    raw[:, :128] = np.kron(_row(data), np.ones((4, 4)))
    raw.tofile(folder / "scan_x15_y12.raw")
    (folder / "scan.xml").write_text(
        '<root name="scan"><raw_file filename="scan_x15_y12.raw"/>'
        f"<pix_x>{COLUMNS}</pix_x><pix_y>{ROWS}</pix_y></root>"
    )
    return folder / "scan.xml"


def _row(data: np.ndarray) -> np.ndarray:
    """Return the patterns one behind the other."""
    return data.reshape(-1, *data.shape[2:])


FORMATS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    each.__name__: each
    for each in (
        npy, npy_columns_first, blo, mib, hdf5_compressed, hdf5_plain, hdf5_virtual, nexus, hspy,
        dectris, swift, stempy, zarr_folder, zarr_zipped, images, tiff, mrc, tvips, ser, empad,
    )
}  # fmt: skip
# What their files do not say.
SHAPE = ("--scan-shape", f"{ROWS}x{COLUMNS}")
ASKED = dict.fromkeys(("dectris", "tiff", "mrc", "tvips"), SHAPE)
