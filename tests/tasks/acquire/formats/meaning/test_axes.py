"""Which axes are the scan, in arrays and in files of every kind that says it."""

import itertools
import struct

import h5py
import numpy as np
import pytest
import zarr

from orimap.tasks.acquire.acquisition import _opened
from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.axes import Reordered, in_order, weigh
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

ALL = slice(None)
OURS = ("scan_y", "scan_x", "detector_y", "detector_x")
DETECTOR_FIRST = (2, 3, 0, 1)
X_FIRST = (1, 0, 3, 2)


def axes_of(names="....", units="....", flags="....", sizes=(6, 7, 4, 5)):
    """Axes from one word each, a dot where nothing is said."""

    def words(text):
        return ["" if word == "." else word for word in (text.split() if " " in text else text)]

    known = {"T": True, "F": False}
    return tuple(
        Axis(name, size, 1.0, unit, known.get(flag))
        for name, unit, flag, size in zip(
            words(names), words(units), words(flags), sizes, strict=True
        )
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_array_in_any_order_is_cut_as_if_it_were_in_ours(small_scan, order):
    stored = np.ascontiguousarray(small_scan.transpose(order))
    array = Reordered(stored, tuple(int(n) for n in np.argsort(order)))
    assert (array.shape, array.ndim, array.dtype) == (small_scan.shape, 4, small_scan.dtype)
    np.testing.assert_array_equal(array[1:3, 2:5], small_scan[1:3, 2:5])
    np.testing.assert_array_equal(array[2, 1:4], small_scan[2, 1:4])
    np.testing.assert_array_equal(array[3], small_scan[3])


@pytest.mark.parametrize(
    ("names", "units", "flags"),
    [
        ("ky kx scan_y scan_x", "....", "...."),
        ("ky kx y x", "....", "TTFF"),  # flags only say how it was shown
        ("....", "1/nm 1/nm nm nm", "...."),
        ("....", "mrad mrad nm nm", "TTFF"),
        ("....", "1/nm 1/nm . .", "...."),
        ("ky kx . .", "....", "...."),
        ("ky kx y x", "1/nm 1/nm nm nm", "TTFF"),
        ("....", "....", "FFTT"),
        (". . scan_y scan_x", "....", "...."),
        ("y x y x", "1/nm 1/nm nm nm", "...."),
    ],
)
def test_a_detector_that_comes_first_is_told(names, units, flags):
    reading = weigh(axes_of(names, units, flags))
    assert reading.kinds == ("detector", "detector", "scan", "scan")


@pytest.mark.parametrize(
    ("names", "units", "flags"),
    [
        ("scan_y scan_x ky kx", "nm nm 1/nm 1/nm", "TTFF"),
        ("y x dy dx", "nm nm cm cm", "TTFF"),
        ("....", "....", "TTFF"),
        ("y x y x", "nm nm nm nm", "TTFF"),
        (". . y x", "....", "TTFF"),  # patterns have a y and an x too
        ("....", ". . nm nm", "TTFF"),  # and a size in the microscope's own words
        ("y x ky kx", "nm nm mrad nm", "TTFF"),  # one wrong unit beside names that tell all
    ],
)
def test_a_scan_that_comes_first_stays(names, units, flags):
    assert weigh(axes_of(names, units, flags)).kinds == ("scan", "scan", "detector", "detector")


@pytest.mark.parametrize("names", ["....", "dim_0 dim_1 dim_2 dim_3", "phony_dim_0 axis1 2 dim-3"])
def test_where_nothing_is_said_nothing_is_claimed(names):
    assert weigh(axes_of(names)) == (None, "", "", "", "")


@pytest.mark.parametrize(
    ("names", "units"),
    [
        ("y x u v", "...."),
        ("y x . .", "...."),
        ("a b c d", "nm nm . ."),
        ("row col height width", "...."),
        ("....", "nm nm px px"),
        ("....", "nm nm nm nm"),
    ],
)
def test_what_speaks_for_the_usual_order_makes_it_no_guess(names, units):
    assert weigh(axes_of(names, units)) == (None, "", "", "", "")


@pytest.mark.parametrize(
    ("names", "units"),
    [
        ("a b c d", "...."),
        ("y x y x", "...."),
        ("qw k . .", "...."),
        (". . y x", "...."),  # patterns have a y and an x too
        ("....", ". . nm nm"),
        (". . . kx", "...."),
        ("a y x b", "...."),
    ],
)
def test_names_that_do_not_tell_make_the_usual_order_a_guess(names, units):
    reading = weigh(axes_of(names, units))
    assert reading.kinds == ("scan", "scan", "detector", "detector")
    assert reading.guess.startswith("which axes are the scan: the first two, the usual order")
    assert reading.guess.endswith("; --axes settles it)")
    assert weigh(axes_of(names, units, "TTFF")).guess == ""


@pytest.mark.parametrize(
    ("names", "units"),
    [
        ("u v x y", "...."),
        ("u v y x", "...."),
        ("a b row col", "nm nm . ."),
        ("a b c d", ". . nm nm"),
    ],
)
def test_names_that_make_the_last_axes_rather_the_scan_are_refused(names, units):
    reading = weigh(axes_of(names, units))
    assert reading.kinds is None
    assert "makes it rather the last two" in reading.contradiction
    assert weigh(axes_of(names, units, "TTFF")).contradiction == ""


def test_axes_of_a_stack_may_be_called_anything():
    assert weigh(axes_of("u v w", "...", "...", (9, 4, 5))) == (None, "", "", "", "")
    assert weigh(axes_of("i y x", "...", "...", (9, 4, 5))).guess == ""


def test_what_overrules_the_flags_alone_is_a_guess_and_what_agrees_is_none():
    names = weigh(axes_of("ky kx y x", "....", "TTFF"))
    assert names.guess == (
        "which axes are the scan: names, against the flags of the file "
        "(axes 1 and 2 are the detector; --axes settles it)"
    )
    assert weigh(axes_of("ky kx y x", "1/nm 1/nm nm nm", "TTFF")).guess == ""
    assert weigh(axes_of("ky kx y x")).guess == ""


@pytest.mark.parametrize(
    ("names", "units", "flags"),
    [
        ("scan_y scan_x ky kx", "1/nm 1/nm nm nm", "...."),
        ("scan_y scan_x ky kx", "1/nm 1/nm nm nm", "TTFF"),
        ("ky kx scan_y scan_x", "nm nm mrad mrad", "TTFF"),
        ("kx . . .", "....", "...."),
    ],
)
def test_names_and_units_that_contradict_each_other_are_refused(names, units, flags):
    reading = weigh(axes_of(names, units, flags))
    assert reading.kinds is None
    assert "axes 1 and 2 are the detector" in reading.contradiction


@pytest.mark.parametrize(
    ("names", "units", "flags", "why"),
    [
        ("depth bin_outer_angle R_y R_x", "....", "TTFF", "depth (6), bin_outer_angle (7)"),
        ("....", "Å mrad nm nm", "TTFF", "1 of its axes"),
        ("y x scan Energy", "nm nm . eV", "TTTF", "Energy (5)"),
        ("....", "....", "TTTF", "1 of its axes"),
        ("....", "nm nm nm keV", "....", "neither of the scan nor of the detector"),
    ],
)
def test_virtual_detectors_and_spectra_are_no_scans(names, units, flags, why):
    assert why in weigh(axes_of(names, units, flags)).unfit


def test_series_are_read_first_and_stacks_keep_their_one_scan_axis():
    five = axes_of("scan_y scan_x time ky kx", ".....", ".....", (4, 5, 3, 6, 7))
    array = np.arange(4 * 5 * 3 * 6 * 7).reshape(4, 5, 3, 6, 7)
    read = in_order(Signal("", array, five, ()))
    assert read.array.shape == (3, 4, 5, 6, 7)
    np.testing.assert_array_equal(read.array[1, 2:4, 1:3], array[2:4, 1:3, 1])
    stack = axes_of("ky kx position", "...", "...", (6, 7, 20))
    read = in_order(Signal("", np.zeros((6, 7, 20)), stack, ()))
    assert read.array.shape == (20, 6, 7)
    time = axes_of("time y x", "s . .", "...", (20, 6, 7))
    assert in_order(Signal("", np.zeros((20, 6, 7)), time, ())).array.shape == (20, 6, 7)


def test_x_before_y_is_turned_but_for_programs_that_count_rows_by_x():
    array = np.zeros((5, 4, 7, 6))
    turned = in_order(Signal("", array, axes_of("x y kx ky", sizes=array.shape), ()))
    assert turned.array.shape == (4, 5, 6, 7)
    assert turned.notes == (
        "axes stored as x (5), y (4), kx (7), ky (6) are read as y (4), x (5), ky (6), kx (7): "
        "their names say which are rows and columns",
    )
    kept = in_order(Signal("", array, axes_of("Rx Ry Qx Qy", sizes=array.shape), ()))
    assert kept.array is array
    assert "count rows" in kept.notes[0]
    plain = in_order(Signal("", array, axes_of(sizes=array.shape), ()))
    assert (plain.array is array, plain.notes, plain.axes[0].navigate) == (True, (), None)


def test_a_guess_says_what_axes_are_called():
    assert weigh(axes_of("a b c d", ". . px .")).guess == (
        "which axes are the scan: the first two, the usual order, since what their file calls them "
        "does not tell (a (6), b (7), c (4) px, d (5); --axes settles it)"
    )


def test_names_and_units_together_overrule_flags_and_one_of_them_does_not():
    both = weigh(axes_of("height width y x", "px px nm nm", "TTFF"))
    assert both.kinds == ("detector", "detector", "scan", "scan")
    assert both.guess.startswith("which axes are the scan: names and units, against the flags")
    assert weigh(axes_of("height width y x", "px px nm nm", "FFTT")).guess == ""
    assert weigh(axes_of("height width y x", "px px px px", "TTFF")).kinds[0] == "scan"


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        ("x y kx ky", "scan_y,scan_x,detector_y,detector_x"),
        ("ky kx scan_y scan_x", "scan_y,scan_x,detector_y,detector_x"),
        ("R_x R_y Q_x Q_y", "scan_x,scan_y,detector_x,detector_y"),
    ],
)
def test_axes_that_are_asked_for_against_clear_names_are_a_guess(names, asked):
    array = np.zeros((6, 7, 4, 5))
    read = in_order(Signal("", array, axes_of(names), ()), asked.split(","))
    (guess,) = read.guesses
    assert "as --axes says, although the file calls them" in guess


