"""What is printed shows no credentials."""

import pytest

from pipelines.console import messages


def test_messages_that_quote_other_software_hide_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    """As MLflow's, whose server has a password in MLFLOW_TRACKING_URI."""
    messages.print("  epoch 1 could not be logged to MLflow: http://user:PLANTED@127.0.0.1:9/api does not answer")
    assert capsys.readouterr().err == (
        "  epoch 1 could not be logged to MLflow: http://***@127.0.0.1:9/api does not answer\n"
    )


def test_a_message_is_one_line_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a path/of/some/length " * 20
    messages.print(text)
    assert capsys.readouterr().err == f"{text}\n"
