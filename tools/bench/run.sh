#!/usr/bin/env bash
# The figures of docs/performance.md: starts a server and its floor in a folder of their own, loads them in turn, and
# counts what idle sessions cost.
#
#   tools/bench/run.sh BUILD        (make bench; about five minutes)
#
# BENCH_DIR      where the data goes, on a real disk: syncs are half of what is measured (default BUILD/bench)
# BENCH_SHARDS   threads of server and floor (default: one per core)
# BENCH_ROUNDS   rounds of each (default 5), BENCH_SECONDS long each (default 4)
# BENCH_DEPTHS   messages in flight for each pair (default "1 16")
# BENCH_PAIRS    (default 200)
# BENCH_IDLE     idle sessions (default 10000; 0: none)
# BENCH_HANG     connections that say nothing, and a tenth as many slow senders (default 10000; 0: none)
set -eu -o pipefail
build=$1
dir=${BENCH_DIR:-$build/bench}
shards=${BENCH_SHARDS:-$(nproc)}
pairs=${BENCH_PAIRS:-200}
idle=${BENCH_IDLE:-10000}
hang=${BENCH_HANG:-10000}
ulimit -n "$(ulimit -Hn)"

case $(stat -f -c %T "$(dirname "$dir")") in
tmpfs | ramfs) echo "bench: $dir is not on a disk: set BENCH_DIR" >&2; exit 1 ;;
esac
rm -rf "$dir"
mkdir -p "$dir/floor"

running=()
stop_all() {
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait || true
    running=()
}
trap stop_all EXIT

port_of() {    # LOG: waits for its ready line, prints the port in it
    local port
    for _ in $(seq 300); do
        port=$(sed -n 's/.*ready on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$1")
        [ -z "$port" ] || { echo "$port"; return; }
        sleep 0.1
    done
    echo "bench: no ready line in $1" >&2
    tail -5 "$1" >&2
    return 1
}

start() {    # NAME COMMAND...: in the background; its output is in DIR/NAME.out
    local name=$1
    shift
    "$@" >"$dir/$name.out" 2>"$dir/$name.err" &
    running+=($!)
}

echo "pipit $("$build/pipitd" --version | sed 's/^pipitd //'), $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)," \
     "Linux $(uname -r), $(stat -f -c %T "$dir"), $shards shards, $(date -u +%Y-%m-%d)"

"$build/pipit-bench" prepare --data "$dir/data" --count $((pairs * 2))
start pipitd "$build/pipitd" --data "$dir/data" --listen 127.0.0.1:0 --shards "$shards"
server_pid=$!
start floor "$build/pipit-bench" floor --data "$dir/floor" --threads "$shards"
floor_pid=$!
server_port=$(port_of "$dir/pipitd.out")
floor_port=$(port_of "$dir/floor.out")
for depth in ${BENCH_DEPTHS:-1 16}; do
    "$build/pipit-bench" messages --port "$server_port" --pid "$server_pid" --data "$dir/data/log" \
        --floor-port "$floor_port" --floor-pid "$floor_pid" --floor-data "$dir/floor" --pairs "$pairs" \
        --depth "$depth" --rounds "${BENCH_ROUNDS:-5}" --seconds "${BENCH_SECONDS:-4}"
done
stop_all
rm -rf "$dir/floor" "$dir/data"

if [ "$hang" != 0 ]; then
    start pipitd-hang "$build/pipitd" --data "$dir/data" --listen 127.0.0.1:0 --shards "$shards"
    server_pid=$!
    server_port=$(port_of "$dir/pipitd-hang.out")
    "$build/pipit-bench" hang --port "$server_port" --pid "$server_pid" --silent "$hang" --slow $((hang / 10)) --seconds 60
    stop_all
    rm -rf "$dir/data"
fi

[ "$idle" != 0 ] || exit 0
"$build/pipit-bench" prepare --data "$dir/data" --count "$idle"
start pipitd-idle "$build/pipitd" --data "$dir/data" --listen 127.0.0.1:0 --shards "$shards"
server_pid=$!
server_port=$(port_of "$dir/pipitd-idle.out")
"$build/pipit-bench" idle --port "$server_port" --pid "$server_pid" --count "$idle" --seconds 40
stop_all
rm -rf "$dir/data"
