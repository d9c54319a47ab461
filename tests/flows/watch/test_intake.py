import os
from pathlib import Path

import h5py
import numpy as np

from orimap.flows.watch.intake import open_as_asked, with_place_of_options
from orimap.tasks.acquire.arrivals.finished import Opened
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

SCAN = (4, 5, 6, 7)
CIF = Path(__file__).parents[2] / "tasks" / "index" / "crystals" / "silicon.cif"


def test_touching_a_file_is_nothing_new_and_other_content_is_a_revision(site):
    path = site.save("a.npy")
    site.rounds()
    site.all_stand("done")
    os.utime(path, (5, 5))
    site.rounds(4)
    assert (site.states(), len(site.taken)) == ({"a.npy": "done"}, 1)
    site.save("a.npy", seed=2)  # of the same size
    site.rounds(4)
    assert site.states() == {"a.npy": "done", "a.npy (revision 2)": "submitted"}
    assert site.taken[1].output == site.results / "a.npy.r2"
    site.save("a.npy", seed=2, shape=(5, 5, 6, 7))
    site.save("a.npy", seed=2)  # written again, and the same in the end
    site.rounds(4)
    assert len(site.taken) == 2


def test_a_copy_that_ends_as_what_was_there_leaves_no_revision(site):
    path = site.save("a.npy")
    whole = path.read_bytes()
    site.rounds()
    site.all_stand("done")
    path.write_bytes(whole[:500])
    site.rounds(3)
    assert site.states() == {"a.npy": "done", "a.npy (revision 2)": "seen"}
    path.write_bytes(whole)
    site.rounds(3)
    assert site.states() == {"a.npy": "done"}
    assert len(site.taken) == 1


def test_work_on_files_that_are_written_again_is_ended(site):
    site.save("a.npy")
    site.rounds()
    site.save("a.npy", seed=2)
    site.rounds()
    assert site.cancelled == [site.taken[0].key]
    assert site.states() == {"a.npy": "failed", "a.npy (revision 2)": "submitted"}


def test_a_sidecar_decides_for_its_acquisition(site):
    site.save("stack.npy", shape=(20, 6, 7))
    site.rounds(3)
    assert site.states() == {"stack.npy": "quarantined"}
    assert site.announced == ["stack.npy"]
    (entry,) = site.journal.entries()
    assert "--scan-shape" in entry.reason
    assert entry.reason.endswith(
        "(for this file alone: write it as scan-shape: ... into stack.npy.orimap.yaml beside it)"
    )
    (site.folder / "stack.npy.orimap.yaml").write_text("scan-shape: 4x5\nk: 2:3\n")
    site.rounds(3)
    (job,) = site.taken
    assert (job.request.scan_shape, job.request.k) == ((4, 5), (2, 3))
    assert len(site.announced) == 1


def test_a_sidecar_that_is_at_fault_puts_its_acquisition_aside(site):
    site.save("a.npy")
    (site.folder / "a.orimap.yaml").write_text("output: /somewhere\n")
    site.save("b.npy")
    site.rounds(3)
    assert site.states() == {"a.npy": "quarantined", "b.npy": "submitted"}
    assert "output in a.orimap.yaml" in site.journal.find("a.npy").reason


def test_a_crystal_that_is_at_fault_puts_its_acquisition_aside_before_it_is_analysed(site):
    site.save("a.npy")
    sidecar = site.folder / "a.orimap.yaml"
    sidecar.write_text("crystal: a.cif\n")
    site.save("b.npy")
    site.rounds(3)
    assert site.states() == {"a.npy": "quarantined", "b.npy": "submitted"}
    assert "a.cif; found: No such file" in site.journal.find("a.npy").reason
    (site.folder / "a.cif").write_bytes(CIF.read_bytes())
    os.utime(sidecar, (5, 5))
    site.rounds(3)
    assert site.states() == {"a.npy": "submitted", "b.npy": "submitted"}


def test_bad_data_is_put_aside_once_and_the_next_goes_on(site):
    (site.folder / "a.blo").write_text("only words, many of them, more than a header takes")
    site.save("overview.npy", shape=(5, 6))
    site.save("b.npy")
    for _ in range(3):
        site.rounds(3)
        site.start()
    assert site.states() == {
        "a.blo": "quarantined", "b.npy": "submitted", "overview.npy": "not a scan",
    }  # fmt: skip
    assert site.announced == ["a.blo"]


def test_a_folder_that_goes_away_and_comes_back_costs_nothing(site):
    site.save("a.npy")
    site.rounds(1)
    site.folder.rename(site.folder.with_name("elsewhere"))
    site.rounds(3)
    assert sum("cannot be listed" in line for line in site.lines) == 1
    site.folder.with_name("elsewhere").rename(site.folder)
    site.rounds(3)
    assert site.lines.count(f"{site.folder} is available again") == 1
    assert site.states() == {"a.npy": "submitted"}


def test_a_scan_that_was_stopped_is_analysed_without_the_row_that_is_not_whole(make_site):
    site = make_site(patience_seconds=0.0)
    path = site.folder / "a.blo"
    write_scan(ScanRecipe(scan=(4, 5), detector=(32, 32), grains=2), path)
    path.write_bytes(path.read_bytes()[: -6 * (32 * 32 + 6)])
    site.rounds(3)
    (job,) = site.taken
    assert job.request.keep_rows == 2
    assert any("stopped early, 2 whole rows are kept" in line for line in site.lines)


