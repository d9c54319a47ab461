"""What `orimap verify` and `orimap.verify` find."""

import json
import shutil

import pytest
import zarr

import orimap
from orimap.tasks.errors import InputError
from orimap.tasks.store.whole import verify as checks
from orimap.tasks.store.whole.metadata import read_metadata, write_metadata
from orimap.tasks.store.whole.verify import verify


@pytest.fixture
def output(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "output")


def damaged(folder):
    return {part.name: part.found for part in verify(folder) if part.found is not None}


def test_every_chunk_of_whole_results_is_decoded(output):
    seen = []
    checked = verify(output, lambda done, of: seen.append((done, of)))
    assert all(part.found is None for part in checked)
    raw = zarr.open_array(output / "patterns.zarr" / "raw" / "pattern_intensity", mode="r")
    there = {part.name: part.chunks for part in checked}
    assert there["patterns.zarr/raw"] == raw.nchunks + 4  # and one for each axis
    assert {"analysis.zarr/fits/k08", "report.html", "run.json"} < set(there)
    assert seen[-1][0] == seen[-1][1] == len(seen)
    assert orimap.verify(output) == {}


def test_what_does_not_belong_together_is_found(output):
    record = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps({**record, "results": "others"}))
    page = (output / "report.html").read_text()
    (output / "report.html").write_text(page[: len(page) // 2])
    shutil.rmtree(output / "analysis.zarr" / "overlap")
    assert damaged(output) == {
        "analysis.zarr/overlap": "it is not there",
        "report.html": "it is cut",
        "run.json": "it is of other results than those of the stores",
    }
    (output / "report.html").write_text(page.replace(record["results"], "others"))
    assert damaged(output)["report.html"] == "it shows other results than those of the stores"


def test_patterns_of_earlier_versions_are_compared_with_the_sums_of_their_source(output):
    """Without checksums of their own, and written whole: with one value that is another."""
    node = output / "patterns.zarr" / "raw"
    metadata = read_metadata(node)
    del metadata["attributes"]["seal"]
    write_metadata(node, metadata)
    array = zarr.open_array(node / "pattern_intensity", mode="r+")
    array[3, 4, 5, 6] += 1
    found = damaged(output)
    assert list(found) == ["patterns.zarr/raw"]
    assert found["patterns.zarr/raw"].endswith("are not what the source held")


@pytest.mark.parametrize(
    "array", ["block_checksum", pytest.param("block_corner", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("harm", ["flip", "cut metadata", "lose"])
def test_damaged_sums_of_the_source_are_named_as_such(output, array, harm):
    node = output / "analysis.zarr" / "acquisition" / array
    chunk = next(checks.chunk_files(node))
    if harm == "flip":
        chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    elif harm == "lose":
        chunk.unlink()
    else:
        (node / "zarr.json").write_bytes(b"")
    assert list(damaged(output)) == ["analysis.zarr/acquisition"]


def test_patterns_that_have_changed_places_are_made_anew(run, output, scan, same_workers):
    chunks = output / "patterns.zarr" / "raw" / "pattern_intensity" / "c"
    one, other = sorted(path for path in chunks.rglob("0") if path.is_file())[:2]
    one.rename(chunks / "x")
    other.rename(one)
    (chunks / "x").rename(other)
    assert list(damaged(output)) == ["patterns.zarr/raw"]
    run(scan, output, k="1:8")
    assert not any(name.startswith("patterns.zarr") for name in damaged(output))


def test_without_results_there_is_nothing_to_verify(tmp_path):
    with pytest.raises(InputError, match=r"needed: the folder of a finished run"):
        verify(tmp_path)
    with pytest.raises(InputError, match="no folder of that name"):
        orimap.verify(tmp_path / "nowhere")


@pytest.mark.parametrize(("harm", "code"), [(False, 0), (True, 1), (None, 2)])
def test_the_command_tells_by_its_exit_code(output, tmp_path, capsys, harm, code):
    from typer.testing import CliRunner

    from orimap.flows.cli.main import app

    if harm:
        next(checks.chunk_files(output / "analysis.zarr" / "clusters" / "cluster_label")).unlink()
    place = tmp_path / "nowhere" if harm is None else output
    ended = CliRunner().invoke(app, ["verify", "--quiet", str(place)])
    assert ended.exit_code == code
    if code == 1:
        assert "cluster_label: 1 of 1 chunk lost or empty" in ended.output
        assert "1 of " in ended.output.splitlines()[-1]
    if code == 0:
        assert ended.output.splitlines()[-1].startswith("all ")


def test_a_chunk_that_cannot_be_decoded_is_named(output):
    """Of earlier versions, without a checksum."""
    node = output / "analysis.zarr" / "clusters"
    metadata = read_metadata(node)
    del metadata["attributes"]["seal"]
    write_metadata(node, metadata)
    place = node / "cluster_label"
    described = read_metadata(place)
    described["codecs"] = described["codecs"][:-1]
    write_metadata(place, described)
    chunk = next(checks.chunk_files(place))
    chunk.write_bytes(b"no zstd")
    assert damaged(output)["analysis.zarr/clusters"].startswith("cluster_label: c/0/0 cannot be")
