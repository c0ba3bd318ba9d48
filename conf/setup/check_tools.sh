#!/bin/sh
# Says in one line each what the machine lacks, and the command that installs it. Exit 2 if anything is missing.
python=${PYTHON:-python3.11}
missing=0
lacks() { echo "error: $1; install it: $2" >&2; missing=1; }

if ! command -v "$python" >/dev/null 2>&1; then
    lacks "Python 3.11 not found (looked for $python; make PYTHON=... names another)" "apt-get install python3.11 python3.11-venv"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    lacks "$("$python" --version 2>&1) found as $python, Python 3.11 needed" "apt-get install python3.11 python3.11-venv"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    lacks "Python's venv module not found" "apt-get install python3.11-venv"
fi

if [ -n "$JAVA_HOME" ]; then java=$JAVA_HOME/bin/java; else java=java; fi
if ! command -v "$java" >/dev/null 2>&1; then
    lacks "Java not found (${JAVA_HOME:+JAVA_HOME is $JAVA_HOME; }17 or 21 needed)" "apt-get install openjdk-17-jre-headless"
else
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    case $version in
        17 | 21) ;;
        *) lacks "Java ${version:-of unknown version} found, 17 or 21 needed" "apt-get install openjdk-17-jre-headless" ;;
    esac
fi

command -v "${CXX:-c++}" >/dev/null 2>&1 || lacks "C++ compiler not found (Horovod is built with it)" "apt-get install g++"
[ $missing -eq 0 ] || exit 2