def test_a_name_for_the_time_of_writing_is_forgotten(site):
    path = site.save("a.npy")
    site.rounds(1)
    path.rename(site.folder / "b.npy")
    site.rounds(3)
    assert site.states() == {"b.npy": "submitted"}


def test_the_opening_test_is_asked_as_the_request_says(site):
    path = site.save("stack.npy", shape=(20, 6, 7))
    asked = []

    def opens(file, **chosen):
        asked.append((file, chosen))
        return Opened("scan", "whatever")

    arrival = site.watcher.intake.look()["stack.npy"]
    assert open_as_asked(site.watching, opens, arrival) == Opened("scan", "whatever")
    sidecar = site.folder / "stack.orimap.yaml"
    sidecar.write_text("scan-shape: 4x5\nk: 2:3\n")
    open_as_asked(site.watching, opens, arrival)
    roots = {"roots": [site.folder]}
    assert asked == [(path, roots), (path, {"scan_shape": (4, 5), **roots})]
    sidecar.write_text("bin: 0\n")
    refused = open_as_asked(site.watching, opens, arrival)
    assert (refused.outcome, len(asked)) == ("refused", 2)
    assert "found: stack.orimap.yaml, line 1: --bin" in refused.words
    assert refused.remedy == "correct --bin; orimap run --help explains it"


def test_the_trouble_of_one_acquisition_never_touches_another(site):
    real = site.watcher.context.opens

    def opens(path, **chosen):
        if path.name == "b.npy":
            raise RuntimeError("nobody foresaw this")
        return real(path, **chosen)

    object.__setattr__(site.watcher.context, "opens", opens)
    for name in ("a.npy", "b.npy", "c.npy"):
        site.save(name)
    site.rounds(4)
    assert site.states() == {"a.npy": "submitted", "b.npy": "quarantined", "c.npy": "submitted"}
    (entry,) = site.journal.entries("quarantined")
    assert entry.reason == "it could not be examined (RuntimeError: nobody foresaw this)"
    assert site.announced == ["b.npy"]
    lines = len(site.lines)
    site.rounds(3)
    assert len(site.lines) == lines  # it is left alone until it changes
    object.__setattr__(site.watcher.context, "opens", real)
    site.save("b.npy", seed=5)
    site.rounds(4)
    assert site.states()["b.npy"] == "submitted"


def test_a_name_that_is_no_text_is_told_and_the_rest_analysed(site):
    site.save("a.npy")
    for folder, name in (
        (b"", b"\xe9chantillon.npy"), (b"M\xe9ss/", b"b.npy"), (b"z.zarr/", b"\xe9")
    ):  # fmt: skip
        place = os.fsencode(site.folder) + b"/" + folder
        os.makedirs(place, exist_ok=True)
        with open(place + name, "wb") as file:
            np.save(file, np.ones(SCAN, np.uint16))
    site.rounds(4)
    assert site.states()["a.npy"] == "submitted"
    assert set(site.states()) == {"a.npy", "z.zarr"}
    told = [line for line in site.lines if "not valid UTF-8: rename it" in line]
    assert len(told) == 2
    assert any(r"\udce9chantillon.npy" in line for line in told)


def test_a_side_car_that_would_fill_the_memory_puts_its_own_acquisition_aside(site):
    for name in ("a.npy", "b.npy"):
        site.save(name)
    lines = ["k:", "- &a [x,x,x,x,x,x,x,x,x,x]"]
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"- &{letter} [{','.join([f'*{before}'] * 10)}]")
    (site.folder / "a.npy.orimap.yaml").write_text("\n".join(lines))
    site.rounds(4)
    assert site.states() == {"a.npy": "quarantined", "b.npy": "submitted"}
    assert "an anchor or alias in line 2" in site.journal.entries("quarantined")[0].reason


def test_only_options_that_a_sidecar_may_have_are_said_to_go_there(tmp_path):
    for words in ("copy it again", "choose another folder with --output", "two-part--names"):
        assert with_place_of_options(words, tmp_path / "a.blo") == words


def test_what_leads_out_of_the_watched_folder_is_put_aside_unread(site, tmp_path, monkeypatch):
    monkeypatch.delenv("ORIMAP_ROOTS", raising=False)
    private = tmp_path / "private.h5"
    with h5py.File(private, "w") as file:
        file["x"] = np.ones(SCAN, np.uint16)
    private.chmod(0o600)
    with h5py.File(site.folder / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("../private.h5", "/x")
    site.watcher.intake.finishing.unsure_times = 0.0
    site.rounds(4)
    (entry,) = site.journal.entries()
    assert (entry.state, site.taken, site.announced) == ("quarantined", [], ["a.h5"])
    assert f"a.h5 takes data from {private}, which lies elsewhere" in entry.reason
    # Allowed by whoever operates it, it is read once it is looked at again.
    monkeypatch.setenv("ORIMAP_ROOTS", str(tmp_path))
    os.utime(site.folder / "a.h5", (5, 5))
    site.rounds(4)
    assert len(site.taken) == 1
