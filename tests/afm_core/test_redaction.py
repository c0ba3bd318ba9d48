"""No message shows credentials, wherever it quotes them from."""

import pytest

from afm_core.errors import LogsError, SettingsError
from afm_core.redaction import holds_credentials, without_secrets

WITH_CREDENTIALS = [
    "s3://AKIAEXAMPLE:PLANTED@bucket/path",
    "s3a://AKIAEXAMPLE:PLAN/TED+x=@bucket/path",
    "https://user:PLANTED@host/path",
    "https://PLANTED@host/path",
    "http://user:PLAN@TED@127.0.0.1:9/path",
    "hdfs://user:PLANTED@host:8020/path",
    "abfss://container:PLANTED@account.dfs.core.windows.net/path",
    "https://account.blob.core.windows.net/c/p?sv=2022&se=2026&sig=PLANTED%3D",
    "https://bucket.s3.amazonaws.com/k?X-Amz-Credential=PLANTED&X-Amz-Signature=PLANTED",
    "gs://bucket/path?access_token=PLANTED",
]
WITHOUT = [
    "s3://bucket/user@example.com/path",
    "abfss://container@account.dfs.core.windows.net/a@b",
    "hdfs://node:8020/user@example.com",
    "hdfs://node:8020: cannot be reached by user@example.com",
    "s3://bucket/2026-0?/dt=*",
    "user@example.com: a:b@c",
    "/local/path@x",
]


@pytest.mark.parametrize("text", WITH_CREDENTIALS)
def test_credentials_in_a_url_are_noticed_and_hidden(text: str) -> None:
    assert holds_credentials(text)
    line = f"error: {text}: cannot be read"
    shown = without_secrets(line)
    assert "PLAN" not in shown
    assert "TED" not in shown
    assert shown.endswith(" cannot be read")


@pytest.mark.parametrize("text", WITHOUT)
def test_what_only_looks_like_them_stays(text: str) -> None:
    assert not holds_credentials(text)
    assert without_secrets(text) == text


def test_the_values_of_secret_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted/Secret+Value")
    monkeypatch.setenv("DB_PASSWORD", "planted-password")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token-file")
    monkeypatch.setenv("SOME_TOKEN", "true")
    text = "planted/Secret+Value and planted-password in /var/run/token-file: true"
    assert without_secrets(text) == "*** and *** in /var/run/token-file: true"


def test_every_error_is_cleaned() -> None:
    planted = "s3://KEY:PLANTED@bucket/x"
    assert "PLANTED" not in str(LogsError(f"{planted}: gone"))
    problems = SettingsError([f"one: {planted}", "two"])
    assert problems.problems == ["one: s3://***@bucket/x", "two"]
    assert "PLANTED" not in repr(problems)
