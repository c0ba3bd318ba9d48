#!/bin/bash
# spark-submit that ends with the exit code of the job, in YARN's cluster mode too, where spark-submit itself knows 0 and
# 1 only: it prints the code of the driver, and this script takes it from there. For example:
#   conf/schedule/spark_submit.sh --master yarn --deploy-mode cluster OPTIONS \
#       jobs/score.py --config /shared/shop.yaml --missing 14
printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
spark-submit "$@" 2>&1 | tee "$printed"
code=${PIPESTATUS[0]}
if [ "$code" -eq 1 ]; then
    of_the_job=$(sed -n 's/.*User application exited with status \([0-9]*\).*/\1/p' "$printed" | tail -n 1)
fi
exit "${of_the_job:-$code}"
