#!/bin/sh
# Records the memory accesses of a small real program with valgrind, and runs them through caches and a link.
#   examples/record_lackey.sh [OPTION OF `hsl perf program`...]
# PROGRAM is what is recorded, `sort` of its own text unless told otherwise; the trace goes through a pipe, so
# that nothing is stored however long the program runs. HSL is the command, `hsl` unless told otherwise.
set -eu
command -v valgrind >/dev/null || { echo 'needs valgrind: apt-get install valgrind' >&2; exit 3; }
program=${PROGRAM:-"sort $0"}
# shellcheck disable=SC2086 # the program has arguments
{ valgrind --tool=lackey --trace-mem=yes --log-fd=3 $program 3>&1 >/dev/null || true; } |
    ${HSL:-hsl} perf program - "$@"
