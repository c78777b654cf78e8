"""What is asked of a URL before anything is computed, each failure by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import RemoteError
from harness.store.objects import ObjectStore
from tests.s3 import s3_server


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("bucket/prefix", "expected a URL"),
        ("s3://", "expected a URL"),
        ("nothing://bucket", "known are s3://"),
        ("memory://store", "exists in one process"),
        ("sftp://me:secret@host/folder", "no password in a URL"),
    ],
)
def test_a_url_that_cannot_serve_is_refused(url: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words) as raised:
        ObjectStore(url)
    assert "secret" not in str(raised.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RemoteError, match="pip install gcsfs"):
        ObjectStore("gs://bucket/prefix")


def test_a_folder_that_is_not_mounted_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="is it mounted"):
        ObjectStore(f"file://{tmp_path}/share/store").check()


def test_missing_bucket_missing_keys_and_dead_server_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        ObjectStore(server.new_url()).check()
        with pytest.raises(RemoteError, match="no bucket 'absent'"):
            ObjectStore("s3://absent/prefix").check()
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        with pytest.raises(RemoteError, match="AWS_ACCESS_KEY_ID"):
            ObjectStore(server.new_url()).check()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        url = server.new_url()
        server.down()
        try:
            with pytest.raises(RemoteError, match="connect"):
                ObjectStore(url).check()
        finally:
            server.up()


def test_a_file_system_that_makes_objects_over_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = ObjectStore(f"file://{tmp_path}")
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_bytes(Path(source).read_bytes()))
    with pytest.raises(RemoteError, match="If-None-Match"):
        remote.check()
