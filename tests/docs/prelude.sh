# Functions of the shell of a page. The test has an environment already, and no access to a package index.

# python3 -m venv DIR: an environment that changes nothing, because that of the test has everything.
python3() {
    if [ "$1 $2" = "-m venv" ]; then
        mkdir -p "$3/bin" && : >"$3/bin/activate"
    else
        command python "$@"
    fi
}

# pip install NAMES: check that the environment of the test has them.
pip() {
    command python -m pip "$@" --quiet --dry-run --no-index --no-deps
}

# curl: without the progress that it shows if the output is no terminal. A process that has just started may not listen yet.
curl() {
    command curl --silent --show-error --retry 30 --retry-delay 1 --retry-connrefused "$@"
}
