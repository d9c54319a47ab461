"""What each batch system is asked, and how its answers are read.

Every system has the same five methods; commands are lists of arguments and never go through a
shell. Formats are those that the systems document: Slurm ``squeue`` and ``sacct`` with a format
of our own; PBS Pro and OpenPBS ``qstat -f`` (Torque answers ``-x`` in XML and is not read); LSF
10 ``bjobs -o``; Grid Engine ``qstat -xml``; OAR 2.5 ``oarstat -J``; HTCondor ``-json``.

Tested in tests/cluster/queue/test_systems.py.
"""

import getpass
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from xml.etree import ElementTree

State = Literal["waiting", "running", "ended", "unknown"]


@dataclass(frozen=True)
class SeenJob:
    """A job as a batch system tells of it."""

    id: str
    name: str
    state: State
    reason: str = ""


class Ask(Protocol):
    """Calls a command and returns its standard output."""

    def __call__(
        self, command: Sequence[str], *, script: Path | None = None, unless: str | None = None
    ) -> str:
        """Call ``command``, with ``script`` as its input and folder.

        A failing command is an error, unless its words match the pattern ``unless``.
        """


class BatchSystem(Protocol):
    """What is asked of every batch system."""

    def submit(self, script: Path, ask: Ask) -> str:
        """Hand over a job script; return the id of the job."""

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """Tell of these jobs, as far as they are still in the queue or kept beside it."""

    def mine(self, ask: Ask) -> list[SeenJob]:
        """Tell of all jobs of this user that wait or run."""

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """Tell from the accounts how a job ended that is in the queue no more."""

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """End these jobs; one that has ended already is no error."""


class Slurm:
    """Slurm: sbatch, squeue, sacct, scancel."""

    waiting = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
    running = (
        *("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED"),
        *("RESIZING", "SIGNALING", "STAGE_OUT"),
    )
    # The name comes last: it alone may hold the sign between the fields.
    queue = ("squeue", "--noheader", "--format=%i|%T|%r|%j")

    def submit(self, script: Path, ask: Ask) -> str:
        """``sbatch --parsable`` answers ID or ID;CLUSTER."""
        return ask(["sbatch", "--parsable", f"./{script.name}"], script=script).strip()

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """Slurm keeps jobs that ended for some minutes (MinJobAge)."""
        command = [*self.queue, "--states=all", f"--jobs={','.join(ids)}"]
        return self.read(ask(command, unless="Invalid job id"))

    def mine(self, ask: Ask) -> list[SeenJob]:
        """Without a state, squeue lists what waits, runs or completes."""
        return self.read(ask([*self.queue, f"--user={getpass.getuser()}"]))

    def read(self, answer: str) -> list[SeenJob]:
        """Read lines such as ``81|PENDING|Resources|orimap-3f``."""
        jobs = []
        for line in answer.splitlines():
            job_id, state, reason, name = line.strip().split("|", 3)
            reason = "" if reason == "None" else reason
            if state in self.waiting:
                jobs.append(SeenJob(job_id, name, "waiting", reason))
            elif state in self.running:
                jobs.append(SeenJob(job_id, name, "running", reason))
            else:
                jobs.append(SeenJob(job_id, name, "ended", _words(state, reason)))
        return jobs

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """Read lines such as ``81|CANCELLED by 1000|0:15|orimap-3f`` of ``sacct``."""
        command = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job_id}"]
        answer = ask([*command, "--format=JobID,State,ExitCode,JobName"], unless="disabled")
        for line in answer.splitlines():
            found, state, code, name = line.split("|", 3)
            # Accounts may lag behind the queue, which knows the job no more.
            if found == job_id and state not in (*self.waiting, *self.running):
                return SeenJob(job_id, name, "ended", _words(state, f"exit code {code}"))
        return None

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``scancel`` says nothing about jobs that have ended, and errs about unknown ones."""
        ask(["scancel", *ids], unless="Invalid job id|already completed|completing")


class Pbs:
    """PBS Pro and OpenPBS: qsub, qselect, qstat, qdel."""

    waiting = "QHWTU"
    running = "RESB"
    gone = "Unknown Job|has finished|Job has finished|nonexistent"

    def submit(self, script: Path, ask: Ask) -> str:
        """``qsub`` answers 123.server."""
        return ask(["qsub", f"./{script.name}"], script=script).strip()

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """``-x`` tells of finished jobs too, where the server keeps a history."""
        return self.read(ask(["qstat", "-x", "-f", *ids], unless=self.gone))

    def mine(self, ask: Ask) -> list[SeenJob]:
        """``qselect`` without a state selects no finished jobs."""
        ids = ask(["qselect", "-u", getpass.getuser()]).split()
        return self.seen(ids, ask) if ids else []

    def read(self, answer: str) -> list[SeenJob]:
        """Read paragraphs of ``Job Id: 123.server`` and ``name = value``, long values folded."""
        if answer.strip() and "Job Id: " not in answer:
            raise UnreadableAnswerError(answer.strip())
        jobs = []
        for paragraph in answer.replace("\n\t", "").split("Job Id: ")[1:]:
            job_id, *lines = paragraph.splitlines()
            pairs = (line.strip().partition(" = ") for line in lines if " = " in line)
            facts = {name: value for name, _, value in pairs}
            letter, comment = facts.get("job_state", ""), facts.get("comment", "")
            name = facts.get("Job_Name", "")
            if letter in self.waiting:
                jobs.append(SeenJob(job_id, name, "waiting", comment))
            elif letter in self.running:
                jobs.append(SeenJob(job_id, name, "running", comment))
            else:
                code = facts.get("Exit_status")
                words = _words(f"exit status {code}" if code else "", comment)
                jobs.append(SeenJob(job_id, name, "ended", words))
        return jobs

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """``seen`` has asked for the history already."""
        return None

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``qdel`` errs about a job that has finished."""
        ask(["qdel", *ids], unless=self.gone)


