import pytest

from orimap.flows.request.allowed import allowed_roots, environment_of, under_root
from orimap.tasks.errors import InputError


def test_a_path_under_a_root_is_returned_without_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert under_root(tmp_path / "link" / "scan.blo", [tmp_path]) == tmp_path / "real" / "scan.blo"


def test_the_second_root_serves_as_well(tmp_path):
    path = tmp_path / "b" / "scan.blo"
    assert under_root(str(path), [tmp_path / "a", tmp_path / "b"]) == path


@pytest.mark.parametrize(
    "path", ["{root}/../secret", "/etc/passwd", "scan.blo", "{root}-2/scan.blo"]
)
def test_a_path_elsewhere_is_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError, match="under"):
        under_root(path.format(root=root), [root])


def test_a_link_that_leads_out_is_refused_and_named(tmp_path):
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (root / "scan.blo").symlink_to(secret / "scan.blo")
    with pytest.raises(InputError, match=f"which leads to {secret}"):
        under_root(root / "scan.blo", [root])


def test_a_null_byte_is_refused(tmp_path):
    with pytest.raises(InputError, match="x00"):
        under_root(f"{tmp_path}/a\0b", [tmp_path])


def test_without_a_root_nothing_is_allowed(tmp_path, monkeypatch):
    monkeypatch.delenv("ORIMAP_ROOTS", raising=False)
    assert allowed_roots() == []
    with pytest.raises(InputError, match="ORIMAP_ROOTS"):
        under_root(tmp_path, allowed_roots())


def test_roots_are_named_as_path_names_folders(monkeypatch):
    monkeypatch.setenv("ORIMAP_ROOTS", "/data/a:/data/b")
    assert [str(root) for root in allowed_roots()] == ["/data/a", "/data/b"]


def test_folders_are_handed_to_other_processes_by_their_environment(monkeypatch, tmp_path):
    roots = [tmp_path / "a", tmp_path / "b"]
    assert environment_of([]) == {}
    for name, value in environment_of(roots).items():
        monkeypatch.setenv(name, value)
    assert allowed_roots() == roots
