import threading

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.store.whole.seal import seal
from orimap.tasks.stream.blocks import Block
from orimap.tasks.view import streamed
from orimap.tasks.view.damage import MissingError
from orimap.tasks.view.streamed import StoppedError, exact_image, measured_in, region_mean


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_an_exact_image_is_the_sum_over_the_mask_in_the_frame_of_the_analysis(
    stored, counts, centred_counts, inner, sparse, centred
):
    mask = inner & (np.random.default_rng(0).random(inner.shape) < 0.4)
    analysed = centred_counts if centred else counts
    np.testing.assert_array_equal(
        exact_image(stored(sparse=sparse, centred=centred), mask),
        analysed[..., mask].sum(axis=-1),
    )


def test_what_stands_for_the_noise_of_read_out_is_taken_off(stored, counts):
    source = stored(values=counts.astype(np.float32))
    import zarr

    array = zarr.open_array(source.store, path="raw/pattern_intensity", mode="r+")
    array.attrs.update(shift=2.0, pedestal=2.0)
    seal(source.store, "raw")
    source = type(source).open(source.store, "raw")
    mask = np.zeros(counts.shape[2:], bool)
    mask[1:4, 2:5] = True
    np.testing.assert_allclose(exact_image(source, mask), counts[..., mask].sum(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(
        region_mean(source, Block(0, 2, 0, 7)), counts[:2].mean(axis=(0, 1)), atol=1e-5
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("region", [Block(0, 5, 0, 7), Block(1, 4, 2, 5), Block(4, 5, 6, 7)])
def test_the_mean_of_a_region_is_that_of_its_patterns(
    stored, counts, centred_counts, inner, sparse, region
):
    found = region_mean(stored(sparse=sparse), region)
    np.testing.assert_allclose(found, counts[region.slices].mean(axis=(0, 1)), rtol=1e-12)
    moved = region_mean(stored(sparse=sparse, centred=True), region)
    # Only pixels that no pattern has left: there, none has come in from the other side.
    np.testing.assert_allclose(
        moved[inner], centred_counts[region.slices].mean(axis=(0, 1))[inner], rtol=1e-12
    )


def test_the_mean_of_a_region_is_that_of_the_positions_that_were_measured(stored, counts):
    measured = np.ones(counts.shape[:2], bool)
    measured[1, 2:4] = measured[3, 4] = False
    values = np.where(measured[..., None, None], counts, np.nan).astype(np.float32)
    source, region = stored(values=values), Block(1, 4, 2, 5)
    assert measured_in(region, source.scan_shape, measured) == 6
    expected = counts[region.slices][measured[region.slices]].mean(axis=0)
    found = region_mean(source, region, measured=measured)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(MissingError, match="no position of it was measured"):
        region_mean(source, Block(1, 2, 2, 4), measured=measured)


def test_a_region_reads_only_the_blocks_that_it_touches(stored, monkeypatch):
    source, read = stored(), []
    whole = type(source).read

    def counted(self, blocks, valid, seed=None):
        read.extend(blocks)
        return whole(self, blocks, valid, seed)

    monkeypatch.setattr(type(source), "read", counted)
    region_mean(source, Block(0, 2, 0, 3))
    assert read == [Block(0, 2, 0, 3)]


@pytest.mark.parametrize("region", [Block(0, 6, 0, 7), Block(-1, 2, 0, 7), Block(3, 3, 0, 2)])
def test_a_region_beside_the_scan_is_refused(stored, region):
    with pytest.raises(InputError, match="within rows 0 to 4, columns 0 to 6"):
        region_mean(stored(), region)


@pytest.mark.parametrize("work", [exact_image, region_mean])
def test_it_ends_in_the_middle_where_nobody_waits(stored, monkeypatch, work):
    monkeypatch.setattr(streamed, "READERS", 1)
    source, stop, read = stored(), threading.Event(), []
    whole = type(source).read

    def stopping(self, blocks, valid, seed=None):
        read.extend(blocks)
        if len(read) == 2:
            stop.set()
        return whole(self, blocks, valid, seed)

    monkeypatch.setattr(type(source), "read", stopping)
    asked = Block(0, 5, 0, 7) if work is region_mean else np.ones(source.detector_shape, bool)
    with pytest.raises(StoppedError):
        work(source, asked, stop)
    assert len(read) == 2 < len(source.blocks())
