"""Airflow: score last night's logs every morning; put this file into Airflow's folder of DAGs."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator

PROJECT = "/opt/attentional-fm"

with DAG(
    dag_id="attentional_fm_score",
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # --missing catches up by itself
    max_active_runs=1,
    default_args={"retries": 6, "retry_delay": timedelta(minutes=20)},
) as dag:
    # Airflow shows exit code 3, nothing to do, as skipped. After exit code 2 the operator must act: retries fail too.
    BashOperator(
        task_id="score",
        cwd=PROJECT,
        bash_command=".venv/bin/python jobs/score.py --config conf/shop.yaml --missing 14",
        skip_on_exit_code=3,
    )
