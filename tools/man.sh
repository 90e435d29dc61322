#!/usr/bin/env bash
# man.sh PROGRAM PAGE: a manual page, with what PROGRAM says of itself put in, to standard output.
#
# PAGE is written by hand (docs/man) but for two lines: @HELP@ becomes what `PROGRAM --help` prints, @COMMANDS@ what
# `PROGRAM COMMAND --help` prints for each command. So no command or option can be missing in a manual, nor stand in one
# when it is gone; tests/flow/test_help.c holds it to that.
set -eu -o pipefail
program=$1 page=$2

# Nothing of it may be read as a request or an escape by troff.
safe() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

first_words() { "$program" --help | awk '/^  [a-z]/ { if ($1 != last) print $1; last = $1; next } seen && /^$/ { exit } { seen = NR > 1 }'; }

# "usage: …" begins a part; indented lines stay as they are, all others are text. The exit codes stand once, further down.
commands() {
    local name
    for name in $(first_words); do "$program" "$name" --help; done | safe | awk '
        function paragraph() { if (!fresh) print ".PP"; fresh = 1 }
        function verbatim(on) { if (on && !inside) { paragraph(); print ".nf" } else if (!on && inside) print ".fi"; inside = on }
        /^Exit codes:/ { next }
        sub(/^usage: [a-z\\-]+ /, "") { verbatim(0); gsub(/"/, "\\(dq"); print ".SS \"" $0 "\""; fresh = 1; next }
        /^  / { verbatim(1); fresh = 0; print; next }
        /^$/ { verbatim(0); paragraph(); next }
        { verbatim(0); fresh = 0; print }
        END { verbatim(0) }'
}

while IFS= read -r line; do
    case $line in
    @HELP@) echo .nf; "$program" --help 2>&1 | safe; echo .fi ;;
    @COMMANDS@) commands ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$page"