@pytest.mark.parametrize(
    ("names", "flags", "asked"),
    [
        ("x y kx ky", "....", "scan_x,scan_y,detector_x,detector_y"),
        ("x y kx ky", "....", "scan_x,scan_y,detector_y,detector_x"),  # the map is the same
        ("....", "TTFF", "detector_y,detector_x,scan_y,scan_x"),
        ("a b c d", "....", "scan_x,scan_y,detector_y,detector_x"),
        ("a b ky kx", "....", "scan_x,scan_y,detector_y,detector_x"),
    ],
)
def test_axes_that_are_asked_for_are_else_no_guess(names, flags, asked):
    array = np.zeros((6, 7, 4, 5))
    read = in_order(Signal("", array, axes_of(names, flags=flags), ()), asked.split(","))
    assert read.guesses == ()


@pytest.mark.parametrize(
    ("shape", "guess"),
    [
        ((48, 64, 14, 20), True),
        ((256, 256, 10, 10), True),
        ((128, 128, 9, 12), True),
        ((14, 20, 48, 64), False),
        ((64, 64, 16, 16), False),
        ((40, 50, 12, 12), False),
        ((8, 8, 6, 7), False),
    ],
)
def test_sizes_that_speak_against_the_usual_order_make_it_a_guess(shape, guess):
    array = np.zeros(shape, "u1")
    for names in ("....", "dim_0 dim_1 dim_2 dim_3"):
        read = in_order(Signal("", array, axes_of(names, sizes=shape), ()))
        assert read.array is array
        assert ["would be the size of a detector" in each for each in read.guesses] == [
            True
        ] * guess
    named = in_order(Signal("", array, axes_of("y x ky kx", sizes=shape), ()))
    assert named.guesses == ()


