#!/bin/sh
# Prints one line for each missing tool, with the command that installs it. Exits with 2 if anything is missing.
python=${PYTHON:-python3.11}
missing=0
report_missing() { echo "error: $1; install it with: $2" >&2; missing=1; }

if ! command -v "$python" >/dev/null 2>&1; then
    report_missing "Python 3.11 not found (looked for $python; use make PYTHON=... to choose another interpreter)" "apt-get install python3.11 python3.11-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    report_missing "$python is $("$python" --version 2>&1), but Python 3.11 is required" "apt-get install python3.11 python3.11-venv"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    report_missing "Python's venv module not found" "apt-get install python3.11-venv"
fi

if [ -n "$JAVA_HOME" ]; then java=$JAVA_HOME/bin/java; else java=java; fi
if ! command -v "$java" >/dev/null 2>&1; then
    report_missing "Java not found (${JAVA_HOME:+JAVA_HOME is $JAVA_HOME; }version 17 or 21 is required)" "apt-get install openjdk-17-jre-headless"
else
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    case $version in
        17 | 21) ;;
        *) report_missing "Java ${version:-of unknown version} found, but version 17 or 21 is required" "apt-get install openjdk-17-jre-headless" ;;
    esac
fi

command -v "${CXX:-c++}" >/dev/null 2>&1 || report_missing "C++ compiler not found (required to build Horovod)" "apt-get install g++"
[ $missing -eq 0 ] || exit 2
