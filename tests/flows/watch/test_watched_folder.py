import pytest

from orimap.flows.watch.watched_folder import Watching
from orimap.tasks.errors import InputError


@pytest.fixture
def watching(tmp_path):
    folder, results = tmp_path.resolve() / "watched", tmp_path.resolve() / "watched" / "results"
    results.mkdir(parents=True)
    state = folder / "state"
    state.mkdir()
    return Watching(folder=folder, results=results, state=state, options={"k": "1:4", "seed": "5"})


def test_acquisitions_have_the_names_of_their_files_and_results_are_not_looked_at(watching):
    for path in ("day 1/a.blo", "results/b.blo", "state/c.blo"):
        (watching.folder / path).parent.mkdir(exist_ok=True)
        (watching.folder / path).write_text(path)
    (arrival,) = watching.look(lambda path, why: pytest.fail(f"{path} {why}"))
    assert watching.name(arrival) == "day 1/a.blo"


def test_each_revision_has_a_folder_of_its_own(watching):
    assert watching.output("day 1/a.blo", 1) == watching.results / "day 1/a.blo"
    assert watching.output("day 1/a.blo", 3) == watching.results / "day 1/a.blo.r3"


def test_a_sidecar_comes_before_the_options_of_all(watching):
    (watching.folder / "a.orimap.yaml").write_text("k: 2:3\n")
    request = watching.request("a.blo", watching.results / "a.blo")
    assert (request.file, request.output) == (
        watching.folder / "a.blo", watching.results / "a.blo",
    )  # fmt: skip
    assert (request.k, request.seed) == ((2, 3), 5)


def test_a_link_that_leads_out_is_refused(watching, tmp_path):
    (tmp_path / "outside.blo").write_text("")
    (watching.folder / "a.blo").symlink_to(tmp_path / "outside.blo")
    with pytest.raises(InputError, match="an absolute path under"):
        watching.request("a.blo", watching.results / "a.blo")
