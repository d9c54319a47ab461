"""What an operator copies: units, proxy, guides. Commands in them must be ones that orimap has."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from orimap.flows.cli.main import app
from orimap.flows.jobs.notify import NOTIFY_VARIABLE
from orimap.flows.pipeline.runtime.workers import DASHBOARD_VARIABLE
from orimap.flows.request.allowed import ROOTS_VARIABLE

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
GUIDES = sorted(DEPLOY.glob("*.md"))


def _unit(path):
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read(path)
    return parser


def _parsed(words):
    """Parse a command line of orimap as it would be, without running it."""
    context = typer.main.get_command(app).make_context("orimap", [], resilient_parsing=True)
    command = context.command
    while hasattr(command, "commands") and words:
        name, *words = words
        assert name in command.commands, f"orimap has no command {name}"
        command = command.commands[name]
    return command.make_context(command.name, list(words))


def _commands(text):
    """Return the command lines of orimap in a text, as lists of words; those to type, and others.

    What stands within a sentence may leave out what a command cannot do without.
    """
    to_type = re.findall(r"^ *(?:sudo -u \w+ )?(?:\S*/)?orimap (\w.*)$", text, re.M)
    told = re.findall(r"`orimap ([a-z][^`]*)`", text)
    return tuple(
        [shlex.split(line, comments=True) for line in lines if "..." not in line]
        for lines in (to_type, told)
    )


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_a_command_that_there_is_and_never_write_acquisitions(path):
    service = _unit(path)["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/orimap")
    options = _parsed(words).params
    if words[0] == "view":  # it reads and writes nothing but results
        assert service["ReadWritePaths"].split() == [str(options["directory"])]
        assert "ReadOnlyPaths" not in service
    else:
        watched = Path(options.get("watch") or options["folder"])
        assert str(watched) in service["ReadOnlyPaths"].split()
        assert str(options["results"]) in service["ReadWritePaths"].split()
    assert service["KillMode"] == "mixed"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_itself_takes_the_units(path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    answer = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    complaints = [line for line in answer.stderr.splitlines() if "is not executable" not in line]
    assert complaints == []


def test_the_file_for_secrets_names_what_orimap_and_prefect_read():
    lines = (DEPLOY / "systemd" / "orimap.env").read_text().splitlines()
    named = {match[1] for line in lines if (match := re.match(r"#?([A-Z_]+)=", line))}
    assert {NOTIFY_VARIABLE, ROOTS_VARIABLE} <= named
    assert named - {NOTIFY_VARIABLE, ROOTS_VARIABLE} == {
        "PREFECT_API_URL",
        "PREFECT_API_AUTH_STRING",
        DASHBOARD_VARIABLE,
    }
    # Nothing in it is in force before somebody has put in values of their own.
    assert all(line.startswith("#") or not line for line in lines)


def test_prefect_reads_the_password_that_the_guide_names(monkeypatch):
    from prefect.settings.models.root import Settings

    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "orimap:long")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "orimap:long")
    settings = Settings()
    for auth in (settings.server.api.auth_string, settings.api.auth_string):
        assert auth.get_secret_value() == "orimap:long"
    assert "PREFECT_SERVER_API_AUTH_STRING" in (DEPLOY / "private-api.md").read_text()


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_commands_in_the_guides_are_ones_that_there_are(path):
    to_type, told = _commands(path.read_text())
    for words in to_type + told:
        try:
            _parsed(words)
        except Exception as error:
            if words in to_type or "Missing parameter" not in str(error):
                pytest.fail(f"{path.name}: orimap {shlex.join(words)}: {error}")


def test_the_slurm_sample_says_no_more_than_its_guide_has_one_change():
    sample = yaml.safe_load((DEPLOY / "profiles" / "slurm-facility.yaml").read_text())
    ours = {"system", "workers", "flow"}
    (told,) = re.findall(r"and put in your account, ([^;]*);", (DEPLOY / "slurm.md").read_text())
    theirs = {"partition": "queue"}
    names = {theirs.get(word, word) for word in re.findall(r"\w+", told)} - {"and"}
    assert set(sample) == ours | names | {"account"}


def test_the_guides_do_show_commands():
    assert sum(len(_commands(path.read_text())[0]) for path in GUIDES) >= 8


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_links_in_the_guides_lead_somewhere(path):
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
    for name in re.findall(r"`((?:profiles|systemd|nginx)/[\w.-]+)`", path.read_text()):
        assert (path.parent / name).exists(), name


def test_nginx_takes_the_proxy(tmp_path):
    for program in ("nginx", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    named = ["-keyout", key, "-out", certificate, "-subj", "/CN=prefect.example.org"]
    subprocess.run([*command, *named], check=True, capture_output=True)
    sample = (DEPLOY / "nginx" / "prefect.conf").read_text()
    sample = re.sub(r"/etc/ssl/certs/\S+(?=;)", str(certificate), sample)
    sample = re.sub(r"/etc/ssl/private/\S+(?=;)", str(key), sample)
    (tmp_path / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{sample}\n}}\n")
    answer = subprocess.run(
        ["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


def test_the_proxy_passes_to_loopback_alone():
    sample = (DEPLOY / "nginx" / "prefect.conf").read_text()
    assert re.findall(r"proxy_pass (\S+);", sample) == ["http://127.0.0.1:4200"]
