#!/usr/bin/env bash
# What the log costs, without people: commits beside a bare append, pages of long histories beside a bare read, what
# they take on disk and in memory, how long a server takes to open them, and how long people wait while the keeper
# works. One table at the end, each figure beside its limit.
#
#   tools/bench/store.sh BUILD        (make bench: 3 minutes; LONG=1: 20 million messages as well, 15 minutes, 25 GB)
#
# BENCH_DIR        where the data goes, on a real disk (default BUILD/bench)
# BENCH_MESSAGES   sizes, the smaller one first (default 1000000, with LONG=1 "1000000 20000000")
# BENCH_ROUNDS     rounds of commits and their floor (default 5)
# BENCH_KEEP       1: the folders stay, for another look
set -eu -o pipefail
build=$1
dir=${BENCH_DIR:-$build/bench}/store
sizes=${BENCH_MESSAGES:-1000000${LONG:+ 20000000}}
first=${sizes%% *}
last=${sizes##* }
ulimit -n "$(ulimit -Hn)"
mkdir -p "${dir%/store}"
case $(stat -f -c %T "${dir%/store}") in
tmpfs | ramfs) echo "bench: $dir is not on a disk: set BENCH_DIR" >&2; exit 1 ;;
esac
rm -rf "$dir"
mkdir -p "$dir"

pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid"; } || true
    pid=
}
tidy() {
    stop
    [ -n "${BENCH_KEEP:-}" ] || rm -rf "$dir"
}
trap tidy EXIT

say() { [ ! -t 2 ] || echo "bench: $*" >&2; }

# -- figures: a file of "NAME VALUE" lines for each measurement --

measure() {    # GROUP COMMAND...
    local group=$1
    shift
    say "$*"
    "$build/pipit-bench" "$@" >>"$dir/$group.figures"
}
get() {    # GROUP NAME
    awk -v name="$2" '$1 == name { v = $2 } END { if (v == "") exit 1; print v }' "$dir/$1.figures" ||
        { echo "bench: no $2 in $1" >&2; exit 1; }
}
calc() { awk "BEGIN { printf \"%.10g\", $1 }"; }

serve() {    # GROUP NAME DATA: how long until a server with one shard is ready, and its memory when it has come to rest
    local began
    say "serve $3"
    began=$(date +%s%N)
    "$build/pipitd" --data "$3" --listen 127.0.0.1:0 --shards 1 >"$dir/out" 2>"$dir/err" &
    pid=$!
    until grep -q 'ready on' "$dir/out"; do
        kill -0 "$pid" 2>/dev/null || { tail -3 "$dir/err" >&2; exit 1; }
        sleep 0.01
    done
    echo "$2_ready_ms $((($(date +%s%N) - began) / 1000000))" >>"$dir/$1.figures"
    sleep 5
    # At rest: what the start found unsorted is sorted.
    for _ in $(seq 60); do
        [ "$(find "$3/log" -name '*.new' -o -name '0*.seg' | wc -l)" -gt 1 ] || break
        sleep 1
    done
    sleep 2
    sed -n "s/^RssAnon:[^0-9]*\([0-9]*\) kB/$2_anonymous_kib \1/p" "/proc/$pid/status" >>"$dir/$1.figures"
    stop
}

# -- the table --

over=0
row() {    # WHAT, MEASURED as text, then VALUE and "<=" or ">=" and LIMIT; without these it is for information
    local verdict=
    if [ $# -gt 2 ]; then
        verdict=$(awk -v v="$3" -v l="$5" -v op="$4" 'BEGIN { print (op == "<=" ? v <= l : v >= l) ? "ok" : "OVER" }')
        [ "$verdict" = ok ] || over=$((over + 1))
        verdict="$4 $5 | $verdict"
    else
        verdict="|"
    fi
    echo "| $1 | $2 | $verdict |"
}
num() { awk -v v="$1" 'BEGIN { printf (v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f"), v }'; }
ratio_row() {    # WHAT UNIT VALUE BESIDE [OP LIMIT]: VALUE as a multiple of BESIDE
    local r
    r=$(calc "$3 / $4")
    if [ $# -gt 4 ]; then
        row "$1" "$(num "$3") / $(num "$4") $2 = $(num "$r")" "$r" "$5" "$6"
    else
        row "$1" "$(num "$3") / $(num "$4") $2 = $(num "$r")"
    fi
}

commit_rows() {
    local n
    for n in 1 16 256; do
        ratio_row "commit, batches of $n: rate" "records/s" "$(get commit "commit_${n}_engine_rate")" \
            "$(get commit "commit_${n}_floor_rate")" ">=" 0.8
        ratio_row "latency p50" us "$(get commit "commit_${n}_engine_p50")" "$(get commit "commit_${n}_floor_p50")" "<=" 1.3
        ratio_row "latency p99" us "$(get commit "commit_${n}_engine_p99")" "$(get commit "commit_${n}_floor_p99")" "<=" 1.3
    done
}

page_rows() {    # SIZE
    local which name limit p50 p99 text
    for which in newest deep deepest day_newest day_deep; do
        limit=yes
        case $which in
        newest) name="page of 50, newest" ;;
        deep) name="page of 50, 10 % deep" ;;
        deepest) name="page of 50, 90 % deep" ;;
        day_newest) name="newest, before all is sorted and merged" limit= ;;
        day_deep) name="10 % deep, before all is sorted and merged" limit= ;;
        esac
        p50=$(get "$1" "${which}_reads_p50") p99=$(get "$1" "${which}_reads_p99")
        text="$p50 / $p99 / $(get "$1" "${which}_reads_most")"
        if [ -n "$limit" ]; then
            row "$name: cold, reads p50 (p50 / p99 / most)" "$text" "$p50" "<=" 3
            row "the same, p99" "$p99" "$p99" "<=" 8
        else
            row "$name: cold, reads p50 / p99 / most" "$text"
        fi
    done
    for which in newest deep day_newest; do
        case $which in
        newest) name="page of 50, newest" limit="<= 2" ;;
        deep) name="page of 50, 10 % deep" limit="<= 2" ;;
        day_newest) name="newest, before all is sorted and merged" limit= ;;
        esac
        ratio_row "$name: warm p50 beside one pread and 50 openings" us "$(get "$1" "${which}_warm_p50")" \
            "$(get "$1" "${which}_floor_p50")" $limit
        row "the same, p99" "$(num "$(get "$1" "${which}_warm_p99")") / $(num "$(get "$1" "${which}_floor_p99")") us"
    done
}