# In files.


def write_zarr(path, data, names, units):
    root = zarr.open_group(path, mode="w")
    root.create_array("counts", data=data, dimension_names=names)
    for name, size, unit in zip(names, data.shape, units, strict=True):
        values = np.arange(size) * (2.0 if unit == "nm" else 0.02)
        root.create_array(name, data=values, attributes={"units": unit})


def write_hspy(path, data, names, units):
    with h5py.File(path, "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = file.create_group("Experiments/scan")
        group["data"] = data
        group.create_group("metadata/General").attrs["title"] = "scan"
        for number, (name, size, unit) in enumerate(zip(names, data.shape, units, strict=True)):
            group.create_group(f"axis-{number}").attrs.update(
                name=name, units=unit, navigate=number < 2, size=size, offset=0.0,
                scale=2.0 if unit == "nm" else 0.02,
            )  # fmt: skip


def write_nexus(path, data, names, units):
    with h5py.File(path, "w") as file:
        file["entry/detector/data"] = data
        group = file.create_group("entry/data")
        group["counts"] = h5py.SoftLink("/entry/detector/data")
        group.attrs.update(NX_class="NXdata", signal="counts", axes=list(names))
        for name, size, unit in zip(names, data.shape, units, strict=True):
            group[name] = np.arange(size) * (2.0 if unit == "nm" else 0.02)
            group[name].attrs["units"] = unit


WRITERS = [(write_zarr, "scan.zarr"), (write_hspy, "scan.hspy"), (write_nexus, "scan.nxs")]


@pytest.mark.parametrize(("write", "file"), WRITERS)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), DETECTOR_FIRST, X_FIRST, (3, 2, 1, 0)])
def test_files_are_read_rightly_in_whatever_order_they_store(
    tmp_path, small_scan, write, file, order
):
    names = [OURS[n] for n in order]
    units = [("nm", "nm", "1/Å", "1/Å")[n] for n in order]
    write(tmp_path / file, np.ascontiguousarray(small_scan.transpose(order)), names, units)
    acquisition = open_acquisition(tmp_path / file)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    np.testing.assert_array_equal(acquisition.read(slice(1, 3), slice(2, 4)), small_scan[1:3, 2:4])
    row = list(acquisition.read_row(2, [0, 3, 4]))
    np.testing.assert_array_equal(row, small_scan[2, [0, 3, 4]])
    assert (acquisition.scan_step, acquisition.scan_units) == ((2.0, 2.0), "nm")
    assert acquisition.detector_step == pytest.approx((0.02, 0.02))
    stored = [note for note in acquisition.notes if note.startswith("axes stored as")]
    assert (len(stored), acquisition.guesses) == (order != (0, 1, 2, 3), ())


