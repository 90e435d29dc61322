# Completion of pipit, pipitctl, pipitd and pipit-bench in bash. The programs are asked what they take (--help), so there
# is no list here that could be out of date.

# The lines of commands in the help of "$1": two blanks, then words in small letters. $2: the first word, or "" for all.
_pipit_words() {
    "$1" --help 2>/dev/null | awk -v first="$2" '
        /^  [a-z]/ { if (first == "") print $1; else if ($1 == first && $2 ~ /^[a-z]+$/) print $2 }
        seen && /^$/ { exit }
        { seen = NR > 1 }' | sort -u
}

_pipit() {
    local program=$1 word=$2 before=$3 first= second= i names
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --server | --home | --ca | --data | --to | --since | --keys | --config | --*-file | --count | --timeout | --limit | --before | --around | --as | --with) ((i++)) ;;
        -*) ;;
        *) if [ -z "$first" ]; then first=${COMP_WORDS[i]}; elif [ -z "$second" ]; then second=${COMP_WORDS[i]}; fi ;;
        esac
    done
    case $before in
    --home | --data | --to | --since) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --ca | --config | --keys | --*-file) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    if [[ $word == -* ]]; then
        names=$("$program" $first $second --help 2>/dev/null | grep -oE -- '(^|[[ ])--[a-z][a-z-]*' | tr -d '[ ')
        case ${program##*/} in
        pipit) names+=" --server --home --ca --help --version" ;;
        pipitctl) names+=" --data --help --version" ;;
        esac
        COMPREPLY=($(compgen -W "$names" -- "$word"))
        return
    fi
    case ${program##*/} in pipitd | pipit-bench) [ "$first" ] || COMPREPLY=($(compgen -W "$(_pipit_words "$program" "")" -- "$word")); return ;; esac
    if [ -z "$first" ]; then
        COMPREPLY=($(compgen -W "$(_pipit_words "$program" "")" -- "$word"))
        return
    fi
    if [ -z "$second" ]; then
        names=$(_pipit_words "$program" "$first")
        if [ "$names" ]; then COMPREPLY=($(compgen -W "$names" -- "$word")); return; fi
    fi
    case ${program##*/}:$first in
    pipit:chat | pipit:send | pipit:history | pipit:delete | pipit:timer | pipit:unread | pipit:contacts)
        local IFS=$'\n'
        COMPREPLY=($(compgen -W "$("$program" contacts 2>/dev/null | sed 's/: [^:]*$//')" -- "$word"))
        COMPREPLY=("${COMPREPLY[@]// /\\ }")
        ;;
    pipit:export | pipitctl:log) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}
complete -F _pipit pipit pipitctl pipitd pipit-bench
