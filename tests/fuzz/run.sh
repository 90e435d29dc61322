#!/bin/sh
# run.sh SECONDS FUZZER... - run each fuzzer for SECONDS, from its corpus, and fail on any finding.
#
# The corpus of a fuzzer called NAME is tests/fuzz/corpus/NAME, if there is one. It is only read: what a run
# discovers goes to a temporary folder, so that the tree stays as it was. A finding is kept there and its path
# printed: run the fuzzer with it as argument, mend the cause, and move it into the corpus, where it is tried
# first ever after. PIPIT_SEED repeats a run.
set -eu

seconds=${1:?usage: run.sh SECONDS FUZZER...}
shift
case $seconds in *[!0-9]* | 0) echo "fuzz: SECONDS is a number above 0" >&2; exit 2 ;; esac
[ $# -gt 0 ] || { echo "fuzz: no fuzzer given" >&2; exit 2; }
here=$(dirname "$0")
bytes_max=66000    # the largest frame, 64 KiB, and something over
failed=0

for fuzzer in "$@"; do
    name=$(basename "$fuzzer")
    corpus=$here/corpus/$name
    work=$(mktemp -d "${TMPDIR:-/tmp}/pipit-fuzz.XXXXXX")
    mkdir "$work/units"
    set -- "$work/units"
    [ ! -d "$corpus" ] || set -- "$@" "$corpus"
    if "$fuzzer" -max_total_time="$seconds" -max_len=$bytes_max -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 ${PIPIT_SEED:+-seed="$PIPIT_SEED"} -artifact_prefix="$work/" "$@" \
        >"$work/log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
        echo "fuzz: $name: ${runs:-0} inputs, nothing found"
        rm -rf "$work"
    else
        failed=$((failed + 1))
        tail -n 60 "$work/log"
        echo "fuzz: $name: FAILED, input and log are in $work" >&2
    fi
done
[ "$failed" -eq 0 ]