@pytest.mark.parametrize(("write", "file"), WRITERS)
def test_a_contradiction_is_refused_until_somebody_says_which_it_is(
    tmp_path, small_scan, write, file
):
    write(tmp_path / file, small_scan, OURS, ("1/Å", "1/Å", "nm", "nm"))
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / file)
    assert "the names of its axes say axes 3 and 4 are the detector" in error.value.found
    assert "--axes scan_y,scan_x,detector_y,detector_x" in error.value.remedy
    acquisition = open_acquisition(tmp_path / file, axes="scan_y,scan_x,ky,kx")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)


@pytest.mark.parametrize(("write", "file"), [WRITERS[0], WRITERS[2]])
def test_names_that_say_nothing_are_a_guess_and_misleading_ones_are_asked_about(
    tmp_path, small_scan, write, file
):
    write(tmp_path / file, small_scan, "abcd", ("", "", "", ""))
    acquisition = open_acquisition(tmp_path / file)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert "a (4), b (5), c (6), d (7); --axes settles it" in acquisition.guesses[0]
    assert not any("the first two axes are taken" in note for note in acquisition.notes)
    asked = open_acquisition(tmp_path / file, axes="scan_y,scan_x,ky,kx")
    assert (asked.guesses, asked.scan_shape) == ((), (4, 5))
    other = tmp_path / f"other_{file}"
    write(other, small_scan, "uvxy", ("", "", "", ""))
    with pytest.raises(InputError) as error:
        open_acquisition(other)
    assert "its axes are u (4), v (5), x (6), y (7)" in error.value.found
    assert "--axes scan_y,scan_x,detector_y,detector_x" in error.value.remedy
    asked = open_acquisition(other, axes="ky,kx,scan_y,scan_x")
    assert (asked.guesses, asked.scan_shape) == ((), (6, 7))


