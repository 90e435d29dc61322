#!/usr/bin/env bash
# Checks that docs/storage-engines.md has every function of storage/ that the server uses, and none besides. A function is
# named by the first cell of a table's row, in backquotes; one cell may name several. Run from the top of the tree (make
# layers).
set -eu -o pipefail
export LC_ALL=C

page=docs/storage-engines.md

# Code without its comments: those begin anywhere in a line, and their other lines begin with a star.
code() { sed -E 's#/\*.*\*/##; s#/\*.*##; /^ *\*( |\/|$)/d' "$@"; }

words() { grep -oE '[a-z_][a-z0-9_]*' | sort -u; }

# What is declared or defined at the beginning of a line: the name before the first parenthesis.
functions() { sed -nE 's/^[a-z][a-z0-9_ ]*[ *]([a-z][a-z0-9_]*)\(.*/\1/p' | sort -u; }

declared=$(code storage/*.h | grep -vE '^typedef' | functions)
server=$(find server -name '*.[ch]' -print0 | sort -z | xargs -0 cat | code)
own=$(functions <<<"$server")                # of the same name, and the server's
used=$(comm -12 <(echo "$declared") <(words <<<"$server") | comm -23 - <(echo "$own"))
named=$({ grep -E '^\| `' $page | cut -d'|' -f2 | grep -oE '`[a-z_0-9]+`' || true; } | tr -d '`' | sort -u)
missing=$(comm -23 <(echo "$used") <(echo "$named"))
extra=$(comm -13 <(echo "$used") <(echo "$named"))
[ -z "$missing" ] || echo "tools/seam.sh: the server uses, and $page does not tell what another engine would do:" $missing
[ -z "$extra" ] || echo "tools/seam.sh: $page names, and the server does not use:" $extra
echo "tools/seam.sh: the server uses $(echo "$used" | wc -w) functions of storage/"
[ -z "$missing$extra" ]
