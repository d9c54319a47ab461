import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orimap.cluster.batch.profiles import (
    Profile,
    find_profile,
    jobqueue_keywords,
    memory_of_a_process,
    read_profile,
)
from orimap.cluster.batch.scripts import flow_script, worker_script
from orimap.tasks.errors import InputError

GOLDEN = Path(__file__).with_name("golden")
SAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "profiles"
BATCH = [path.stem for path in sorted(SAMPLES.glob("*.yaml")) if path.stem != "workstation"]
# Bad for a shell, for the lines of a directive, or for both.
HOSTILE = [
    "x; rm -rf ~",
    "$(id)",
    "`id`",
    "x\n#SBATCH --uid=0",
    "x y",
    "x'",
    'x"',
    "x|y",
    "x&y",
    "x>y",
    "",
    "-x",
]


@pytest.fixture(scope="module")
def settings_as_shipped():
    """Dask's settings of batch systems, without those of this machine."""
    import dask_jobqueue
    import yaml

    return yaml.safe_load(Path(dask_jobqueue.__file__).with_name("jobqueue.yaml").read_text())


@pytest.fixture(autouse=True)
def _only_what_the_profile_says(monkeypatch, tmp_path, settings_as_shipped):
    import dask

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ORIMAP_PROFILES", raising=False)
    monkeypatch.delenv("PBS_ACCOUNT", raising=False)
    with dask.config.set(settings_as_shipped):
        yield


def _read(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return read_profile(path)


@pytest.mark.parametrize("name", BATCH)
def test_the_job_script_of_a_worker_is_as_kept(name, tmp_path):
    profile = read_profile(SAMPLES / f"{name}.yaml")
    script = worker_script(profile, name="orimap-0123abcd", folder=tmp_path)
    assert _kept(script, tmp_path) == (GOLDEN / f"{profile.system}-worker.sh").read_text()


@pytest.mark.parametrize("name", BATCH)
def test_the_job_script_of_a_flow_is_as_kept(name):
    profile = read_profile(SAMPLES / f"{name}.yaml")
    folder = Path("/data/it's mine")
    command = [sys.executable, "-P", "-m", "orimap.flows", "perform", str(folder / "job.json")]
    script = flow_script(profile.for_flow(), "orimap-3f2a-0123abcd", command, folder=folder)
    assert _kept(script) == (GOLDEN / f"{profile.system}-flow.sh").read_text()


def _kept(script, folder=Path("/nowhere")):
    """Return a script without what differs from machine to machine."""
    python = shlex.quote(sys.executable)
    assert python in script
    return script.replace(python, "PYTHON").replace(str(folder), "FOLDER")


def test_there_is_a_sample_for_every_batch_system():
    systems = {read_profile(path).system for path in SAMPLES.glob("*.yaml")}
    assert systems == {"local", "slurm", "pbs", "lsf", "sge", "oar", "htcondor"}


@pytest.mark.parametrize("system", ["slurm", "pbs", "lsf", "sge", "oar"])
def test_a_flow_script_runs_its_command_in_its_folder_and_passes_its_exit_code(tmp_path, system):
    folder = tmp_path / "it's; $(touch bad) mine"
    folder.mkdir()
    profile = Profile(system=system, cores=1, memory="1 GB", job_script_prologue=["export A=b"])
    code = "import os, sys; open('seen', 'w').write(os.environ['A'] + sys.argv[1]); sys.exit(7)"
    script = tmp_path / "job.sh"
    script.write_text(
        flow_script(profile, "orimap-x", [sys.executable, "-c", code, "a 'b' $HOME"], folder=folder)
    )
    assert subprocess.run(["bash", script], check=False).returncode == 7
    assert (folder / "seen").read_text() == "ba 'b' $HOME"
    assert [path.name for path in folder.iterdir()] == ["seen"]


def test_workers_of_a_flow_job_share_the_memory_of_the_job_and_not_of_the_machine(tmp_path):
    profile = Profile(system="slurm", cores=1, memory="1 GiB")
    code = "from distributed.system import memory_limit; print(memory_limit())"
    script = tmp_path / "job.sh"
    script.write_text(
        flow_script(profile, "orimap-x", [sys.executable, "-c", code], folder=tmp_path)
    )
    answer = subprocess.run(["bash", script], check=True, capture_output=True, text=True).stdout
    assert int(answer) == int(0.9 * 1024**2) * 1024


def test_the_command_of_htcondor_survives_its_own_quoting(tmp_path):
    profile = Profile(system="htcondor", cores=1, memory="1 GB", disk="1 GB")
    folder = tmp_path / "it's mine"
    text = flow_script(profile, "orimap-x", ["/bin/echo", 'a "b"'], folder=folder)
    line = next(line for line in text.splitlines() if line.startswith("Arguments = "))
    # As condor_submit reads it: doubled double quotes, then single quotes around an argument.
    inner = line.removeprefix('Arguments = "').removesuffix('"').replace('""', '"')
    assert inner.startswith("-c '")
    shell = inner.removeprefix("-c '").removesuffix("'").replace("''", "'")
    parts = shell.split("; ")
    assert shlex.split(parts[1])[:2] == ["cd", str(folder)]
    assert shlex.split(parts[2]) == ["exec", "/bin/echo", 'a "b"']


def test_a_folder_that_quotes_do_not_tame_is_refused():
    profile = Profile(system="sge", cores=1, memory="1 GB")
    with pytest.raises(InputError, match="without line breaks"):
        flow_script(profile, "orimap-x", ["true"], folder=Path("/data/a\n#$ -q other"))
    profile = Profile(system="htcondor", cores=1, memory="1 GB", disk="1 GB")
    with pytest.raises(InputError, match=r"without \$"):
        flow_script(profile, "orimap-x", ["true"], folder=Path("/data/$(HOME)"))


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["account", "queue", "reservation", "interface", "python"])
def test_what_a_shell_or_a_directive_would_understand_is_refused(key, value):
    with pytest.raises(ValueError, match=key):
        Profile(system="slurm", **{key: value})