@pytest.mark.parametrize("order", [DETECTOR_FIRST, X_FIRST, (2, 0, 3, 1)])
def test_a_file_that_says_nothing_is_read_as_somebody_says(tmp_path, small_scan, order):
    np.save(tmp_path / "scan.npy", small_scan.transpose(order))
    asked = ",".join(OURS[n] for n in order)
    acquisition = open_acquisition(tmp_path / "scan.npy", axes=asked)
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert "as --axes says" in acquisition.notes[0]
    _opened.clear()  # as in another process, which opens the file itself
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.identity != open_acquisition(tmp_path / "scan.npy").identity
    with pytest.raises(InputError, match="4 axes, and --axes names 3"):
        open_acquisition(tmp_path / "scan.npy", axes="scan,ky,kx")


def write_dm4(path, data, units, swapped=None):
    """A DM4 file with one image; its dimensions are listed with the fastest first."""

    def entry(name, body, kind):
        head = struct.pack(">BH", kind, len(name)) + name.encode()
        return head + struct.pack(">Q", len(body)) + body

    def group(name, *entries, ordered=False):
        return entry(name, inside(*entries), 20)

    def inside(*entries):
        return struct.pack(">BBQ", 0, 0, len(entries)) + b"".join(entries)

    def value(name, code, packed):
        return entry(name, b"%%%%" + struct.pack(">QQ", 1, code) + packed, 21)

    def number(name, n):
        return value(name, 5, struct.pack("<I", n))

    def real(name, x):
        return value(name, 6, struct.pack("<f", x))

    def array(name, code, values):
        body = b"%%%%" + struct.pack(">QQQQ", 3, 20, code, values.size) + values.tobytes()
        return entry(name, body, 21)

    def text(name, words):
        return array(name, 4, np.frombuffer(words.encode("utf-16-le"), "<u2"))

    steps = {"nm": 2.0, "1/nm": 0.2, "": 1.0}
    calibrations = [
        group("", real("Origin", 0), real("Scale", steps[unit]), text("Units", unit or " "))
        for unit in units[::-1]
    ]
    brightness = group("Brightness", real("Origin", 0), real("Scale", 1), text("Units", " "))
    image = group(
        "",
        group(
            "ImageData",
            group("Calibrations", brightness, group("Dimension", *calibrations)),
            array("Data", 4, data.astype("<u2").ravel()),
            number("DataType", 10),
            group("Dimensions", *(number("", size) for size in data.shape[::-1])),
            number("PixelDepth", 2),
        ),
        group("ImageTags", number("Nothing", 0))
        if swapped is None
        else group(
            "ImageTags", group("Meta Data", value("Data Order Swapped", 8, bytes([swapped])))
        ),
        text("Name", "scan"),
    )
    body = inside(group("ImageList", image))
    path.write_bytes(struct.pack(">IQI", 4, len(body) + 8, 1) + body + bytes(8))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), DETECTOR_FIRST])
def test_dm4_files_are_read_by_their_units(tmp_path, small_scan, order):
    units = [("nm", "nm", "1/nm", "1/nm")[n] for n in order]
    write_dm4(tmp_path / "scan.dm4", small_scan.transpose(order), units)
    acquisition = open_acquisition(tmp_path / "scan.dm4")
    assert acquisition.reader == "DigitalMicrograph"
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.scan_step == (2.0, 2.0)
    assert acquisition.detector_step == pytest.approx((0.02, 0.02))


