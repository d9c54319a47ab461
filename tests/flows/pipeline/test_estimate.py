from orimap.flows.pipeline.estimate import estimate
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import open_acquisition
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan


def test_an_estimate_is_of_what_the_request_leaves_of_the_scan(tmp_path):
    file = tmp_path / "scan.npy"
    write_scan(ScanRecipe(scan=(20, 24), detector=(64, 64), grains=2), file)
    acquisition = open_acquisition(file)

    def of(**asked):
        return estimate(Request.read(file=file, output=tmp_path, **asked), acquisition)

    whole = of(workers=2)
    assert whole.range_of_k == (1, 20)
    assert whole.workers == 2
    # Patterns as if they did not compress, and the factors.
    assert whole.disk_bytes > 20 * 24 * 64 * 64 * 2
    part = of(workers=2, roi="0:2,0:3", bin=2)
    assert part.range_of_k == (1, 5)
    assert part.disk_bytes < whole.disk_bytes
    assert part.memory_bytes < whole.memory_bytes < of(workers=4).memory_bytes
    assert part.seconds < whole.seconds
