import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from orimap.cluster.client import check_cluster, open_client
from orimap.tasks.errors import InputError


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A command of this name on PATH; nothing here gets as far as to call it."""
    command = tmp_path / "bin" / "sbatch"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))


@pytest.fixture
def site(tmp_path):
    """A site profile with a number of workers."""
    path = tmp_path / "site.yaml"
    path.write_text("system: slurm\nworkers: 5\n")
    return path


@pytest.mark.parametrize("name", ["torque", "127.0.0.1:8786", ""])
def test_an_unknown_name_is_refused_with_what_there_is(name):
    with pytest.raises(InputError, match="address of a running Dask scheduler"):
        open_client(name)


@pytest.mark.usefixtures("sbatch")
def test_a_batch_system_is_told_how_many_workers_in_one_way():
    with pytest.raises(InputError, match="either --workers N or --adapt MIN:MAX\nfound: neither"):
        check_cluster("slurm")
    with pytest.raises(InputError, match="found: both"):
        check_cluster("slurm", workers=2, adapt=(1, 2))
    check_cluster("slurm", workers=2)
    check_cluster("slurm", adapt=(1, 2))


@pytest.mark.usefixtures("sbatch")
def test_a_profile_names_the_system_and_a_number_of_workers(site):
    assert check_cluster(profile=site).system == "slurm"
    assert check_cluster("slurm", profile=site).workers == 5
    check_cluster("slurm", profile=site, adapt=(1, 2))  # which comes before the profile's number
    with pytest.raises(InputError, match="is for slurm\nfound: --cluster pbs"):
        check_cluster("pbs", profile=site)


def test_adapting_is_for_batch_systems():
    with pytest.raises(InputError, match="--adapt with a batch system"):
        check_cluster("local", adapt=(1, 2))


def test_a_machine_without_the_commands_of_the_system_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="oarsub on this machine"):
        check_cluster("oar", workers=1)


@pytest.mark.usefixtures("sbatch")
def test_a_batch_system_needs_a_folder_that_can_stand_in_a_script(tmp_path):
    with pytest.raises(InputError, match="a folder that workers see"):
        open_client("slurm", workers=1)
    folder = tmp_path / "two words; rm"
    with (
        pytest.raises(InputError, match="stands in job scripts"),
        open_client("slurm", workers=1, folder=folder),
    ):
        pass
    assert not folder.exists()


def _product():
    random = np.random.default_rng(0)
    basis, turn = random.standard_normal((8100, 48)), random.standard_normal((48, 48))
    return turn @ basis.T  # two threads of OpenBLAS divide its columns so that they round otherwise


@pytest.mark.parametrize("cluster", ["threads", "processes", "tcp"])
def test_this_process_rounds_as_its_workers_do(cluster, worker_process):
    cluster = worker_process.scheduler.address if cluster == "tcp" else cluster
    with (
        threadpool_limits(2, user_api="blas"),
        open_client(cluster, workers=1) as opened,
    ):
        assert np.array_equal(opened.submit(_product).result(), _product())
