/* config_keys.h - every setting of the server, once.
 *
 * From this list come the fields of struct config, what is read from a file, the environment and flags, --help, what
 * --check-config prints, docs/configuration.md and docs/pipitd.conf. Adding a setting is adding a row here, and using
 * the field; `make docs` writes the two pages anew.
 *
 *   GROUP(title)                                             the rows below it stand under this heading
 *   TEXT(name, default, bytes_min, bytes_max, form, takes, why)    form: what is written, in a few words
 *   NUMBER(name, default, min, max, unit, takes, why)              a whole number
 *   CHOICE(name, default, words, takes, why)                       words: "a|b|c", the value is the number of the word
 *
 * takes: RELOAD (a reload takes it) or RESTART. `why` is one sentence, or a few: what it is for and what follows from
 * changing it. A name may not be the end of a PIPIT_ variable that means something else to the clients or the tests
 * (config.c has the list); PIPIT_DATA means the same to pipitctl. Limits that clients are written against are not
 * settings (proto/limits.h), nor are those whose only right value follows from others. */
#ifndef PIPIT_SERVER_CONFIG_KEYS_H
#define PIPIT_SERVER_CONFIG_KEYS_H

#define CONFIG_LIST(GROUP, TEXT, NUMBER, CHOICE)                                                                       \
    GROUP("Where it listens")                                                                                          \
    TEXT(listen, "127.0.0.1:8700", 1, 511, "ADDRESS:PORT ...", RESTART,                                                \
         "Where clients connect: one or several, with spaces or commas between. An IPv6 address is written "           \
         "[ADDRESS]:PORT; a name is every address it has; :PORT is everywhere, and so is [::]:PORT, IPv4 included "    \
         "unless an IPv4 address with that port is in the list too. Port 0 takes a free one, which the ready line "    \
         "tells. unix:/PATH is a Unix socket for a proxy beside the server: there the peer is who the proxy names in " \
         "X-Forwarded-For (or Forwarded), and a proxy must set it; elsewhere nobody is believed.")                     \
    CHOICE(listen_unix_mode, 1, "0600|0660|0666", RESTART,                                                             \
           "Who may connect to a Unix socket: the server's user, its group too (where the proxy belongs), or all.")    \
    NUMBER(listen_backlog, 4096, 1, 65535, "connections", RESTART,                                                     \
           "Connections that the kernel keeps for a shard until it gets to them. After a restart everybody comes back "\
           "at once. The kernel cuts it to net.core.somaxconn.")                                                       \
    TEXT(tls_cert, "", 0, 511, "FILE ...", RELOAD,                                                                     \
         "Certificates (PEM, with what leads to a root), several with spaces or commas between: who asks for a name of "\
         "one is shown that, others the first. With any, every TCP address above speaks TLS 1.2 and 1.3 but for those "\
         "written plain:ADDRESS:PORT, for programs on the same machine, and redirect:ADDRESS:PORT, where every request "\
         "is told to come by TLS (redirect::80). A reload reads the files anew; what is connected stays.")             \
    TEXT(tls_key, "", 0, 511, "FILE ...", RELOAD, "The key of each certificate, in the same order, without a password.") \
    CHOICE(tls_plain, 0, "refuse|redirect", RELOAD,                                                                    \
           "What a plain HTTP request gets where TLS is spoken: 400, or 308 to the same address by TLS.")              \
    GROUP("Where it keeps things")                                                                                     \
    TEXT(data, "data", 1, 511, "folder", RESTART,                                                                      \
         "The folder of everything that is kept; made when it is not there. One server at a time has it.")             \
    NUMBER(segment_mib, 64, 1, 1024, "MiB", RESTART,                                                                   \
           "Size at which a file of the log is closed and the next begun. Small ones make more files, large ones more "\
           "to do at once when one is rewritten.")                                                                     \
    NUMBER(keep_mib_per_s, 32, 1, 65536, "MiB a second", RELOAD,                                                       \
           "How fast closed files of the log are sorted and merged, read and written together. More leaves less of the "\
           "disk to those who send and read meanwhile. A fifth of it is about what can be appended for ever; when "    \
           "files pile up that wait to be sorted it is not held.")                                                     \
    NUMBER(backup_mib_per_s, 64, 1, 65536, "MiB a second", RELOAD,                                                     \
           "How fast a backup reads; what is copied is written as fast. It leaves the disk to those who send and read "\
           "meanwhile. A backup goes on at the rate it began with.")                                                   \
    NUMBER(disk_max, 0, 0, 1073741824, "MiB; 0: no limit", RELOAD,                                                     \
           "What log and databases may take. Near it (31/32) sends are refused with NO_ROOM and a time to come again; "\
           "what is stored is delivered and read as ever. Once a sixteenth is free again sends are taken again.")      \
    NUMBER(disk_reserve, 256, 0, 1073741824, "MiB; 0: none", RELOAD,                                                   \
           "What must stay free on the file system of the folder; with less, sends are refused in the same way until " \
           "a quarter more is free. It is there for what goes on meanwhile: cursors, the databases, a file of the log "\
           "that is rewritten beside the old one; four of those at their default size.")                               \
    GROUP("What it lets go")                                                                                           \
    NUMBER(delete_for_everyone_s, 172800, 0, 315360000, "seconds; 0: never", RELOAD,                                   \
           "So long after it was accepted a message can be deleted for everyone by who sent it. Two days is what people "\
           "know from elsewhere.")                                                                                     \
    NUMBER(retain_days, 0, 0, 36500, "days; 0: for ever", RELOAD,                                                      \
           "Messages older than this are given to nobody any more, and leave the disk as files are rewritten. Devices " \
           "keep what they have.")                                                                                     \
    CHOICE(drop_delivered, 0, "no|yes", RELOAD,                                                                        \
           "Whether a message goes once every device that is owed it has it. A device that logs in later then finds "  \
           "them gone, and one that stays away keeps the messages here.")                                              \
    NUMBER(segment_hours, 24, 0, 8760, "hours; 0: only when it is full", RELOAD,                                       \
           "A file of the log that is not full is closed this long after its first message, so that what was deleted " \
           "leaves the disk of a quiet server too: within this time and seven days. Shorter makes more small files.")  \
    NUMBER(marks_days, 30, 1, 3650, "days", RELOAD,                                                                    \
           "So long it is known exactly when each message was delivered and read; then only that it was before some "  \
           "time.")                                                                                                    \
    GROUP("Threads")                                                                                                   \
    NUMBER(shards, 0, 0, 255, "threads; 0: one for each core", RESTART,                                                \
           "Threads that serve, each with its own connections, users and conversations. It may change at any start.")  \
    NUMBER(job_threads, 0, 0, 64, "threads; 0: as many as shards, but 2 to 4", RESTART,                                \
           "Threads that read from disk for those who catch up or look back. More of them help where a read takes "    \
           "long, as on a network volume.")                                                                            \
    GROUP("Connections")                                                                                               \
    NUMBER(connections_max, 100000, 1, 10000000, "connections", RELOAD,                                                \
           "Connections of all shards together; who comes after is told 503. The process needs as many descriptors: "  \
           "LimitNOFILE= of systemd, or ulimit -n.")                                                                   \
    NUMBER(connections_per_address_max, 1000, 0, 10000000, "connections; 0: no limit", RELOAD,                         \
           "Connections of one address to one shard, so that one machine cannot take them all; above it 429. An IPv6 " \
           "address is counted by its /64. Behind a proxy on TCP all come from one address: 0 there, or a Unix "       \
           "socket. Loopback is not counted.")                                                                         \
    NUMBER(heartbeat_s, 30, 1, 3600, "seconds", RELOAD,                                                                \
           "A client says something at least this often, or is asked; after two such times of silence its connection " \
           "is closed. Shorter finds dead links sooner and costs batteries. Sessions keep what they were told.")       \
    NUMBER(http_request_s, 20, 1, 3600, "seconds", RELOAD,                                                             \
           "A request, and the first frame of a WebSocket, must be whole within this time: enough for a phone on 2G, " \
           "not for who sends a byte a minute to hold the connection.")                                                \
    NUMBER(message_s, 60, 1, 3600, "seconds", RELOAD,                                                                  \
           "A WebSocket message must be whole this long after its first byte: the largest takes 52 seconds over 10 "   \
           "kbit/s.")                                                                                                  \
    NUMBER(http_keepalive_s, 30, 1, 3600, "seconds", RELOAD,                                                           \
           "How long an HTTP connection without a request is kept for the next one.")                                  \
    NUMBER(close_linger_s, 5, 1, 600, "seconds", RELOAD,                                                               \
           "How long a connection that is being closed may take for its last bytes: who is slow still learns why.")    \
    NUMBER(send_buffer_kib, 256, 16, 16384, "KiB", RESTART,                                                            \
           "What the kernel may hold for one connection that does not read; what is more waits in the server. "        \
           "Smaller saves memory with many slow peers, larger is faster over long and wide links. The kernel doubles " \
           "it, and cuts it to net.core.wmem_max.")                                                                    \
    TEXT(allowed_origins, "", 0, 511, "SCHEME://HOST ..., or *", RELOAD,                                               \
         "Web pages that may use this server beside those of its own address, as browsers name them: "                 \
         "https://chat.example.org, several with spaces or commas between; * is every page there is. Programs that "   \
         "are no browsers are not concerned.")                                                                         \
    GROUP("Memory")                                                                                                    \
    NUMBER(memory_max, 0, 0, 1073741824, "MiB; 0: no limit", RELOAD,                                                   \
           "Resident memory of the server near which (31/32) sends are refused with NO_ROOM, until it is below 15/16. "\
           "Set it below what the machine, or its container, has; a limit below what an idle server takes refuses "    \
           "every send.")                                                                                              \
    NUMBER(conversations_hot_max, 20000, 16, 10000000, "conversations", RELOAD,                                        \
           "Conversations that a shard keeps in memory; another one is read from disk when it is needed, about a "     \
           "millisecond.")                                                                                             \
    NUMBER(catchup_pages_max, 256, 1, 65536, "pages of 64 KiB", RELOAD,                                                \
           "Pages of messages that a shard has in memory for all who catch up at once; the others wait their turn.")   \
    NUMBER(fanout_mib, 8, 1, 4096, "MiB", RELOAD,                                                                      \
           "Messages that a shard keeps in memory until they have been passed to their receivers; more is read "       \
           "from the log.")                                                                                            \
    NUMBER(fold_rows_max, 200000, 1000, 10000000, "rows", RELOAD,                                                      \
           "Changes that a shard holds while they cannot be written to the database, as when the disk is full; then "  \
           "sends are refused until there is room.")                                                                   \
    GROUP("Queues")                                                                                                    \
    NUMBER(facts_queue_max, 4096, 16, 65536, "requests", RESTART,                                                      \
           "Requests that wait for the thread that writes the database; one more is told to try again.")               \
    NUMBER(jobs_queue_max, 1024, 16, 65536, "reads", RESTART,                                                          \
           "Reads that wait for a job thread; what is more waits at its conversation.")                                \
    GROUP("Passwords")                                                                                                 \
    NUMBER(password_mib, 64, 1, 4096, "MiB", RELOAD,                                                                   \
           "Memory that checking one new password takes (Argon2id): what makes guessing from a stolen database dear. " \
           "Old passwords keep the cost they were made with.")                                                         \
    NUMBER(password_passes, 2, 1, 100, "passes", RELOAD,                                                               \
           "How often Argon2id goes over that memory: time instead of memory, for a machine that has little.")         \
    NUMBER(password_threads, 1, 1, 64, "threads", RESTART,                                                             \
           "Passwords checked at the same time; each one takes password_mib and a core.")                              \
    NUMBER(password_queue_max, 16, 1, 1024, "log-ins", RESTART,                                                        \
           "Log-ins and registrations that wait for their password to be checked, a tenth of a second each; one more " \
           "is told to come back later.")                                                                              \
    GROUP("Accounts")                                                                                                  \
    CHOICE(registration, REGISTRATION_INVITE, "invite|open|closed", RELOAD,                                            \
           "Who may make an account: who has an invite (pipitctl invite), anybody, or nobody but the operator.")       \
    NUMBER(attempts_account_max, 10, 0, 1000000, "attempts; 0: no limit", RELOAD,                                      \
           "Wrong passwords that one address may give for one account before it has to wait. Other addresses are not " \
           "kept out by that. Wrong invites count too, by the name that was to be registered. Behind a proxy on TCP, " \
           "or one on a Unix socket that does not name its clients, all have one address: who guesses at an account "  \
           "then keeps its owner from logging in too. There it is 0, and the limit the proxy's.")                      \
    NUMBER(attempts_account_refill_s, 60, 1, 86400, "seconds", RELOAD,                                                 \
           "After this time one more is allowed, and so on up to the number above.")                                   \
    NUMBER(attempts_address_max, 100, 0, 1000000, "attempts; 0: no limit", RELOAD,                                     \
           "The same for one address (of IPv6: 64 bits) over all accounts, so that nobody tries one password with "    \
           "every name. With open registration each new account counts. Behind such a proxy all share it: 0 there, "   \
           "and a limit in the proxy.")                                                                                \
    NUMBER(attempts_address_refill_s, 10, 1, 86400, "seconds", RELOAD,                                                 \
           "After this time one more is allowed, and so on up to the number above.")                                   \
    NUMBER(attempts_kept_max, 50000, 100, 10000000, "addresses and accounts", RELOAD,                                  \
           "How many such counts a shard remembers, about 150 bytes each; then the oldest is forgotten.")              \
    GROUP("Log lines")                                                                                                 \
    CHOICE(log_level, SAY_INFO, "error|warn|info|debug", RELOAD,                                                       \
           "The least important lines that are written. Each connection and session that comes and goes is debug, "    \
           "log-ins and what was refused are info.")                                                                   \
    CHOICE(log_format, SAY_AS_TEXT, "text|json", RELOAD,                                                               \
           "One event a line, on standard error: as `time level event key=value`, or as a JSON object with the same. " \
           "Text that goes to systemd's journal has no time of its own, and its level as the journal wants it.")       \
    NUMBER(log_rate_max, 100, 0, 1000000, "lines; 0: no limit", RELOAD,                                                \
           "Lines of one event in a second; how many more there were is said afterwards, so that nobody fills the "    \
           "disk from outside.")

#endif
