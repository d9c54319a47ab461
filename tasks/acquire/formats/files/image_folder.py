"""Read a folder of images or of single Merlin frames, one pattern each, as a stack of patterns."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.files.merlin_files import merlin_frame
from orimap.tasks.acquire.formats.recognise import IMAGE_ENDINGS
from orimap.tasks.acquire.formats.signals import MappedFile, Signal, unknown_axes
from orimap.tasks.acquire.formats.stacks.image_names import some_of
from orimap.tasks.acquire.formats.stacks.place_frames import Spaced, spaced
from orimap.tasks.acquire.formats.stacks.place_images import place_images
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
from orimap.tasks.errors import InputError, is_out_of_reach, words_of

# Opening the header of an image costs about a tenth of a millisecond: up to this many are
# checked when the folder is opened, evenly spread, and each when it is read.
HEADERS_CHECKED_AT_MOST = 2000
MERLIN = ".mib"
TIFF = (".tif", ".tiff")
PHOTOMETRIC = 262  # number of the tag of a TIFF file that says what 0 is


def read_grey(path: Path) -> np.ndarray:
    """Read one image as (detector_y, detector_x), colours turned to grey.

    Returns
    -------
    (detector_y, detector_x) array
        Of the image's own kind of number. Equal channels are taken as they are; others are
        weighted as brightness (ITU-R BT.709) and rounded.
    """
    image = read_as_stored(path)
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[-1] not in (2, 3, 4):
        raise InputError(
            "one grey or colour image a file",
            f"{path.name} has the shape {'×'.join(map(str, image.shape))}",
            "export one pattern a file, or name the stack itself as the acquisition",
        )
    colours = image[..., :3] if image.shape[-1] > 2 else image[..., :1]
    if (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    grey = colours @ np.array([0.2126, 0.7152, 0.0722])
    return np.rint(grey).astype(image.dtype) if image.dtype.kind in "iu" else grey


def read_as_stored(path: Path) -> np.ndarray:
    """Read one image with all that its file holds: colours last, several images first."""
    if path.suffix.lower() == MERLIN:
        return MappedFile(path, merlin_frame(path).record, 0, (1,), upside_down=True)[0]
    plain = _plain_grey(path)
    if plain is not None:
        return plain
    from skimage.io import imread

    image = imread(path)
    if _zero_is_white(path) and image.dtype.kind == "u":
        image = np.iinfo(image.dtype).max - image
    return image


def _zero_is_white(path: Path) -> bool:
    """Tell whether a TIFF file says that 0 is white: what is bright has small numbers then."""
    from PIL import Image

    if path.suffix.lower() not in TIFF:
        return False
    try:
        with Image.open(path) as image:
            return bool(image.tag_v2.get(PHOTOMETRIC) == 0)  # type: ignore[attr-defined]
    except (OSError, SyntaxError, ValueError):
        return False  # of a kind that only the other reader knows


def _plain_grey(path: Path) -> np.ndarray | None:
    """Read an image of 8 bits of grey in a third of the time; None where it is anything else.

    A TIFF file may hold more than one image, of which this way of reading sees the first only.
    """
    from PIL import Image

    if path.suffix.lower() in TIFF:
        return None
    with Image.open(path) as image:
        return np.array(image) if image.mode == "L" else None


class ImageStack:
    """Images in a row, all like one of them; travels between processes as a list of names."""

    def __init__(self, files: Sequence[Path], like: Path) -> None:
        first = _read_whole(like)
        self.files, self.like = files, like
        self.dtype = first.dtype
        self.shape = (len(files), *first.shape)
        self.ndim = 3

    def __getitem__(self, cut: slice) -> np.ndarray:
        """Read the images of a slice along the first axis."""
        chosen = self.files[cut]
        patterns = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for pattern, file in zip(patterns, chosen, strict=True):
            image = _read_whole(file)
            if image.shape != pattern.shape or image.dtype != pattern.dtype:
                raise _odd_one_out(file, image, self.like, self)
            pattern[...] = image
        return patterns


def _read_whole(file: Path) -> np.ndarray:
    """Read one image; raise where it is not whole, naming it."""
    try:
        return read_grey(file)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_reach(error):
            raise
        raise _damaged(file, error) from error


def _header(file: Path) -> tuple[tuple[int, int], str]:
    """Return rows and columns by the header of an image, and the kind of its values.

    It may claim more than there is.
    """
    if file.suffix.lower() == MERLIN:
        frame = merlin_frame(file)
        frames = file.stat().st_size // frame.record.itemsize
        if frames != 1:
            raise InputError(
                "one frame a file in a folder of .mib files",
                f"{file.name} has {frames}",
                "give the .mib file of the acquisition itself",
            )
        return (frame.height, frame.width), str(frame.pixel_bytes)
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size[::-1], image.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if is_out_of_reach(error):
            raise
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> InputError:
    """Return the error for an image that cannot be read."""
    return InputError(
        f"a whole image ({file.name})",
        f"it is cut short or damaged ({words_of(error)[:200]})",
        "copy it again from the microscope",
    )


def open_images(
    folder: Path, asked: Asked = NOTHING_ASKED, endings: tuple[str, ...] = IMAGE_ENDINGS
) -> Signal:
    """Open the images of a folder, in the order of the scan.

    Parameters
    ----------
    folder : Path
    asked : Asked
    endings : tuple of str
        Of the files to take.

    Raises
    ------
    InputError
        If they differ in size, one is damaged, or their names do not tell where each belongs.
    """
    entries = [p for p in folder.iterdir() if p.suffix.lower() in endings and p.is_file()]
    found = [p for p in entries if not p.name.startswith(".")]
    hidden = [p.name for p in entries if p.name.startswith(".")]
    if not found:
        raise InputError(
            "images of one scan",
            f"{folder.name} holds hidden files only ({some_of(hidden)})",
            "give the folder of the acquisition itself",
        )
    placed = place_images(found, asked)
    files = placed.files
    stack = _open_stack(files)
    array: ImageStack | Spaced = stack
    no_data = None
    if placed.places is not None:
        array, no_data = spaced(stack, placed.places)
    kinds = sorted({p.suffix.lower() for p in files})
    notes = [f"{len(files)} images ({', '.join(kinds)}), from {files[0].name} to {files[-1].name}"]
    if len(kinds) > 1:
        notes.append("images of several kinds are taken together, in the order of their names")
    if hidden:
        many = "1 hidden file is" if len(hidden) == 1 else f"{len(hidden)} hidden files are"
        notes.append(f"{many} left out: {some_of(hidden)}")
    if _zero_is_white(files[0]) and stack.dtype.kind == "u":
        notes.append("the images say that 0 is white (TIFF): values are read the other way round")
    return Signal(
        folder.name,
        array,
        unknown_axes(array.shape),
        files,
        notes=(*notes, *placed.notes),
        scan_shape=placed.scan_shape,
        guesses=placed.guesses,
        unbroken_by=placed.unbroken_by,
        no_data=no_data,
    )


def _open_stack(files: Sequence[Path]) -> ImageStack:
    """Return images as a stack, after checking that they are of one size and kind.

    What most of them are is right; one of each further kind is read to see its values.
    """
    checked = np.unique(
        np.linspace(0, len(files) - 1, min(len(files), HEADERS_CHECKED_AT_MOST)).astype(int)
    )
    headers = {int(number): _header(files[number]) for number in checked}
    (size, kind), _ = Counter(headers.values()).most_common(1)[0]
    usual = next(number for number, header in headers.items() if header == (size, kind))
    stack = ImageStack(files, files[usual])
    kinds = {kind}
    for number, header in headers.items():
        if header[0] != size:
            raise _odd_one_out(files[number], np.empty(header[0], "V0"), files[usual], stack)
        if header[1] not in kinds:
            kinds.add(header[1])
            image = _read_whole(files[number])
            if image.dtype != stack.dtype or image.shape != stack.shape[1:]:
                raise _odd_one_out(files[number], image, files[usual], stack)
    return stack


def open_single_frames(folder: Path, asked: Asked = NOTHING_ASKED) -> Signal:
    """Open the Merlin files of a folder, of one frame each.

    Raises
    ------
    InputError
        As :func:`open_images`, and if a file holds more than one frame.
    """
    return open_images(folder, asked, (MERLIN,))


def _odd_one_out(file: Path, image: np.ndarray, like: Path, stack: ImageStack) -> InputError:
    """Return the error for an image that is unlike the others."""
    size, usual = ("×".join(map(str, shape)) for shape in (image.shape, stack.shape[1:]))
    if size == usual:
        size, usual = f"{size} of {image.dtype}", f"{usual} of {stack.dtype}"
    return InputError(
        f"images of one size and kind ({usual}, as {like.name})",
        f"{file.name} is {size}",
        "put into the folder nothing but the patterns of one scan",
    )
