import pytest

from orimap.cluster.batch.walltime import lifetime_options, walltime_seconds


@pytest.mark.parametrize(
    ("system", "written", "seconds"),
    [
        ("slurm", "00:30:00", 1800),
        ("slurm", "30", 1800),
        ("slurm", "30:00", 1800),
        ("slurm", "2-12", 216_000),
        ("slurm", "1-00:30", 88_200),
        ("slurm", "UNLIMITED", None),
        ("pbs", "90", 90),
        ("pbs", "02:00:00", 7200),
        ("sge", "01:00:00", 3600),
        ("lsf", "30:00", 108_000),
        ("lsf", "0:30/host", 1800),
        ("lsf", "90", 5400),
        ("oar", "2", 7200),
        ("oar", "01:30:00", 5400),
        ("htcondor", "01:30:00", 5400),
        ("slurm", None, None),
    ],
)
def test_every_system_writes_times_in_its_own_way(system, written, seconds):
    assert walltime_seconds(system, written) == seconds


def test_the_last_worker_leaves_a_tenth_of_the_walltime_before_its_end():
    options = lifetime_options("slurm", "01:40:00")  # 6000 s
    said = dict(zip(options[:4:2], options[1:4:2], strict=True))
    lifetime, stagger = (int(said[name][:-1]) for name in ("--lifetime", "--lifetime-stagger"))
    assert lifetime + stagger == 5400
    assert stagger == 300
    assert options[-1] == "--no-lifetime-restart"


@pytest.mark.parametrize("walltime", ["00:03:00", "INFINITE", None])
def test_no_worker_leaves_where_there_is_no_end_or_hardly_any_time(walltime):
    assert lifetime_options("slurm", walltime) == []