class Lsf:
    """IBM Spectrum LSF: bsub, bjobs, bkill."""

    waiting = ("PEND", "PSUSP", "WAIT", "PROV")
    running = ("RUN", "USUSP", "SSUSP", "UNKWN")  # UNKWN: its host does not answer for the moment
    queue = ("bjobs", "-noheader", "-o", "jobid stat exit_code job_name delimiter='|'")
    gone = "is not found|No unfinished job|No matching job|already finished|No job found"

    def submit(self, script: Path, ask: Ask) -> str:
        """``bsub`` reads directives from its input only: Job <123> is submitted to ..."""
        return _only(r"Job <(\d+)>", ask(["bsub"], script=script))

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """``-a`` tells of jobs that ended lately, too (CLEAN_PERIOD)."""
        return self.read(ask([*self.queue, "-a", *ids], unless=self.gone), ask)

    def mine(self, ask: Ask) -> list[SeenJob]:
        """Without ``-a``, bjobs tells of what has not ended."""
        return self.read(ask(self.queue, unless=self.gone), ask)

    def read(self, answer: str, ask: Ask) -> list[SeenJob]:
        """Read lines such as ``123|PEND|-|orimap-3f``; ask why those wait that do."""
        told = [line for line in answer.splitlines() if not re.search(self.gone, line)]
        lines = [line.split("|", 3) for line in told]
        pending = [job_id for job_id, state, _, _ in lines if state in self.waiting]
        why = self.reasons(ask(["bjobs", "-p", *pending], unless=self.gone)) if pending else {}
        jobs = []
        for job_id, state, code, name in lines:
            if state in self.waiting:
                jobs.append(SeenJob(job_id, name, "waiting", why.get(job_id, state)))
            elif state in self.running:
                jobs.append(SeenJob(job_id, name, "running", "" if state == "RUN" else state))
            else:  # DONE, EXIT, ZOMBI
                words = "" if code in ("-", "") else f"exit code {code}"
                jobs.append(SeenJob(job_id, name, "ended", _words(state, words)))
        return jobs

    def reasons(self, answer: str) -> dict[str, str]:
        """Read ``bjobs -p``: a line for each job, then its reasons, indented."""
        found: dict[str, list[str]] = {}
        current = None
        for line in answer.splitlines():
            if re.match(r"\d+\s", line):
                current = line.split()[0]
            elif current and line.startswith(" "):
                found.setdefault(current, []).append(line.strip().rstrip(";"))
        return {job_id: "; ".join(words) for job_id, words in found.items()}

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """``seen`` has asked for ended jobs already."""
        return None

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``bkill`` errs about a job that has finished."""
        ask(["bkill", *ids], unless=self.gone)


class Sge:
    """Grid Engine: qsub, qstat, qacct, qdel."""

    def submit(self, script: Path, ask: Ask) -> str:
        """``qsub -terse`` answers the id alone."""
        return ask(["qsub", "-terse", f"./{script.name}"], script=script).strip()

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """``qstat`` tells of all jobs of a user or none."""
        return [job for job in self.mine(ask) if job.id in ids]

    def mine(self, ask: Ask) -> list[SeenJob]:
        """Only XML has names whole."""
        return self.read(ask(["qstat", "-xml", "-u", getpass.getuser()]))

    def read(self, answer: str) -> list[SeenJob]:
        """Read ``job_list`` elements; the letters of a state are those of qstat(1)."""
        jobs = []
        for job in ElementTree.fromstring(answer).iter("job_list"):
            job_id, name = job.findtext("JB_job_number", ""), job.findtext("JB_name", "")
            letters = job.findtext("state", "")
            if "E" in letters:
                words = f"{letters}: it cannot start; qstat -j {job_id} says why"
                jobs.append(SeenJob(job_id, name, "waiting", words))
            elif "w" in letters:
                held = f"{letters}: held" if "h" in letters else letters
                jobs.append(SeenJob(job_id, name, "waiting", held))
            else:
                jobs.append(SeenJob(job_id, name, "running", "" if letters == "r" else letters))
        return jobs

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """Read the lines ``failed`` and ``exit_status`` of ``qacct -j``."""
        answer = ask(["qacct", "-j", job_id], unless="not found")
        pairs = (line.split(None, 1) for line in answer.splitlines())
        facts = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
        if "exit_status" not in facts:
            return None
        failed = facts.get("failed", "0")
        words = "" if failed.split()[0] == "0" else f"failed {failed}"
        return SeenJob(
            job_id,
            facts.get("jobname", ""),
            "ended",
            _words(f"exit status {facts['exit_status']}", words),
        )

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``qdel`` reports an error for a job that no longer exists."""
        ask(["qdel", *ids], unless="does not exist")


