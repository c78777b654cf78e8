"""The user's own MLflow: what it needs is checked before a run, and its password is shown nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.cli.main import main
from harness.console import redacted
from harness.errors import StudyError
from harness.tracking import check_tracking, failure_message, read_results, record
from tests.finished import STUDY, make

DRIVERS = [
    ("postgresql", "psycopg", "'psycopg[binary]'"),
    ("mysql", "MySQLdb", "mysqlclient"),
    ("mssql", "pyodbc", "pyodbc"),
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://me:pass word", "at http://me:pass word"),
        ("postgresql://me:p@ss/w%40rd@host:1/d?x=1", "postgresql://me:***@host:1/d?x=1"),
        ("(https://:only@host)", "(https://:***@host)"),
        ("mysql://h/d?user=a&password=b&x=1", "mysql://h/d?user=a&password=***&x=1"),
        ("mssql:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dy", "mssql:///?odbc_connect=***"),
        ("https://host/x?SAS_Token=a;b", "https://host/x?SAS_Token=***"),
        ("at http://h/?password=***: no answer", "at http://h/?password=***: no answer"),
        ("sqlite:////home/me:1@x/mlflow.db", "sqlite:////home/me:1@x/mlflow.db"),
        ("http://127.0.0.1:5000/#/experiments", "http://127.0.0.1:5000/#/experiments"),
    ],
)
def test_text_is_shown_without_the_passwords_in_its_uris(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(("scheme", "module", "package"), DRIVERS)
def test_a_missing_driver_is_named_before_anything_is_computed(
    scheme: str,
    module: str,
    package: str,
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:sesame@host/d")
    (tmp_path / "study.yaml").write_text(STUDY)
    assert main(["run", str(tmp_path / "study.yaml"), "--data", str(data), "--home", str(tmp_path / "home")]) == 2
    message = capsys.readouterr().err
    assert f"pip install {package}\n" in message
    assert "sesame" not in message
    assert not list((tmp_path / "home" / "store").glob("segment/*"))


@pytest.mark.parametrize(("scheme", "module", "package"), DRIVERS)
def test_a_driver_missing_at_the_end_costs_a_warning(
    scheme: str,
    module: str,
    package: str,
    home: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:sesame@host/d")
    results = record(*make(home, data))
    assert f"pip install {package}; the study is not harmed" in caplog.text
    assert read_results(home, "try") == results


def test_a_missing_package_for_artifacts_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    check_tracking(home, "try")
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_experiment("try", "s3://bucket/mlflow")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StudyError, match=r"s3://bucket/mlflow needs a package .*pip install boto3"):
        check_tracking(home, "try")


def test_an_artifact_store_that_refuses_costs_a_warning(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").create_experiment("try", "s3://bucket/mlflow")
    assert record(*make(home, data))[0].done
    assert "credentials" in caplog.text


def test_a_uri_of_no_database_is_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql:/me:sesame@host")
    with pytest.raises(StudyError, match=r"mysql:/me:\*\*\*@host is not the URI of a database"):
        check_tracking(tmp_path, "try")


def test_a_server_that_is_down_does_not_stop_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    check_tracking(tmp_path, "try")
    assert "the study is not harmed" in caplog.text


@pytest.mark.parametrize("uri", ["http://me:sesame@127.0.0.1:9", "http://127.0.0.1:9/?password=sesame"])
def test_a_password_is_neither_shown_nor_saved(
    uri: str, home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record(*make(home, data))
    for words in (
        ["mlflow", "resync", "try"],
        ["mlflow", "ui"],
        ["report", "try"],
        ["report", "try", "--tracking-uri", uri],
    ):
        main([*words, "--home", str(home)])
    printed = capsys.readouterr()
    assert "***" in printed.err
    assert "sesame" not in printed.out + printed.err
    assert not [path for path in home.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]


def test_what_is_saved_about_a_database_has_no_password(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}?password=sesame")
    record(*make(home, data))
    assert "?password=*** " in (home / "rows" / "try.json").read_text()


def test_a_failure_that_quotes_the_uri_is_shown_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:sesame@host/d")
    message = failure_message(tmp_path, "try", OSError("cannot open postgresql://me:sesame@host/d"))
    assert "sesame" not in message
    assert message.count("postgresql://me:***@host/d") == 2
