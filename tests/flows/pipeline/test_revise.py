"""Correcting finished results by hand: revisions beside the automatic result."""

import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

import orimap
from orimap.flows.cli import main
from orimap.flows.cli.edit import edit as command
from orimap.flows.pipeline.redecide import redecide
from orimap.flows.pipeline.revise import revise
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.tasks.errors import InputError, Notice
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.store.open_results import find_revision, revision_names, revision_store

pytestmark = pytest.mark.usefixtures("same_workers")


@pytest.fixture
def finished(finished_run, tmp_path):
    """A copy of the finished run of three grains, in a place of its own."""
    shutil.copytree(finished_run, tmp_path / "results")
    return tmp_path / "results"


def automatic(folder):
    """The bytes of all that a run has written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in ("analysis.zarr", "patterns.zarr", "report.html", "run.json")
        for path in (
            [folder / part] if (folder / part).is_file() else sorted((folder / part).rglob("*"))
        )
        if path.is_file()
    }


def edit(folder, **edits):
    return orimap.edit(folder, quiet=True, **edits)


def raw_patterns(folder):
    store = xr.open_zarr(folder / "patterns.zarr", group="raw", consolidated=False)
    return store["pattern_intensity"].values


def call(*arguments):
    return CliRunner().invoke(main.app, list(map(str, arguments)))


def test_merged_clusters_follow_from_labels_weights_and_patterns(finished):
    before = automatic(finished)
    tree = orimap.open(finished)
    assert edit(finished, merge=[(1, 2)], rename={3: "matrix"}) == "edit-1"
    assert automatic(finished) == before
    merged = orimap.open(finished, revision="edit-1")
    assert (tree.attrs["decided_k"], merged.attrs["decided_k"]) == (3, 2)
    label, old = (t["clusters"]["cluster_label"].values for t in (merged, tree))
    # Here the three hardly overlap: whoever was the strongest still is.
    same = np.where(old == 1, 0, np.where(old == 2, 1, old))
    assert np.mean(label == same) > 0.98
    assert merged["clusters"].attrs["cluster_names"] == ["", "matrix"]
    size = merged["clusters"]["cluster_size"].values
    np.testing.assert_array_equal(size, [np.sum(label == 0), np.sum(label == 1)])
    raw = raw_patterns(finished)
    for cluster in (0, 1):
        np.testing.assert_allclose(
            merged["clusters"]["cluster_mean_pattern"][cluster],
            raw[label == cluster].mean(axis=0),
            rtol=1e-4,
            atol=1e-4,
        )
    share = merged["clusters"]["cluster_share"].values
    ratio = merged["overlap"]["overlap_ratio"].values
    there = ratio > 0
    np.testing.assert_allclose(
        ratio[there], (share.min(axis=2) / share.max(axis=2))[there], rtol=1e-5
    )


def test_a_revision_starts_from_another_with_all_its_edits(finished):
    edit(finished, merge=["1,2"], revision="first")
    edit(finished, background=2, rename={1: "both"}, source="first", revision="second")
    label = orimap.open(finished, revision="second")["clusters"]["cluster_label"].values
    first = orimap.open(finished, revision="first")["clusters"]["cluster_label"].values
    np.testing.assert_array_equal(label, np.where(first == 1, -1, first))
    assert find_revision(finished, "second").edits == [
        "Clusters 1 and 2 were merged.",
        "The positions of cluster 2 were given to no cluster.",
        "Cluster 1 was named “both”.",
    ]
    # It stands by itself.
    call("edit", finished, "--delete", "first")
    assert orimap.open(finished, revision="second").attrs["decided_k"] == 1


def test_names_alone_change_nothing_else(finished):
    before = automatic(finished)
    edit(finished, rename={2: "b"}, revision="named")
    edit(finished, rename={1: "a"}, source="named", revision="both")
    assert automatic(finished) == before
    tree, named = orimap.open(finished), orimap.open(finished, revision="both")
    assert named["clusters"].attrs["cluster_names"] == ["a", "b", ""]
    for name, values in tree["clusters"].data_vars.items():
        np.testing.assert_array_equal(values, named["clusters"][name])
    assert "cluster_names" not in tree["clusters"].attrs


def test_colours_follow_their_clusters_into_map_table_and_later_edits(finished):
    edit(finished, colour={1: "#AA3377", 3: "#00ff00"}, revision="coloured")
    colours = orimap.open(finished, revision="coloured")["clusters"].attrs["cluster_colours"]
    assert colours == ["#aa3377", "", "#00ff00"]
    # The lowest of merged clusters gives its place; here only the other one has a colour.
    edit(finished, merge=[(2, 3)], rename={1: "a"}, source="coloured", revision="merged")
    merged = orimap.open(finished, revision="merged")
    assert merged["clusters"].attrs["cluster_colours"] == ["#aa3377", "#00ff00"]
    table = orimap.export(finished, "csv", revision="merged") / "clusters.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    assert [row[header.index("colour")] for row in rows] == ["#aa3377", "#00ff00"]
    called = call("edit", finished, "--colour", "2=#112233", "--revision", "typed")
    assert called.exit_code == 0, called.output
    typed = orimap.open(finished, revision="typed")
    assert typed["clusters"].attrs["cluster_colours"] == ["", "#112233", ""]
    drawn = typed.plot().images[0].get_array()
    label = typed.labels.values
    assert set(map(tuple, np.round(255 * drawn[label == 2]).astype(int))) == {(0x11, 0x22, 0x33)}


def test_several_edits_are_written_as_one_revision(finished):
    steps = [Edits.read(merge=["1,2"]), Edits.read(rename={2: "last"}), Edits.read(split=[1])]
    made = revise(finished, steps[:2], PlainRunner(NoDisplay()), revision="both")
    assert (made.names, len(made.sizes)) == (["", "last"], 2)
    assert revision_names(finished) == ["both"]
    # A split of what was merged gives back what there was.
    revise(finished, steps, PlainRunner(NoDisplay()), revision="back")
    back = orimap.open(finished, revision="back")
    assert back["clusters"].attrs["cluster_names"] == ["", "", "last"]
    np.testing.assert_array_equal(
        back["clusters"]["cluster_label"] == 2,
        orimap.open(finished)["clusters"]["cluster_label"] == 2,
    )
    with pytest.raises(InputError, match="--rename 3"):
        revise(finished, [steps[0], Edits.read(rename={3: "x"})], PlainRunner(NoDisplay()))
    assert revision_names(finished) == ["back", "both"]


def test_a_cluster_is_split_into_the_components_of_its_fit(finished):
    with pytest.raises(InputError, match="it has one component, and is connected"):
        edit(finished, split=[1])
    redecide(finished, {"components": 8}, PlainRunner(NoDisplay()))
    tree = orimap.open(finished)
    owners = tree["clusters"]["component_cluster"].values.tolist()
    several = max(range(3), key=owners.count)
    assert owners.count(several) > 1
    edit(finished, split=[several + 1], revision="apart")
    apart = orimap.open(finished, revision="apart")
    assert apart.attrs["decided_k"] > tree.attrs["decided_k"] == 3
    label, old = (t["clusters"]["cluster_label"].values for t in (apart, tree))
    more = apart.attrs["decided_k"] - 3
    inside = old == several
    assert set(label[inside]) == set(range(several, several + more + 1))


def test_a_revision_is_outdated_after_another_decision(finished):
    edit(finished, merge=["1,2"], revision="mine")
    assert not find_revision(finished, "mine").outdated
    redecide(finished, {"distinct": 2}, PlainRunner(NoDisplay()))
    assert find_revision(finished, "mine").outdated
    with pytest.warns(Notice, match="mine is outdated"):
        tree = orimap.open(finished, revision="mine")
    assert tree.attrs["revision_outdated"] is True
    listed = call("edit", finished, "--list").stdout
    assert "mine" in listed
    assert "OUTDATED" in listed
    with pytest.raises(InputError, match="made from an earlier decision"):
        edit(finished, background=1, source="mine")
    assert revision_names(finished) == ["mine"]


def test_the_command_says_what_was_made_and_refuses_what_cannot_be(finished):
    made = call("edit", finished, "--merge", "1,3", "--rename", "2=matrix", "--quiet")
    assert made.exit_code == 0, made.stderr
    lines = made.stdout.splitlines()
    assert lines[0] == "2 clusters, edited by hand (revision edit-1)"
    *moved, header, first, second, _page = lines[1:]
    assert header.split() == ["cluster", "name", "positions"]
    assert [line.split()[0] for line in (first, second)] == ["1", "2"]
    assert second.split()[1] == "matrix"
    # What the edit did beside what was asked for is said, and kept with it.
    assert find_revision(finished, "edit-1").edits[2:] == moved
    before = automatic(revision_store(finished, "edit-1").parent.parent)
    for options, found in (
        (["--merge", "3,4"], "--merge 4"),
        (["--merge", "1,2", "--revision", "edit-1"], "which is there"),
        (["--merge", "1,2", "--revision", "../x"], "--revision ../x"),
        (["--background", "1", "--from", "nobody"], "revisions there: edit-1"),
        (["--list", "--merge", "1,2"], "an edit as well"),
        (["--list", "--delete", "html"], "found: --list and --delete html"),
        (["--merge", "1,2", "--revision", "x" * 300], "a name of at most 64 letters"),
        ([], "no edit"),
    ):
        answer = call("edit", finished, "--quiet", *options)
        assert answer.exit_code == 2, options
        assert found in answer.stderr
    assert automatic(finished) == before
    assert revision_names(finished) == ["edit-1"]
    assert call("edit", finished, "--delete", "edit-1").exit_code == 0
    assert call("edit", finished, "--list").stdout.startswith("no revisions are there")


def test_the_command_is_explained():
    said = call("edit", "--help").stdout
    assert command.__doc__.splitlines()[0] in " ".join(said.split())
    for option in (
        "--merge",
        "--rename",
        "--background",
        "--split",
        "--from",
        "--list",
        "--delete",
    ):
        assert option in said


def test_nothing_is_left_of_a_revision_that_broke(finished, monkeypatch):
    def broken(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("orimap.flows.pipeline.steps.conclude.taken_apart", broken)
    with pytest.raises(OSError, match="disk full"):
        edit(finished, merge=["1,2"])
    assert not (finished / "revisions").exists()
    zarr.open_group(finished / "analysis.zarr", mode="r")
