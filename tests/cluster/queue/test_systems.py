"""Answers are written after the manuals of each system; Slurm is asked for real elsewhere."""

import json
import sys

import pytest

from orimap.cluster.queue import systems
from orimap.cluster.queue.commands import BATCH_SYSTEMS
from orimap.cluster.queue.systems import active, cancel, find_by_name, states, submit
from orimap.tasks.errors import InputError, UnavailableError

STAND_IN = """#!{python}
import json, sys
from pathlib import Path
here = Path(__file__).resolve()
with (here.parent / "calls").open("a") as calls:
    calls.write(json.dumps([here.name, *sys.argv[1:], sys.stdin.read()]) + "\\n")
answers = json.loads((here.parent / "answers.json").read_text())[here.name]
# Answers to several questions: the first whose key is among the arguments.
key = next((key for key in answers if key in sys.argv), "")
out, err, code = answers[key]
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put commands on PATH that give kept answers; return what installs them and what was asked.

    An answer is its text, or (text, error, exit code), or several of these by an argument.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def whole(answer):
        return [answer, "", 0] if isinstance(answer, str) else list(answer)

    def install(**answers):
        kept = {
            name: {key: whole(each) for key, each in answer.items()}
            if isinstance(answer, dict)
            else {"": whole(answer)}
            for name, answer in answers.items()
        }
        (folder / "answers.json").write_text(json.dumps(kept))
        for name in answers:
            (folder / name).write_text(STAND_IN.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def calls():
        return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]

    install.calls = calls
    return install


QSTAT_PBS = """Job Id: 41.pbs01
    Job_Name = orimap-a
    Job_Owner = ann@login1
    job_state = Q
    queue = workq
    comment = Not Running: Insufficient amount of resource: ncpus (R: 8 A: 0 T: 16
\t)
    Variable_List = PBS_O_HOME=/home/ann,PBS_O_LANG=C,PBS_O_WORKDIR=/data/a = b,
\tPBS_O_QUEUE=workq

Job Id: 42.pbs01
    Job_Name = orimap-b
    job_state = R
    comment = Job run at Mon Nov 23 at 10:00 on (node7:ncpus=8)

Job Id: 43.pbs01
    Job_Name = orimap-c
    job_state = F
    Exit_status = 271
    comment = Job run at Mon Nov 23 at 09:00 on (node7:ncpus=8) and exceeded walltime

"""
BJOBS = """41|PEND|-|orimap-a
42|RUN|-|orimap-b
43|EXIT|140|orimap-c
44|DONE|-|orimap-d
45|UNKWN|-|orimap-e
"""
BJOBS_P = """JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME
41      ann     PEND  normal     login1                  orimap-a   Nov 23 10:00
 New job is waiting for scheduling;
 Job slot limit reached: 3 hosts;
"""
QSTAT_SGE = """<?xml version='1.0'?>
<job_info>
  <queue_info>
    <job_list state="running">
      <JB_job_number>42</JB_job_number>
      <JAT_prio>0.55500</JAT_prio>
      <JB_name>orimap-b-with-a-long-name</JB_name>
      <JB_owner>ann</JB_owner>
      <state>r</state>
      <queue_name>all.q@node7</queue_name>
      <slots>8</slots>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>41</JB_job_number>
      <JB_name>orimap-a</JB_name>
      <state>qw</state>
    </job_list>
    <job_list state="pending">
      <JB_job_number>45</JB_job_number>
      <JB_name>orimap-e</JB_name>
      <state>Eqw</state>
    </job_list>
  </job_info>