@pytest.mark.parametrize("value", ["/scratch; id", "relative", "/a b", "$(id)", "${HOME:-`id`}"])
def test_a_folder_of_the_node_is_a_path_or_a_variable(value):
    with pytest.raises(ValueError, match="local_directory"):
        Profile(system="slurm", local_directory=value)
    assert Profile(system="slurm", local_directory="$TMPDIR/x").local_directory == "$TMPDIR/x"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("directives", ["--x\n#SBATCH --y"]),
        ("directives", ["--x=$(id)"]),
        ("job_script_prologue", ["#SBATCH -A other"]),
        ("job_script_prologue", ["one\ntwo"]),
        ("walltime", "2h"),
        ("walltime", "02:77:00"),
        ("memory", "lots"),
        ("cores", 0),
        ("workers", 1000),
        ("system", "cloud"),
        ("partition", "short"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(key, value):
    with pytest.raises(ValueError, match=key):
        Profile(**({"system": "slurm"} | {key: value}))


def test_a_file_at_fault_says_which_key_and_what_is_needed(tmp_path):
    with pytest.raises(InputError) as refused:
        _read(tmp_path, "system: slurm\ncores: many\n")
    assert refused.value.needed == "Cores of each job"
    assert refused.value.found.startswith("cores 'many'")
    assert str(tmp_path / "site.yaml") in refused.value.remedy
    with pytest.raises(InputError, match="resource_spec is for pbs, sge, oar, not for slurm"):
        _read(tmp_path, "system: slurm\nresource_spec: select=1\n")
    with pytest.raises(InputError, match="system: it is not given"):
        _read(tmp_path, "cores: 4\n")
    with pytest.raises(InputError, match="a YAML file with a site profile"):
        _read(tmp_path, "system: [")
    with pytest.raises(InputError, match="names and values"):
        _read(tmp_path, "- system")


def test_walltimes_are_read_as_written_and_said_as_each_system_wants_them(tmp_path):
    profile = _read(tmp_path, "system: slurm\nwalltime: 2:30:00\n")
    assert jobqueue_keywords(profile)["walltime"] == "02:30:00"
    assert jobqueue_keywords(Profile(system="slurm", walltime="1-06:00"))["walltime"] == "1-06:00"
    assert jobqueue_keywords(Profile(system="lsf", walltime="2:29:30"))["walltime"] == "2:30"
    condor = jobqueue_keywords(Profile(system="htcondor", walltime="1:00"))
    assert condor["job_extra_directives"] == {"allowed_job_duration": "3600"}


def test_what_a_profile_leaves_out_is_left_to_the_settings_of_dask():
    keywords = jobqueue_keywords(Profile(system="slurm"))
    assert keywords == {"python": shlex.quote(sys.executable)}
    with pytest.raises(InputError, match="cores, memory"):
        flow_script(Profile(system="slurm"), "orimap-x", ["true"], folder=Path("/data"))


def test_the_memory_of_a_job_is_shared_by_its_processes():
    profile = Profile(system="slurm", cores=8, memory="16 GiB")
    assert memory_of_a_process(profile) == 2 * 1024**3
    assert memory_of_a_process(profile.for_flow()) == 8 * 10**9
    assert memory_of_a_process(Profile(system="slurm", cores=8)) is None


def test_a_reservation_is_said_in_each_systems_own_way():
    def said(system):
        return jobqueue_keywords(Profile(system=system, reservation="beam7"))

    assert said("slurm")["job_extra_directives"] == ["--reservation=beam7"]
    assert said("lsf")["job_extra_directives"] == ["-U beam7"]
    assert said("pbs")["queue"] == "beam7"
    with pytest.raises(ValueError, match="not for htcondor"):
        said("htcondor")


BY_THE_CORE = """
system: slurm
account: research-as
queue: compute
walltime: "02:00:00"
cores: 4
memory: 15 GB
"""


def _directives(script):
    return [line for line in script.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize(
    "memory", ["--mem-per-cpu=3968M", "--mem-per-cpu 3968M", "--mem-per-gpu=16G", "--mem=15500M"]
)
def test_memory_that_the_profile_asks_slurm_for_takes_the_place_of_dasks(tmp_path, memory):
    profile = _read(tmp_path, f'{BY_THE_CORE}directives: ["{memory}", "--ntasks=1"]\n')
    flow = flow_script(profile.for_flow(), "orimap-x", ["true"], folder=tmp_path)
    for script in (worker_script(profile, name="orimap-x", folder=tmp_path), flow):
        said = [line for line in _directives(script) if "--mem" in line]
        assert said == [f"#SBATCH {memory}"]
        assert "#SBATCH -t 02:00:00" in script


def test_what_is_no_amount_of_memory_leaves_dasks_in_place(tmp_path):
    profile = _read(tmp_path, f"{BY_THE_CORE}directives: [--mem-bind=local]\n")
    script = worker_script(profile, name="orimap-x", folder=tmp_path)
    assert [line for line in _directives(script) if "--mem" in line] == [
        "#SBATCH --mem=14G",
        "#SBATCH --mem-bind=local",
    ]


def test_a_flow_gets_its_memory_where_slurm_gives_it_by_the_core(tmp_path):
    profile = _read(tmp_path, f"{BY_THE_CORE}directives: [--mem-per-cpu=3968M]\n")
    # 8 GB of 4.16 GB a core; what workers ask for is theirs to say.
    assert (profile.cores, profile.for_flow().cores) == (4, 2)
    assert _read(tmp_path, BY_THE_CORE).for_flow().cores == 1
    own = f"{BY_THE_CORE}directives: [--mem-per-cpu=1G]\nflow: {{directives: [--mem=8G]}}\n"
    assert _read(tmp_path, own).for_flow().cores == 1


@pytest.mark.parametrize(
    ("system", "skipped", "gone"),
    [
        ("slurm", "--mem=", "#SBATCH --mem=2G"),
        ("slurm", "-n 1", "#SBATCH -n 1"),
        ("lsf", "span[hosts=1]", '#BSUB -R "span[hosts=1]"'),
        ("pbs", "-A ", "#PBS -A em"),
        ("sge", "-P ", "#$ -P em"),
        ("oar", "-l ", "#OAR -l /nodes=1/core=2,walltime=01:00:00"),
    ],
)
def test_a_profile_drops_directives_that_dask_would_write(tmp_path, system, skipped, gone):
    unit = {"memory_unit": "mb"} if system == "lsf" else {}
    profile = Profile(
        system=system, account="em", cores=2, memory="2 GiB", walltime="01:00:00", **unit
    )
    without = profile.model_copy(update={"job_directives_skip": [skipped]})
    whole, left = (
        worker_script(each, name="orimap-x", folder=tmp_path).splitlines()
        for each in (profile, without)
    )
    assert [line for line in whole if line not in left] == [gone]


def test_dropped_directives_of_dasks_own_settings_stay_dropped_beside_memory_by_the_core(tmp_path):
    import dask

    profile = _read(tmp_path, f"{BY_THE_CORE}directives: [--mem-per-cpu=3968M]\n")
    with dask.config.set({"jobqueue.slurm.job-directives-skip": ["-n 1"]}):
        script = worker_script(profile, name="orimap-x", folder=tmp_path)
    assert "#SBATCH -n 1" not in script
    assert "--mem=" not in script


def test_htcondor_has_nothing_to_drop_since_its_directives_take_the_place_of_others():
    with pytest.raises(ValueError, match=r"job_directives_skip is for .*not for htcondor"):
        Profile(system="htcondor", job_directives_skip=["RequestDisk"])
    profile = Profile(
        system="htcondor", cores=1, memory="1 GB", disk="1 GB", directives=["RequestDisk = 7"]
    )
    script = worker_script(profile, name="orimap-x", folder=Path("/data"))
    assert [line for line in script.splitlines() if "RequestDisk" in line] == ["RequestDisk = 7"]


def test_a_profile_is_found_by_name_the_users_own_first(tmp_path, monkeypatch):
    assert find_profile("slurm-facility").parent == SAMPLES
    own = tmp_path / "config" / "orimap" / "profiles"
    own.mkdir(parents=True)
    (own / "slurm-facility.yaml").write_text("system: slurm\naccount: mine\n")
    assert read_profile("slurm-facility").account == "mine"
    other = tmp_path / "site"
    other.mkdir()
    (other / "slurm-facility.yaml").write_text("system: slurm\naccount: site\n")
    monkeypatch.setenv("ORIMAP_PROFILES", str(other))
    assert read_profile("slurm-facility").account == "site"
    with pytest.raises(InputError, match=r"there are .*pbs-facility"):
        find_profile("slrum-facility")


def test_a_profile_of_this_machine_starts_no_jobs():
    with pytest.raises(InputError, match="a profile of a batch system"):
        jobqueue_keywords(read_profile("workstation"))
