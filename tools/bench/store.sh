#!/usr/bin/env bash
# What the log costs, without people: commits beside a bare append, pages of long histories beside a bare read, how long
# a server takes to open them and what memory they take.
#
#   tools/bench/store.sh BUILD        (make bench; LONG=1: 20 million messages as well, half an hour, 25 GB)
#
# BENCH_DIR        where the data goes, on a real disk (default BUILD/bench)
# BENCH_MESSAGES   sizes (default 1000000, with LONG=1 "1000000 20000000")
# BENCH_KEEP       1: the folder stays, for another look
set -eu -o pipefail
build=$1
dir=${BENCH_DIR:-$build/bench}/store
sizes=${BENCH_MESSAGES:-1000000${LONG:+ 20000000}}
ulimit -n "$(ulimit -Hn)"
rm -rf "$dir"
mkdir -p "$dir"

pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid"; } || true
    pid=
}
trap stop EXIT

ms() { echo $(($(date +%s%N) / 1000000)); }
anonymous() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }

serve() {    # DATA WHAT: prints how long it took to be ready, and its memory when nothing has happened for a while
    local began took
    began=$(ms)
    "$build/pipitd" --data "$1" --listen 127.0.0.1:0 --shards 1 >"$dir/out" 2>"$dir/err" &
    pid=$!
    until grep -q 'ready on' "$dir/out"; do
        kill -0 "$pid" 2>/dev/null || { tail -3 "$dir/err" >&2; exit 1; }
        sleep 0.01
    done
    took=$(($(ms) - began))
    sleep 5
    echo "| $2: ready after, ms | $took |"
    echo "| resident, anonymous, KiB | $(anonymous "$pid") |"
    stop
}

"$build/pipit-bench" commit --data "$dir/commit" --rounds "${BENCH_ROUNDS:-5}"
rm -rf "$dir/commit"
echo
echo "| a server with 1 shard | |"
echo "|---|---:|"
serve "$dir/empty" "an empty folder"
for size in $sizes; do
    echo
    echo "$size messages:"
    "$build/pipit-bench" fill --data "$dir/$size" --messages "$size"
    "$build/pipit-bench" store --data "$dir/$size"
    echo
    echo "| a server with 1 shard | |"
    echo "|---|---:|"
    serve "$dir/$size" "stopped"
    "$build/pipit-bench" fill --data "$dir/$size" --messages 100000 --kill >/dev/null
    serve "$dir/$size" "killed"
    [ -n "${BENCH_KEEP:-}" ] || rm -rf "${dir:?}/$size"
done
