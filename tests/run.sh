#!/usr/bin/env bash
# Runs cmocka programs and says what came of it; its last line is "N passed, N failed" and nothing else.
#
#   tests/run.sh PROGRAM...
#
# BUILD         their folder, for messages (tests find pipitd in it)
# JOBS          programs at once (default: one per core)
# TEST_SECONDS  last resort against a program that hangs (default 300): it is killed and counts as failed
#
# Tests are counted from the lines cmocka prints. One that began and did not end (a crash, a hang, an exit in the
# middle) failed, and so did a program that ends badly though its tests are good (a leak, a race, a broken
# set-up). All of a program's output is in PROGRAM.log, and is shown when it failed.
set -eu
JOBS=${JOBS:-$(nproc)}
TEST_SECONDS=${TEST_SECONDS:-300}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1}

# The thread sanitizers of gcc before 14 and clang before 18 need their shadow memory free and end at once where
# the kernel spreads mappings further than 28 bits.
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ] && setarch -R true 2>/dev/null; then
    spread="setarch -R"
fi

count() {    # LOG: "passed failed skipped"
    awk 'match($0, /\[( RUN     |       OK|  SKIPPED|  FAILED ) \] [A-Za-z0-9_]+$/) {
             word = substr($0, RSTART + 1, 9); gsub(/ /, "", word)
             if (word == "RUN") { failed += open; open = 1; next }
             if (!open) next                     # the list at the end repeats names
             open = 0
             passed += word == "OK"; failed += word == "FAILED"; skipped += word == "SKIPPED"
         }
         END { print passed + 0, failed + open + 0, skipped + 0 }' "$1"
}

run_one() {    # PROGRAM
    local rc=0 started=$SECONDS passed failed skipped
    ${spread:-} timeout --kill-after=10 "$TEST_SECONDS" "$1" >"$1.log" 2>&1 || rc=$?
    read -r passed failed skipped <<<"$(count "$1.log")"
    if [ $rc != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    if [ $((passed + failed)) = 0 ]; then failed=1; fi    # nothing was tested: that is no success
    echo "$passed $failed" >"$1.count"
    local name=${1#"${BUILD:-build}"/tests/} extra=
    [ "$skipped" = 0 ] || extra=", $skipped skipped"
    if [ "$failed" = 0 ]; then
        echo "ok    $name: $passed$extra ($((SECONDS - started)) s)"
        return
    fi
    # One write for all of it, so that two failures do not mix.
    echo "$(sed 's/^/    /' "$1.log")
FAIL  $name: $failed failed, $passed passed$extra (exit $rc, $((SECONDS - started)) s; $1.log)"
}

for program; do
    rm -f "$program.count"
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || true; done
    run_one "$program" &
done
wait

all_passed=0 all_failed=0
for program; do
    passed=0 failed=1
    if [ -f "$program.count" ]; then read -r passed failed <"$program.count"; fi
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
done
if [ $((all_passed + all_failed)) = 0 ]; then all_failed=1; fi
echo "$all_passed passed, $all_failed failed"
[ $all_failed = 0 ]
