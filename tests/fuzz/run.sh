#!/usr/bin/env bash
# Runs each fuzz target for some seconds, and fails at the first input that breaks one.
#
#   tests/fuzz/run.sh SECONDS PROGRAM...     (make fuzz FUZZ_SECONDS=60)
#
# It starts from tests/fuzz/corpus/NAME; what it finds on the way is kept in PROGRAM.corpus, so that the next run
# goes on from there. An input that broke it stays as PROGRAM-crash-…: run PROGRAM with it as argument, mend the
# cause, and move it into the corpus, where it is tried first ever after.
set -eu
seconds=$1
shift
[ $# -gt 0 ] || { echo "tests/fuzz/run.sh: no fuzz targets"; exit 1; }
for program; do
    name=${program##*/}
    mkdir -p "$program.corpus"
    seeds=tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    # 64 KiB is the largest frame. A seed of the run is printed by libFuzzer at its start.
    if ! "$program" "$program.corpus" $seeds -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
         -max_len=66000 -artifact_prefix="$program-" -print_final_stats=1 >"$program.log" 2>&1; then
        tail -40 "$program.log"
        echo "fuzz: $name FAILED ($program.log)"
        exit 1
    fi
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$program.log") inputs in $seconds s," \
         "$(ls "$program.corpus" | wc -l) kept"
done
