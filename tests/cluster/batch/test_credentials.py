import shlex

from orimap.cluster.batch.credentials import remove_credentials, worker_options, write_credentials


def test_only_the_owner_can_read_and_no_secret_is_on_a_command_line(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o755)
    security = write_credentials(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
    assert (folder / "key.pem").read_text() == security.tls_worker_key
    assert security.require_encryption
    options = worker_options(folder)
    assert options[-2:] == ["--tls-key", str(folder / "key.pem")]
    assert "PRIVATE" not in " ".join(options)
    remove_credentials(folder)
    assert list(folder.iterdir()) == []


def test_they_are_new_every_time_and_replace_what_was_left(tmp_path):
    first, second = write_credentials(tmp_path), write_credentials(tmp_path)
    assert first.tls_worker_key != second.tls_worker_key
    assert (tmp_path / "key.pem").read_text() == second.tls_worker_key


def test_a_path_with_a_space_is_one_word(tmp_path):
    assert shlex.split(" ".join(worker_options(tmp_path / "two words")))[1].endswith(
        "two words/ca.pem"
    )