</job_info>
"""
QACCT = """==============================================================
qname        all.q
jobname      orimap-c
jobnumber    43
failed       37  : qmaster enforced h_rt, h_cpu, or h_vmem limit
exit_status  137
"""
OARSTAT = """{
   "41" : {"name" : "orimap-a", "state" : "Waiting", "message" : "R=8,W=2:0:0,J=B (Karma=0.1)"},
   "42" : {"name" : "orimap-b", "state" : "Running", "message" : ""},
   "43" : {"name" : null, "state" : "Error", "message" : "[bipbip] walltime reached"}
}
"""
CONDOR_Q = """[
{"ClusterId": 41, "ProcId": 0, "JobStatus": 1, "JobBatchName": "orimap-a"},
{"ClusterId": 42, "ProcId": 0, "JobStatus": 2, "JobBatchName": "orimap-b"},
{"ClusterId": 45, "ProcId": 0, "JobStatus": 5, "JobBatchName": "orimap-e",
 "HoldReason": "Error from node7: failed to execute"}
]
"""
CONDOR_HISTORY = """[
{"ClusterId": 43, "ProcId": 0, "JobStatus": 4, "JobBatchName": "orimap-c", "ExitCode": 1}
]
"""
SQUEUE = """41|PENDING|Resources|orimap-a
42|RUNNING|None|orimap-b
44|COMPLETED|None|orimap-d
46|TIMEOUT|TimeLimit|a|name
"""


def test_slurm_tells_of_jobs_in_its_queue_and_of_others_in_its_accounts(installed):
    installed(squeue=SQUEUE, sacct="43|CANCELLED by 1000|0:15|orimap-c\n")
    assert states("slurm", ["41", "42", "43", "44", "46"]) == {
        "41": ("waiting", "Resources"),
        "42": ("running", ""),
        "43": ("ended", "CANCELLED by 1000, exit code 0:15"),
        "44": ("ended", "COMPLETED"),
        "46": ("ended", "TIMEOUT, TimeLimit"),
    }
    assert find_by_name("slurm", "orimap-b") == ["42"]
    assert find_by_name("slurm", "orimap-d") == []


def test_slurm_without_accounts_tells_that_it_knows_nothing(installed):
    gone = ("", "slurm_load_jobs error: Invalid job id specified\n", 1)
    installed(squeue=gone, sacct=("", "Slurm accounting storage is disabled\n", 1))
    assert states("slurm", ["43"]) == {"43": ("unknown", "the batch system no longer knows it")}
    installed(squeue=gone, sacct=("", "sacct: error: Connection refused\n", 1))
    state, reason = states("slurm", ["43"])["43"]
    assert state == "unknown"
    assert "Connection refused" in reason


def test_accounts_that_lag_behind_are_not_taken_for_an_end(installed):
    gone = ("", "slurm_load_jobs error: Invalid job id specified\n", 1)
    installed(squeue=gone, sacct="43|RUNNING|0:0|orimap-c\n")
    assert states("slurm", ["43"])["43"][0] == "unknown"


def test_pbs_tells_why_jobs_wait_and_how_they_ended(installed):
    unknown = (QSTAT_PBS, "qstat: Unknown Job Id 44.pbs01\n", 153)
    installed(qstat=unknown, qselect="41.pbs01\n42.pbs01\n")
    found = states("pbs", ["41.pbs01", "42", "43.pbs01", "44.pbs01"])
    assert found["41.pbs01"] == (
        "waiting",
        "Not Running: Insufficient amount of resource: ncpus (R: 8 A: 0 T: 16)",
    )
    assert found["42"][0] == "running"
    assert found["43.pbs01"][0] == "ended"
    assert found["43.pbs01"][1].startswith("exit status 271, ")
    assert found["43.pbs01"][1].endswith("exceeded walltime")
    assert found["44.pbs01"][0] == "unknown"
    assert find_by_name("pbs", "orimap-b") == ["42.pbs01"]


def test_lsf_tells_why_jobs_wait_and_how_they_ended(installed):
    missing = ("", "Job <46> is not found\n", 255)
    installed(bjobs={"-p": BJOBS_P, "46": missing, "": BJOBS})
    assert states("lsf", ["41", "42", "43", "44", "45"]) == {
        "41": (
            "waiting",
            "New job is waiting for scheduling; Job slot limit reached: 3 hosts",
        ),
        "42": ("running", ""),
        "43": ("ended", "EXIT, exit code 140"),
        "44": ("ended", "DONE"),
        "45": ("running", "UNKWN"),
    }
    assert states("lsf", ["46"])["46"][0] == "unknown"
    assert find_by_name("lsf", "orimap-a") == ["41"]


def test_sge_tells_names_whole_and_what_cannot_start(installed):
    installed(qstat=QSTAT_SGE, qacct={"43": QACCT, "": ("", "error: job id 44 not found\n", 1)})
    assert states("sge", ["41", "42", "43", "44", "45"]) == {
        "41": ("waiting", "qw"),
        "42": ("running", ""),
        "43": (
            "ended",
            "exit status 137, failed 37  : qmaster enforced h_rt, h_cpu, or h_vmem limit",
        ),
        "44": ("unknown", "the batch system no longer knows it"),
        "45": ("waiting", "Eqw: it cannot start; qstat -j 45 says why"),
    }
    assert find_by_name("sge", "orimap-b-with-a-long-name") == ["42"]


def test_oar_tells_its_own_words(installed):
    installed(oarstat=OARSTAT)
    assert states("oar", ["41", "42", "43", "44"]) == {
        "41": ("waiting", "R=8,W=2:0:0,J=B (Karma=0.1)"),
        "42": ("running", ""),
        "43": ("ended", "Error, [bipbip] walltime reached"),
        "44": ("unknown", "the batch system no longer knows it"),
    }
    assert [job.id for job in active("oar")] == ["41", "42"]


def test_htcondor_tells_what_is_held_and_what_is_history(installed):
    installed(condor_q=CONDOR_Q, condor_history={"43.0": CONDOR_HISTORY, "": ""})
    assert states("htcondor", ["41.0", "42.0", "43.0", "44.0", "45.0"]) == {
        "41.0": ("waiting", "idle"),
        "42.0": ("running", ""),
        "43.0": ("ended", "exit code 1"),
        "44.0": ("unknown", "the batch system no longer knows it"),
        "45.0": ("waiting", "held: Error from node7: failed to execute"),
    }
    assert find_by_name("htcondor", "orimap-b") == ["42.0"]
    installed(condor_q="", condor_history="")
    assert active("htcondor") == []


@pytest.mark.parametrize(
    ("system", "command", "answer", "job_id"),
    [
        ("slurm", "sbatch", "123\n", "123"),
        ("slurm", "sbatch", "123;cluster2\n", "123"),
        ("pbs", "qsub", "123.pbs01\n", "123.pbs01"),
        ("lsf", "bsub", "Job <123> is submitted to queue <normal>.\n", "123"),
        ("sge", "qsub", "123\n", "123"),
        ("oar", "oarsub", "[ADMISSION RULE] Set default walltime\nOAR_JOB_ID=123\n", "123"),
        ("htcondor", "condor_submit", "123.0 - 123.0\n", "123.0"),
    ],
)
def test_a_script_is_handed_over_whatever_its_folder_is_called(
    installed, tmp_path, system, command, answer, job_id
):
    installed(**{command: answer})
    script = tmp_path / "a 'b' $(c)" / "orimap-x.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    assert submit(system, script) == job_id
    [[name, *arguments, given]] = installed.calls()
    assert name == command
    if system == "lsf":
        assert (arguments, given) == ([], "#!/bin/sh\n")
    else:
        assert (arguments[-1], given) == ("./orimap-x.sh", "")


@pytest.mark.parametrize(
    ("system", "command", "words"),
    [
        (
            "slurm",
            "scancel",
            "scancel: error: Kill job error on job id 41: Invalid job id specified",
        ),
        ("pbs", "qdel", "qdel: Job has finished 41.pbs01"),
        ("lsf", "bkill", "Job <41>: Job has already finished"),
        ("sge", "qdel", 'denied: job "41" does not exist'),
        ("oar", "oardel", "Job 41 : already killed"),
        ("htcondor", "condor_rm", "Couldn't find/remove all jobs in cluster 41"),
    ],
)
def test_cancelling_what_has_ended_is_no_error_and_any_other_failure_is(
    installed, system, command, words
):
    installed(**{command: ("", words, 1)})
    cancel(system, ["41"])
    assert installed.calls()[0][:2] == [command, "41"]
    installed(**{command: ("", "permission denied", 1)})
    with pytest.raises(UnavailableError, match="permission denied"):
        cancel(system, ["41"])


def test_a_missing_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="the command squeue") as refused:
        states("slurm", ["1"])
    assert "module" in refused.value.remedy


def test_a_refused_job_is_the_fault_of_the_request_a_silent_scheduler_is_not(installed, tmp_path):
    script = tmp_path / "x.sh"
    script.write_text("")
    installed(sbatch=("", "sbatch: error: Invalid account or account/partition combination", 1))
    with pytest.raises(InputError, match="Invalid account") as refused:
        submit("slurm", script)
    assert not isinstance(refused.value, UnavailableError)
    installed(sbatch=("", "sbatch: error: Unable to contact slurm controller", 1))
    with pytest.raises(UnavailableError, match="Unable to contact"):
        submit("slurm", script)


def test_a_command_that_hangs_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text(f"#!{sys.executable}\nimport time; time.sleep(60)\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(systems, "COMMAND_SECONDS", 0.5)
    with pytest.raises(UnavailableError, match="none within"):
        active("slurm")


@pytest.mark.parametrize("system", BATCH_SYSTEMS)
def test_an_answer_that_cannot_be_read_is_an_error_and_not_no_jobs(installed, tmp_path, system):
    words = ("An unexpected banner | of maintenance", "", 0)
    commands = ("squeue", "bjobs", "qstat", "qselect", "oarstat", "condor_q", "condor_submit")
    installed(**dict.fromkeys((*commands, "sbatch", "qsub", "bsub", "oarsub"), words))
    script = tmp_path / "x.sh"
    script.write_text("")
    with pytest.raises(UnavailableError):
        submit(system, script)
    with pytest.raises(UnavailableError, match="can be read"):
        active(system)


@pytest.mark.parametrize("name", ["x; id", "-all", "a b", 'x" || true || "', ""])
def test_names_and_ids_that_are_more_than_that_are_refused(name):
    with pytest.raises(InputError, match="name of a job"):
        find_by_name("htcondor", name)
    with pytest.raises(InputError, match="id of a job"):
        cancel("slurm", [name])
    with pytest.raises(InputError, match="a batch system"):
        states("cloud", ["1"])