size_rows() {    # SIZE
    row "$1 messages in" "$(num "$(get "$1" load_s)") s, $(get "$1" tables) sorted files, $(num "$(calc "$(get "$1" disk_bytes) / 1048576")") MiB"
    row "bytes written for a byte of record, over its life" "$(num "$(get "$1" amplification)")" "$(get "$1" amplification)" "<=" 5
    row "bytes on disk for a message of 200 bytes" "$(num "$(get "$1" message_bytes)")" "$(get "$1" message_bytes)" "<=" 340
    row "bytes on disk for its mark" "$(num "$(get "$1" mark_bytes)")"
    row "index and filter in memory, KiB" "$(num "$(calc "$(get "$1" index_bytes) / 1024")")"
    row "ready after a clean stop, ms" "$(get "$1" stopped_ready_ms)" "$(get "$1" stopped_ready_ms)" "<=" 1000
    row "ready after kill -9, ms" "$(get "$1" killed_ready_ms)" "$(get "$1" killed_ready_ms)" "<=" 3000
    local name mib
    for name in stopped killed; do
        mib=$(calc "($(get "$1" ${name}_anonymous_kib) - $(get empty empty_anonymous_kib)) / 1024")
        row "anonymous memory, $name: more than with no message, MiB" "$(num "$mib")" "$mib" "<=" 20
    done
    page_rows "$1"
}

stall_rows() {
    row "keeper meanwhile" "$(num "$(get stall stall_keeper_mib)") MiB: $(get stall stall_sorted) sorts, then $(num "$(get stall stall_merge_mib)") MiB of a merge"
    local what
    for what in commit page; do
        ratio_row "while sorting and merging: $what p99, beside without" us "$(get stall stall_${what}_with_p99)" \
            "$(get stall stall_${what}_without_p99)" "<=" 2
        row "the same, p50" "$(num "$(get stall stall_${what}_with_p50)") / $(num "$(get stall stall_${what}_without_p50)") us"
    done
}

# -- measuring --

disk=$(df --output=source "$dir" | tail -1)
echo "pipit $("$build/pipitd" --version | sed 's/^pipitd //'), $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)," \
     "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)," \
     "$(stat -f -c %T "$dir") on $disk, $(date -u +%Y-%m-%d)"
echo "load $(cut -d' ' -f1-3 /proc/loadavg) before"
measure commit commit --data "$dir/commit" --rounds "${BENCH_ROUNDS:-5}"
rm -rf "$dir/commit"
measure stall stall --data "$dir/stall"
rm -rf "$dir/stall"
serve empty empty "$dir/empty"
for size in $sizes; do
    measure "$size" fill --data "$dir/$size" --messages "$size"
done
for size in $sizes; do
    measure "$size" room --data "$dir/$size"
    serve "$size" stopped "$dir/$size"
done
# One directly after the other, for the machine to be the same; this one also adds what a day brings.
for size in $sizes; do
    measure "$size" pages --data "$dir/$size"
done
for size in $sizes; do
    say "kill $dir/$size"
    ( set +e; "$build/pipit-bench" fill --data "$dir/$size" --kill; [ $? = 137 ] ) >/dev/null 2>&1
    serve "$size" killed "$dir/$size"
done
echo "load $(cut -d' ' -f1-3 /proc/loadavg) after"
echo
echo "| | measured | limit | |"
echo "|---|---:|---:|---|"
commit_rows
for size in $sizes; do size_rows "$size"; done
if [ "$first" != "$last" ]; then
    for which in newest deep; do
        ratio_row "page of 50, $which: warm p50 at $last messages beside $first" us "$(get "$last" ${which}_warm_p50)" \
            "$(get "$first" ${which}_warm_p50)" "<=" 1.3
    done
fi
stall_rows
echo
echo "$over over their limit"
