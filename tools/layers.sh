#!/usr/bin/env bash
# Checks who includes whom; docs/architecture.md draws the layers. Prints every include that no rule allows, and
# then exits with 1. Run from the top of the tree (make layers).
#
# A rule is two regular expressions: which files may include what. A file may always include from its own folder,
# and of another folder only what a rule names: its face. `leaf` are the small headers of proto that hold no
# messages. One third-party library is known to as few files as can be, so that it can be replaced there.
set -eu -o pipefail

rules='
.*                                  leaf|c
proto/e2ee/.*                       proto/proto\.h
storage/.*                          posix
server/core/.*                      proto/proto\.h|posix|sockets
server/net/.*                       proto/proto\.h|server/core/core\.h|posix|sockets
server/chat/.*                      proto/proto\.h|server/(core/core|net/net)\.h|storage/storage\.h|posix
server/(edge|mesh)/.*               proto/proto\.h|server/(core/core|net/net|chat/chat)\.h|storage/storage\.h|posix|sockets
server/[^/]*                        proto/proto\.h|server/(core/core|net/net|chat/chat|edge/edge|mesh/mesh)\.h|storage/storage\.h|posix|sockets
tools/(ctl|bench)/.*                proto/proto\.h|storage/(storage|offline)\.h|tools/common/[a-z0-9]+\.h|posix|sockets
tools/client/.*                     proto/(e2ee/e2ee|proto)\.h|tools/common/[a-z0-9]+\.h|posix|sockets
tools/client/[^/]*                  tools/client/tui/[a-z]+\.h
tools/client/tui/.*                 tools/client/[a-z_]+\.h
tools/client/example/.*             pipit\.h|posix
tools/common/.*                     proto/proto\.h|posix
tests/.*                            .*

proto/(codec.*|mpack)\.c            msgpack\.h
proto/account.*\.c                  jansson\.h|sodium.*
proto/(id\.c|e2ee/.*)               sodium.*
proto/e2ee/.*                       openssl/.*
storage/.*                          xxhash\.h|sodium.*|(uthash|utlist)\.h
storage/(facts.*|db|vault|vfs|vfs_impl)\.[ch] sqlite3\.h
server/.*                           uv\.h|(uthash|utlist)\.h|sodium.*
server/(main|server)\.c              malloc\.h
server/net/http\.c                  llhttp\.h
server/net/ws\.c                    wslay/wslay\.h
server/net/(wskey|tls|certs|certs_impl)\.[ch] openssl/.*
tools/common/ca\.c                  openssl/.*|arpa/inet\.h
server/config_file\.c               ini\.h
server/admin.*                      jansson\.h
tools/.*                            jansson\.h|sodium.*|(uthash|utlist)\.h
tools/client/.*                     wslay/wslay\.h|sqlite3\.h|openssl/.*|histedit\.h|utf8proc\.h
tools/client/cmd_contacts\.c        qrencode\.h
tools/client/tui/terminal\.c        (curses|termcap)\.h
tools/client/tui/tty\.c             sys/signalfd\.h
'
leaf='proto/(err|bytes|id|limits|wsframe)\.h'
c='(assert|ctype|errno|inttypes|limits|math|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings)\.h'
posix='(dirent|fcntl|getopt|langinfo|libgen|locale|poll|pthread|sched|signal|termios|time|unistd|wchar)\.h|sys/(eventfd|epoll|file|ioctl|mman|prctl|queue|random|resource|stat|statvfs|syscall|time|types|uio|wait)\.h|linux/.*'
sockets='(netdb|ifaddrs)\.h|sys/(socket|un)\.h|(netinet|arpa|net)/.*'

# The names above, put in where the table has them.
for word in leaf c posix sockets; do
    rules=$(sed -E "s#([| ])$word(\||\$)#\1${!word}\2#" <<<"$rules")
done

bad=0 count=0
while IFS=: read -r file include; do
    count=$((count + 1))
    [ "${include%/*}" != "${file%/*}" ] || continue
    ok=
    while read -r files what; do
        [ "$files" ] && [[ $file =~ ^($files)$ ]] || continue
        if [[ $include =~ ^($what)$ ]]; then ok=1; break; fi
    done <<<"$rules"
    [ "$ok" ] || { echo "tools/layers.sh: $file may not include $include"; bad=$((bad + 1)); }
done < <(grep -rE '^ *# *include' --include='*.[ch]' proto storage server tools tests |
         sed -E 's/:[^<"]*[<"]([^>"]*)[>"].*/:\1/' | sort -u)
[ $count -gt 0 ] || { echo "tools/layers.sh: nothing to check here"; exit 1; }
echo "tools/layers.sh: $count includes, $bad wrong"
[ $bad = 0 ]
