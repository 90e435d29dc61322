/* stats.h - counters of a shard: written by it alone, relaxed; read by anyone, may be stale.
 *
 * One list: NAME, kind (COUNT only rises, GAUGE goes both ways), text for /metrics and pipitctl. */
#ifndef PIPIT_CORE_STATS_H
#define PIPIT_CORE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#define STATS_LIST(X)                                                                    \
    X(conns,              GAUGE, "open connections")                                     \
    X(sessions,           GAUGE, "authenticated devices connected")                      \
    X(conns_accepted,     COUNT, "connections accepted")                                 \
    X(conns_refused,      COUNT, "connections refused (limits)")                         \
    X(tls_opened,         COUNT, "TLS handshakes that went well")                        \
    X(tls_resumed,        COUNT, "of them, with a session ticket")                       \
    X(tls_failed,         COUNT, "TLS connections that broke the protocol")              \
    X(tls_plain,          COUNT, "connections that spoke plainly where TLS is spoken")   \
    X(http_requests,      COUNT, "HTTP requests answered")                               \
    X(frames_in,          COUNT, "frames received")                                      \
    X(frames_out,         COUNT, "frames written")                                       \
    X(bytes_in,           COUNT, "bytes received")                                       \
    X(bytes_out,          COUNT, "bytes written")                                        \
    X(writes,             COUNT, "write system calls")                                   \
    X(handoffs,           COUNT, "connections moved to another shard")                   \
    X(hellos_refused,     COUNT, "HELLO refused")                                        \
    X(passwords_hashed,   COUNT, "passwords checked or made with Argon2id")              \
    X(attempts_refused,   COUNT, "log-ins and the like refused by a limit, unlooked at") \
    X(frames_refused,     COUNT, "frames answered with an error")                        \
    X(sends_accepted,     COUNT, "messages accepted and durable")                        \
    X(sends_repeated,     COUNT, "repeats answered with their first id")                 \
    X(sends_refused,      COUNT, "sends refused by name")                                \
    X(sends_unknown,      COUNT, "sends answered: unknown, repeat")                      \
    X(deliveries,         COUNT, "messages written to a session")                        \
    X(fetches,            COUNT, "pages read from the log for a session behind")         \
    X(marks,              COUNT, "cursor moves made durable")                            \
    X(receipts,           COUNT, "receipts written to a session")                        \
    X(batches,            COUNT, "batches synced")                                       \
    X(batch_records,      COUNT, "records in them")                                      \
    X(commit_us,          COUNT, "microseconds from take to synced, all batches")        \
    X(commit_us_max,      GAUGE, "the longest of them")                                  \
    X(log_end,            GAUGE, "last durable record number of the shard's log")       \
    X(log_bytes,          GAUGE, "bytes of the open file of the shard's log, about")     \
    X(read_only,          GAUGE, "1 when the log or the facts cannot be written")        \
    X(convs_hot,          GAUGE, "conversations in memory")                              \
    X(heartbeats_missed,  COUNT, "sessions closed because nothing was heard")            \
    X(slow_closed,        COUNT, "connections closed because they do not read")

#define STATS_FIELD(name, kind, text) _Atomic uint64_t name;
struct stats { STATS_LIST(STATS_FIELD) };
#undef STATS_FIELD

#define STAT_ADD(stats, name, n) \
    atomic_fetch_add_explicit(&(stats)->name, (uint64_t)(n), memory_order_relaxed)
#define STAT_SUB(stats, name, n) \
    atomic_fetch_sub_explicit(&(stats)->name, (uint64_t)(n), memory_order_relaxed)
#define STAT_SET(stats, name, v) atomic_store_explicit(&(stats)->name, (uint64_t)(v), memory_order_relaxed)
#define STAT_GET(stats, name) atomic_load_explicit(&(stats)->name, memory_order_relaxed)

/* Walk them: each(arg, name, is_count, text, value). */
void stats_each(const struct stats *stats, void (*each)(void *arg, const char *name, int is_count,
                                                        const char *text, uint64_t value), void *arg);

#endif
