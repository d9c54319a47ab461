from orimap.cluster.environment import KEEP_SMALL_MEMORY, ONE_THREAD, WORKER_ENVIRONMENT


def test_a_worker_has_one_thread_and_keeps_memory_of_small_arrays_alone():
    assert set(ONE_THREAD.values()) == {"1"}
    assert {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(ONE_THREAD)
    kept, mapped = (
        int(KEEP_SMALL_MEMORY[f"MALLOC_{name}_THRESHOLD_"]) for name in ("TRIM", "MMAP")
    )
    assert (kept, mapped) == (16 * 2**20, 4 * 2**20)
    assert {**ONE_THREAD, **KEEP_SMALL_MEMORY} == WORKER_ENVIRONMENT


def test_every_worker_finds_it(client):
    import os

    def seen():
        return {name: os.environ.get(name) for name in ONE_THREAD}

    # Those of the tests are Dask's own, which agrees for the libraries that it knows.
    for found in client.run(seen).values():
        assert found["OMP_NUM_THREADS"] == "1"