@pytest.mark.parametrize(("swapped", "order"), [(True, (0, 1, 2, 3)), (False, DETECTOR_FIRST)])
def test_dm4_files_without_units_are_read_by_what_they_say_of_their_order(
    tmp_path, small_scan, swapped, order
):
    write_dm4(tmp_path / "scan.dm4", small_scan.transpose(order), [""] * 4, swapped)
    acquisition = open_acquisition(tmp_path / "scan.dm4")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.guesses == ()


def test_dm4_files_that_say_nothing_of_their_order_are_a_guess(tmp_path, small_scan):
    write_dm4(tmp_path / "scan.dm4", small_scan, [""] * 4)
    acquisition = open_acquisition(tmp_path / "scan.dm4")
    np.testing.assert_array_equal(acquisition.read(ALL, ALL), small_scan)
    assert acquisition.guesses == (
        "which axes are the scan: the first two, the usual order, although versions of "
        "DigitalMicrograph differ, and this file does not tell (--axes settles it)",
    )
    asked = open_acquisition(tmp_path / "scan.dm4", axes="scan_y,scan_x,ky,kx")
    assert asked.guesses == ()


def write_prismatic(path, *, patterns):
    """Depths of virtual detectors, rings in each, and where asked depths of patterns."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        root = file.create_group("4DSTEM_simulation")
        root.attrs.update(emd_group_type=2, version_major=0, version_minor=5)
        parameters = root.create_group("metadata/metadata_0/original/simulation_parameters")
        parameters.attrs.update(
            ns=2, s=1.0, t=np.float32([1, 1, 4]), c=np.float32([1, 1, 1]), zs=0.0
        )
        for depth in range(3):
            where = f"data/realslices/virtual_detector_depth{depth:04d}"
            _emd_array(
                root.create_group(where),
                "realslice",
                rng.random((4, 5, 9)),
                [("R_x", "[n_m]"), ("R_y", "[n_m]"), ("bin_outer_angle", "[mrad]")],
            )
        if patterns:
            where = "data/datacubes/CBED_array_depth0000"
            _emd_array(root.create_group(where), "datacube", rng.random((4, 5, 6, 7)),
                       [("R_x", "[n_m]"), ("R_y", "[n_m]"),
                        ("Q_x", "[n_m^-1]"), ("Q_y", "[n_m^-1]")])  # fmt: skip


def _emd_array(group, name, data, axes):
    group.attrs.update(emd_group_type=1, metadata=0)
    group[name] = data.astype("f4")
    for number, ((label, units), size) in enumerate(zip(axes, data.shape, strict=True), 1):
        group[f"dim{number}"] = np.arange(size, dtype="f4") * 0.1
        group[f"dim{number}"].attrs.update(name=np.bytes_(label), units=np.bytes_(units))


def test_depths_of_virtual_detectors_are_no_scan_and_their_patterns_are(tmp_path):
    write_prismatic(tmp_path / "rings.emd", patterns=False)
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "rings.emd")
    assert "bin_outer_angle" in error.value.found
    write_prismatic(tmp_path / "both.emd", patterns=True)
    assert open_acquisition(tmp_path / "both.emd").detector_shape == (6, 7)


def test_patterns_in_files_of_their_own_have_no_order_to_ask_for(tmp_path, small_scan):
    from PIL import Image

    for number, pattern in enumerate(small_scan.reshape(20, 6, 7).astype("u1")):
        Image.fromarray(pattern).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="one pattern after the other"):
        open_acquisition(tmp_path, axes="ky,kx,scan", scan_shape=(4, 5))


@pytest.mark.parametrize(
    ("shape", "guessed"), [((48, 64, 14, 20), True), ((14, 20, 48, 64), False)]
)
def test_flags_alone_are_doubted_where_sizes_speak_against_them(shape, guessed):
    axes = tuple(Axis("", n, navigate=place < 2) for place, n in enumerate(shape))
    read = in_order(Signal("scan", np.zeros(shape, "u1"), axes, ()))
    assert read.array.shape == shape
    assert [("as the flags of the file say" in g) for g in read.guesses] == [True] * guessed
