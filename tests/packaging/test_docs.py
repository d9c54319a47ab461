"""What pages say is there: links, files, commands and options, what is generated from the code."""

import importlib.util
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import orimap
from orimap.flows.cli.main import app
from orimap.flows.request.names import option_of
from orimap.flows.request.request import Request
from orimap.tasks.store import variables

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Of these every command and option must be there today; the changelog may name what is gone.
PAGES = sorted(
    chain(
        (ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
        DOCS.rglob("*.md"),
        (ROOT / "deploy").rglob("*.md"),
    )
)
LINKING = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "tests" / "benchmarks").glob("*/README.md")]
FENCED = re.compile(r"^( *)```(\S*).*?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(
    r"\s*(?:sudo (?:-\w \S+ )*)?(?:\w+=\S+ )*(?:\S*bin/)?orimap ((?:[a-z][a-z-]*\b ?)+)(.*)"
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# Options of other programs that pages name by themselves.
OTHERS = {"--mem", "--mem-per-cpu", "--mem-per-gpu", "--host"}


def commands():
    """Return the options of every command, hidden ones as well: {"cluster check": {...}}."""

    def walk(group, before):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{before}{name} ")
            else:
                options = chain.from_iterable([*p.opts, *p.secondary_opts] for p in command.params)
                yield before + name, {*options, "--help"}

    return dict(walk(get_command(app), ""))


def code_of(text):
    """Return the lines of code on a page: of blocks for a shell, and code within sentences."""
    blocks = [inside for _, language, inside in FENCED.findall(text) if language in ("", "sh")]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    spans = re.findall(r"`([^`]+)`", FENCED.sub("", text))
    return [*(line.partition(" #")[0] for line in lines), *(" ".join(s.split()) for s in spans)]


def unknown_in(text, known):
    """Return what a page calls orimap with that is not there."""
    found, every = [], set().union(*known.values(), OTHERS)
    for line in code_of(text):
        for part in re.split(r"&&|[|;] ", line):
            called = COMMAND.match(part)
            if called is None:
                alone = part.lstrip().startswith("--")
                found += [o for o in OPTION.findall(part) if alone and o not in every]
                continue
            words, rest = called[1].split(), called[2]
            name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
            if name is None:
                found.append(f"orimap {words[0]}")
            else:
                found += [f"{name} {o}" for o in OPTION.findall(rest) if o not in known[name]]
    return found


def anchors_of(page):
    """Return the anchors that the headings of a page have on GitHub and in our pages."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def broken_links(page):
    """Return the links of a page that lead to nothing in the repository."""
    broken = []
    for target in LINK.findall(FENCED.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page):
    assert broken_links(page) == []


def test_a_link_to_nothing_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# What comes out\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#what-comes-out) ![c](gone.png) [d](other.md#gone)\n"
        "[e](https://example.org/gone)\n```\n[f](in-code.md)\n```\n"
    )
    assert broken_links(page) == ["gone.png", "other.md#gone"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_exists(page):
    assert unknown_in(page.read_text(), commands()) == []


def test_a_command_or_option_that_does_not_exist_is_found():
    text = (
        "`orimap run --filtre raw`, `orimap ran`, `--filtre`, `orimap cluster check --nodes`.\n"
        "Right are `orimap run FILE --output DIR`, `--filter raw` and `git log --oneline`.\n"
        "```sh\ngit -C /opt/orimap pull\nsudo -u orimap /opt/bin/orimap doctor --wach X   # --why\n"
        "```\n"
        "```python\norimap run --python\n```\n"
    )
    expected = ["doctor --wach", "run --filtre", "orimap ran", "--filtre", "cluster check --nodes"]
    assert unknown_in(text, commands()) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_module_and_target_of_make_exists(page):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    missing = []
    for code in code_of(page.read_text()):
        if re.fullmatch(r"(flows|tasks|cluster|deploy|docs|tests)/[\w./-]*\w", code):
            missing += [] if (ROOT / code).exists() else [code]
        elif re.fullmatch(r"orimap\.(flows|tasks|cluster)[\w.]+", code):
            module = ROOT.joinpath(*code.split(".")[1:])
            inside = module.parent.with_suffix(".py")
            there = module.exists() or module.with_suffix(".py").exists()
            named = inside.exists() and re.search(rf"\b{module.name}\b", inside.read_text())
            missing += [] if there or named else [code]
        elif called := re.match(r"make (\w+)$", code.strip()):
            missing += [] if called[1] in targets else [code]
    # Old names that the guide tells of because they are gone.
    gone = {"orimap.flows.deployed", "orimap.flows.deployed.analyse", "orimap.flows.canary.canary"}
    assert set(missing) - gone == set()


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_commands_has_every_command_and_option_that_is_not_hidden(generate):
    text = generate.commands_text()
    for name in ("run", "decide", "watch", "cluster check"):
        assert f"\norimap {name}\n-----" in f"\n{text}"
    assert "orimap perform" not in text  # hidden
    for name in Request.model_fields.keys() - {"file", "output"}:
        assert f".. option:: {option_of(name)}" in text
    assert ".. option:: --split-bent, --no-split-bent" in text
    assert "``orimap run FILE [OPTIONS]``" in text


def test_the_reference_of_results_has_every_variable(generate):
    rows = re.findall(r"- ``(\w+)``\n", generate.results_text())
    groups = {id(v): v for v in vars(variables).values() if isinstance(v, variables.Group)}
    declared = [name for group in groups.values() for name in group.variables]
    assert rows[0] == "pattern_intensity"
    assert sorted(rows) == sorted(declared)
    assert "     - second share over first share\n" in generate.results_text()


def test_the_reference_of_python_has_all_that_is_offered(generate):
    text = generate.python_text()
    assert ".. autofunction:: orimap.run\n" in text
    named = re.findall(r"\.\. auto\w+:: orimap\.(\w+)", text)
    assert named == [name for name in orimap.__all__ if name != "__version__"]


def test_the_reference_of_modules_leaves_none_out(generate):
    tasks = ROOT / "tasks"
    files = [path.relative_to(tasks) for path in tasks.rglob("*.py") if path.name[0] != "_"]
    expected = {".".join(("orimap.tasks", *file.with_suffix("").parts)) for file in files}
    pages = generate.pages_of_modules()
    packages = [re.search(r"orimap-modules:: (\S+)\n", page)[1] for page in pages.values()]
    assert packages == [f"orimap.tasks.{name}" for name in pages]
    texts = map(generate.modules_text, packages)
    named = [re.findall(r"automodule:: (\S+)", text) for text in texts]
    assert sorted(chain(*named)) == sorted(expected)


def test_the_confidence_is_counted_from_the_rows_measured(generate, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "MEASURED", tmp_path)
    head = "number,way,exact,confidence\n"
    rows = ["1,orimap,True,high", "3,orimap,False,high", "5,orimap,True,low", "81,orimap,True,high"]
    ignored = ["2,orimap,False,high", "1,hyperspy-elbow,False,"]
    (tmp_path / "rows.csv").write_text(head + "\n".join([*rows, *ignored]))
    realistic = ["s4000,orimap,True,moderate", "s0,orimap,False,moderate"]
    (tmp_path / "realistic.csv").write_text(
        "seed,way,defensible,confidence\n" + "\n".join(realistic)
    )
    cells = re.findall(r"[*-] - (.+)|    - (.+)", generate.confidence_text())
    assert [one or other for one, other in cells][4:] == [
        *("kinematical, reporting half", "1 of 2", "no scan", "1 of 1"),
        *("kinematical, never looked at", "1 of 1", "no scan", "no scan"),
        *("realistic", "no scan", "1 of 1", "no scan"),
    ]


def test_packages_of_the_documentation_have_the_versions_of_the_lock_file():
    def pinned(path):
        pins = {}
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
        return pins

    lock, docs = pinned(ROOT / "requirements.lock"), pinned(DOCS / "requirements.txt")
    shared = lock.keys() & docs.keys()
    assert {"jinja2", "pygments"} <= shared
    assert {name: docs[name] for name in shared} == {name: lock[name] for name in shared}
    assert {"sphinx", "pydata-sphinx-theme", "myst-parser"} <= docs.keys()


def test_the_citation_names_the_paper_and_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    paper = citation["preferred-citation"]
    assert paper["doi"] == "10.1039/d5dd00071h"
    assert paper["doi"] in (ROOT / "README.md").read_text()
