"""What is left of a run that was refused."""

import pytest

from orimap.flows.pipeline.refusal import tidy_after_refusal
from orimap.tasks.errors import InputError, UnavailableError

REFUSED = InputError("counts", "none", "look")
UNAVAILABLE = UnavailableError("a worker", "none", "wait")


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")


def work_and_fail(output, error, inside, work):
    with tidy_after_refusal(output, *inside):
        write(output / ".lock")
        if work is not None:
            write(output / work)
        raise error


def fail(output, error, *inside, work=".unfinished/patterns.zarr/raw"):
    with pytest.raises(type(error)) as raised:
        work_and_fail(output, error, inside, work)
    assert raised.value is error


def test_a_refused_run_leaves_no_folder(tmp_path):
    fail(tmp_path / "out", REFUSED)
    assert not (tmp_path / "out").exists()


def test_results_that_were_there_stay(tmp_path):
    write(tmp_path / "out" / "run.json")
    fail(tmp_path / "out", REFUSED)
    assert files(tmp_path / "out") == {"run.json", ".lock"}


def test_unfinished_work_of_an_earlier_run_stays(tmp_path):
    write(tmp_path / "out" / ".unfinished" / "earlier")
    fail(tmp_path / "out", REFUSED, work=".unfinished/later")
    assert files(tmp_path / "out") == {
        ".lock", ".unfinished", ".unfinished/earlier", ".unfinished/later",
    }  # fmt: skip


def test_work_stays_where_something_is_not_available_for_now(tmp_path):
    fail(tmp_path / "out", UNAVAILABLE, work=".unfinished/raw")
    assert files(tmp_path / "out") == {".lock", ".unfinished", ".unfinished/raw"}


def test_folders_without_a_file_are_no_work(tmp_path):
    def prepare():
        with tidy_after_refusal(tmp_path / "out"):
            (tmp_path / "out" / ".unfinished" / "analysis.zarr").mkdir(parents=True)
            raise UNAVAILABLE

    with pytest.raises(UnavailableError):
        prepare()
    assert not (tmp_path / "out").exists()


def test_untouched_folders_of_parts_go_too(tmp_path):
    out = tmp_path / "out"
    write(out / "mean" / "run.json")
    write(out / "raw" / ".lock")
    fail(out, REFUSED, out / "raw", out / "mean", out / "absent", work=None)
    assert files(out) == {".lock", "mean", "mean/run.json"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a mistake")])
def test_a_run_that_breaks_leaves_its_work_for_the_next(tmp_path, error):
    fail(tmp_path / "out", error, work=".unfinished/raw")
    assert files(tmp_path / "out") == {".lock", ".unfinished", ".unfinished/raw"}


def test_a_run_that_succeeds_keeps_everything(tmp_path):
    with tidy_after_refusal(tmp_path / "out"):
        write(tmp_path / "out" / ".unfinished" / "raw")
    assert files(tmp_path / "out") == {".unfinished", ".unfinished/raw"}
