import pytest

from orimap.cluster import worker_check
from orimap.cluster.worker_check import check_workers
from orimap.tasks.errors import UnavailableError


def test_workers_of_the_same_environment_and_machine_pass(client, tmp_path):
    check_workers(client, list(client.nthreads()), [tmp_path])


def test_a_worker_that_does_not_see_a_folder_is_told(client, tmp_path):
    with pytest.raises(UnavailableError, match=r"does not see .*absent"):
        check_workers(client, list(client.nthreads()), [tmp_path, tmp_path / "absent"])


def test_a_difference_of_versions_is_named(monkeypatch, client):
    compare = worker_check._compare

    def with_another(found, ours):
        compare(found, {**ours, "dask": "1999.1"} if "dask" in ours else ours)

    monkeypatch.setattr(worker_check, "_compare", with_another)
    with pytest.raises(UnavailableError, match=r"dask .* instead of 1999\.1"):
        check_workers(client, list(client.nthreads()), [])