class Oar:
    """OAR: oarsub, oarstat, oardel."""

    waiting = ("Waiting", "Hold", "toLaunch", "toAckReservation", "Launching")
    running = ("Running", "Suspended", "Resuming", "Finishing")

    def submit(self, script: Path, ask: Ask) -> str:
        """``oarsub --scanscript`` reads directives: OAR_JOB_ID=123. It runs the file itself."""
        return _only(r"OAR_JOB_ID=(\d+)", ask(["oarsub", "-S", f"./{script.name}"], script=script))

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """OAR keeps every job in its database."""
        wanted = [part for job_id in ids for part in ("-j", job_id)]
        return self.read(ask(["oarstat", "-J", "-f", *wanted], unless="not found|No job"))

    def mine(self, ask: Ask) -> list[SeenJob]:
        """``-u`` alone tells of what has not ended."""
        answer = ask(["oarstat", "-J", "-f", "-u", getpass.getuser()], unless="not found|No job")
        return [job for job in self.read(answer) if job.state in ("waiting", "running")]

    def read(self, answer: str) -> list[SeenJob]:
        """Read JSON of jobs by their ids."""
        jobs = []
        for job_id, facts in (json.loads(answer) if answer.strip() else {}).items():
            state, name = facts["state"], facts.get("name") or ""
            message = (facts.get("message") or "").strip()
            if state in self.waiting:
                jobs.append(SeenJob(job_id, name, "waiting", message or state))
            elif state in self.running:
                jobs.append(SeenJob(job_id, name, "running", "" if state == "Running" else state))
            else:
                jobs.append(SeenJob(job_id, name, "ended", _words(state, message)))
        return jobs

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """``seen`` has seen them all."""
        return None

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``oardel`` errs about a job that has ended."""
        ask(["oardel", *ids], unless="already|not found|Terminated|Error")


class HTCondor:
    """HTCondor: condor_submit, condor_q, condor_history, condor_rm."""

    attributes = "ClusterId,ProcId,JobStatus,JobBatchName,HoldReason,RemoveReason,ExitCode"

    def submit(self, script: Path, ask: Ask) -> str:
        """``condor_submit -terse`` answers FIRST - LAST, as 123.0 - 123.0."""
        answer = ask(["condor_submit", "-terse", f"./{script.name}"], script=script)
        return _only(r"^(\d+\.\d+) - ", answer)

    def seen(self, ids: Sequence[str], ask: Ask) -> list[SeenJob]:
        """Jobs that have left the queue are in the history."""
        return self.read(ask(["condor_q", "-json", "-attributes", self.attributes, *ids]))

    def mine(self, ask: Ask) -> list[SeenJob]:
        """``condor_q`` tells of one's own jobs."""
        queued = self.read(ask(["condor_q", "-json", "-attributes", self.attributes]))
        return [job for job in queued if job.state in ("waiting", "running")]

    def read(self, answer: str) -> list[SeenJob]:
        """Read JSON; an empty queue is an empty answer."""
        jobs = []
        for facts in json.loads(answer) if answer.strip() else []:
            job_id = f"{facts['ClusterId']}.{facts['ProcId']}"
            name = facts.get("JobBatchName", "")
            match facts["JobStatus"]:
                case 1:
                    jobs.append(SeenJob(job_id, name, "waiting", "idle"))
                case 5:
                    words = f"held: {facts.get('HoldReason', 'no reason given')}"
                    jobs.append(SeenJob(job_id, name, "waiting", words))
                case 2 | 6 | 7:  # running, transferring output, suspended
                    jobs.append(SeenJob(job_id, name, "running"))
                case _:
                    code = facts.get("ExitCode")
                    words = facts.get("RemoveReason") or f"exit code {code}"
                    jobs.append(SeenJob(job_id, name, "ended", words))
        return jobs

    def ended(self, job_id: str, ask: Ask) -> SeenJob | None:
        """``condor_history`` goes backwards through a long file: one match is enough."""
        history = ["condor_history", "-json", "-limit", "1", "-attributes", self.attributes]
        return next(iter(self.read(ask([*history, job_id]))), None)

    def cancel(self, ids: Sequence[str], ask: Ask) -> None:
        """``condor_rm`` errs where nothing was found."""
        ask(["condor_rm", *ids], unless="Couldn't find|not found")


BATCH_SYSTEMS: dict[str, BatchSystem] = {
    "slurm": Slurm(),
    "pbs": Pbs(),
    "lsf": Lsf(),
    "sge": Sge(),
    "oar": Oar(),
    "htcondor": HTCondor(),
}


class UnreadableAnswerError(ValueError):
    """A batch system answered something else than it documents."""


def _only(pattern: str, answer: str) -> str:
    """Return what a pattern finds in an answer."""
    found = re.search(pattern, answer, re.MULTILINE)
    if found is None:
        raise UnreadableAnswerError(answer.strip() or "no answer")
    return found[1]


def _words(*parts: str) -> str:
    """Join what there is to say."""
    return ", ".join(part for part in parts if part)
