/* home_db.h - inside home*.c only: the database behind struct home, and its statements.
 *
 * Every statement stands once in HOME_SQL, is prepared when it is first used, and is kept. home_stmt() gives it reset
 * and unbound. The helpers bind and read what SQLite has no types for. */
#ifndef PIPIT_CLIENT_HOME_DB_H
#define PIPIT_CLIENT_HOME_DB_H

#include <sqlite3.h>

#include "tools/client/home.h"

#define MESSAGE_COLUMNS \
    "m.id, m.conversation, m.seq, m.kind, m.flags, m.counted, m.sender, m.device, m.client_seq, m.body, m.state, c.peer, " \
    "m.hidden, m.expiry"
#define MESSAGE_FROM " FROM messages m JOIN conversations c ON c.id = m.conversation "

/* No longer due as an event; of these, what is said, or was: messages and tombstones. */
#define MESSAGE_THERE "(m.state = 2 OR c.stored IS NULL OR m.seq IS NULL OR m.seq <= c.stored) "
#define MESSAGE_SAID "m.kind <= 2 AND " MESSAGE_THERE
#define CONV_COLUMNS "c.id, c.peer, c.stored, c.read, c.read_told, c.marked, (SELECT m.id FROM messages m " \
    "WHERE m.conversation = c.id AND m.hidden = 0 AND " MESSAGE_SAID "ORDER BY m.id DESC LIMIT 1) AS last"

#define OUTBOX_COLUMNS "client_seq, recipient, body, created, sent, kind"

#define HOME_SQL(X)                                                                                                    \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(ACCOUNT_GET, "SELECT server, user, device, token, generation, client_seq_max, clock_off FROM account")           \
    X(ACCOUNT_PUT, "INSERT INTO account (one, server, user, device, token, generation, client_seq_max) "               \
                   "VALUES (1, ?, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET server = excluded.server, "           \
                   "user = excluded.user, device = excluded.device, token = excluded.token, "                          \
                   "generation = excluded.generation, client_seq_max = excluded.client_seq_max")                       \
    X(GENERATION_PUT, "UPDATE account SET generation = ?")                                                             \
    X(CLOCK_PUT, "UPDATE account SET clock_off = ?")                                                                   \
    X(FORGET_SEQUENCES, "UPDATE messages SET seq = NULL")                                                              \
    X(FORGET_CONVERSATIONS, "UPDATE conversations SET stored = NULL, read = 0, read_told = 0, timer_seq = 0")          \
    X(REFUSE_DELETES, "INSERT OR REPLACE INTO refusals (client_seq, error, text, created) SELECT client_seq, ?, "      \
                      "'the server was restored meanwhile', created FROM outbox WHERE kind = 4")                       \
    X(FORGET_DELETES, "DELETE FROM outbox WHERE kind = 4")                                                             \
    X(FORGET_CURSORS, "DELETE FROM cursors")                                                                           \
    X(CONV_GET, "SELECT id, peer, stored, read, read_told FROM conversations WHERE id = ?")                            \
    X(CONV_PUT, "INSERT INTO conversations (id, peer, stored, read, read_told) VALUES (?, ?, ?, ?, ?) "                \
                "ON CONFLICT (id) DO UPDATE SET peer = excluded.peer, stored = excluded.stored, "                      \
                "read = excluded.read, read_told = excluded.read_told, "                                               \
                "marked = CASE WHEN excluded.read > conversations.read THEN 0 ELSE marked END")                        \
    X(CONV_UNTOLD, "SELECT id, peer, stored, read, read_told FROM conversations WHERE read > read_told")               \
    X(CURSOR_GET, "SELECT delivered, read FROM cursors WHERE conversation = ? AND user = ?")                           \
    X(CURSOR_RAISE, "INSERT INTO cursors (conversation, user, delivered, read) VALUES (?, ?, ?, ?) "                   \
                    "ON CONFLICT (conversation, user) DO UPDATE SET delivered = max(delivered, excluded.delivered), "  \
                    "read = max(read, excluded.read) "                                                                 \
                    "WHERE excluded.delivered > delivered OR excluded.read > read")                                    \
    X(MESSAGE_HAS, "SELECT 1 FROM messages WHERE id = ?")                                                              \
    X(MESSAGE_PUT, "INSERT INTO messages (id, conversation, seq, kind, flags, counted, sender, device, client_seq, "   \
                   "body, state, expiry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "                                 \
                   "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, state = max(state, excluded.state), "           \
                   "kind = max(kind, excluded.kind), "                                                                 \
                   "expiry = CASE WHEN hidden THEN NULL ELSE coalesce(expiry, excluded.expiry) END, "                  \
                   "body = CASE WHEN hidden THEN body WHEN max(kind, excluded.kind) > 1 OR length(body) = 0 "          \
                   "THEN excluded.body ELSE body END")                                                                 \
    X(MESSAGE_DELETE, "UPDATE messages SET kind = 2, body = x'' WHERE conversation = ? AND seq = ? AND kind = 1")      \
    X(MESSAGE_HIDE, "UPDATE messages SET hidden = 1, body = x'', state = 2, expiry = NULL WHERE id = ?")               \
    X(EXPIRED, "SELECT id, conversation FROM messages WHERE expiry <= ? ORDER BY expiry LIMIT ?")                      \
    X(EXPIRY_NEXT, "SELECT min(expiry) FROM messages WHERE expiry IS NOT NULL")                                        \
    X(TIMER_PUT, "UPDATE conversations SET timer = ?, timer_by = ?, timer_seq = ?3 WHERE id = ? AND timer_seq < ?3")   \
    X(TIMER_LEARN, "UPDATE conversations SET timer = ?1, timer_seq = ?2 "                                              \
                   "WHERE id = ?3 AND timer_by IS NULL AND timer_seq < ?2")                                            \
    X(TIMER_GET, "SELECT timer, timer_by FROM conversations WHERE id = ?")                                             \
    X(MESSAGE_SHOW, "UPDATE messages SET state = 2 WHERE id = ?")                                                      \
    X(MESSAGE_ARRIVE, "UPDATE messages SET state = 1 WHERE id = ? AND state = 0")                                      \
    X(MESSAGE_STATE, "SELECT id, state FROM messages WHERE conversation = ? AND seq = ?")                              \
    X(MESSAGE_MIN_SEQ, "SELECT min(seq) FROM messages WHERE conversation = ? AND seq > ?")                             \
    X(MESSAGE_BY_ID, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.id = ?")                                          \
    X(MESSAGE_BY_SEND, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.device = ? AND m.client_seq = ?")               \
    X(MESSAGE_FRESH, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM                                                            \
                     "WHERE m.state = 1 AND m.seq <= c.stored ORDER BY m.id")                                          \
    X(MESSAGE_FRESH_IN, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM                                                         \
                        "WHERE m.state = 1 AND m.seq <= c.stored AND c.id = ? ORDER BY m.id")                          \
    X(MESSAGE_LAST, "SELECT * FROM (SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE c.id = ?1 "                           \
                    "AND (?2 = 0 OR m.seq < ?2) AND m.hidden = 0 ORDER BY m.id DESC LIMIT ?3) ORDER BY id")            \
    X(SUMMARY_EACH, "SELECT " CONV_COLUMNS " FROM conversations c ORDER BY last DESC, c.peer LIMIT ?")                 \
    X(SUMMARY_GET, "SELECT " CONV_COLUMNS " FROM conversations c WHERE c.id = ?")                                      \
    X(UNREAD, "SELECT m.flags & 1, m.sender = (SELECT user FROM account), m.hidden " MESSAGE_FROM                      \
              "WHERE m.conversation = ?1 AND m.seq > c.read AND (c.stored IS NULL OR m.seq <= c.stored OR m.state = 2) " \
              "AND m.kind <= 2 ORDER BY m.seq DESC")                                                                   \
    X(CONV_MARK, "UPDATE conversations SET marked = ? WHERE id = ?")                                                   \
    X(CONV_HIDE, "UPDATE messages SET hidden = 1, body = x'', state = 2, expiry = NULL "                               \
                 "WHERE conversation = ? AND hidden = 0")                                                              \
    X(MESSAGE_OLDER, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.conversation = ? AND m.id < ? AND "               \
                     MESSAGE_THERE "ORDER BY m.id DESC LIMIT ?")                                                       \
    X(MESSAGE_NEWER, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.conversation = ? AND m.id > ? AND "               \
                     MESSAGE_THERE "ORDER BY m.id LIMIT ?")                                                            \
    X(SEARCH_ALL, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.id < ? ORDER BY m.id DESC LIMIT ?")                  \
    X(SEARCH_IN, "SELECT " MESSAGE_COLUMNS MESSAGE_FROM "WHERE m.id < ? AND m.conversation = ?3 "                      \
                 "ORDER BY m.id DESC LIMIT ?2")                                                                        \
    X(DRAFT_PUT, "INSERT OR REPLACE INTO drafts (recipient, text) VALUES (?, ?)")                                      \
    X(DRAFT_DROP, "DELETE FROM drafts WHERE recipient = ?")                                                            \
    X(DRAFT_GET, "SELECT text FROM drafts WHERE recipient = ?")                                                        \
    X(DRAFT_EACH, "SELECT recipient FROM drafts ORDER BY recipient")                                                   \
    X(CONTACT_PUT, "INSERT INTO contacts (name, user, added) VALUES (?, ?, ?)")                                        \
    X(CONTACT_GET, "SELECT name, user, added FROM contacts WHERE name = ?")                                            \
    X(CONTACT_OF, "SELECT name, user, added FROM contacts WHERE user = ?")                                             \
    X(CONTACT_DROP, "DELETE FROM contacts WHERE name = ?")                                                             \
    X(CONTACT_DROP_USER, "DELETE FROM contacts WHERE user = ?")                                                        \
    X(CONTACT_EACH, "SELECT name, user, added FROM contacts ORDER BY name")                                            \
    X(SEQ_MAX, "SELECT client_seq_max FROM account")                                                                   \
    X(SEQ_SET, "UPDATE account SET client_seq_max = ?")                                                                \
    X(OUTBOX_ADD, "INSERT INTO outbox (client_seq, recipient, body, created, sent, kind) VALUES (?, ?, ?, ?, 0, ?)")   \
    X(OUTBOX_EACH, "SELECT " OUTBOX_COLUMNS " FROM outbox ORDER BY client_seq")                                        \
    X(OUTBOX_FIRST, "SELECT " OUTBOX_COLUMNS " FROM outbox WHERE client_seq IN "                                       \
                    "(SELECT min(client_seq) FROM outbox GROUP BY recipient) ORDER BY client_seq LIMIT 64")            \
    X(OUTBOX_GET, "SELECT " OUTBOX_COLUMNS " FROM outbox WHERE client_seq = ?")                                        \
    X(OUTBOX_SENT, "UPDATE outbox SET sent = 1 WHERE client_seq = ?")                                                  \
    X(OUTBOX_REMOVE, "DELETE FROM outbox WHERE client_seq = ?")                                                        \
    X(OUTBOX_MIN, "SELECT min(client_seq) FROM outbox")                                                                \
    X(OUTBOX_UNSENT_MIN, "SELECT min(client_seq) FROM outbox WHERE sent = 0 AND client_seq <= ?")                      \
    X(OUTBOX_RENUMBER, "UPDATE outbox SET client_seq = ? WHERE client_seq = ?")                                        \
    X(REFUSAL_PUT, "INSERT OR REPLACE INTO refusals (client_seq, error, text, created) VALUES (?, ?, ?, ?)")           \
    X(REFUSAL_GET, "SELECT error, text FROM refusals WHERE client_seq = ?")                                            \
    X(REFUSAL_DROP, "DELETE FROM refusals WHERE client_seq = ?")                                                       \
    X(REFUSAL_OLD, "DELETE FROM refusals WHERE created < ?")                                                           \
    X(ERRAND_ADD, "INSERT INTO errands (request, created) VALUES (?, ?)")                                              \
    X(ERRAND_EACH, "SELECT id, request FROM errands WHERE answer IS NULL ORDER BY id")                                 \
    X(ERRAND_ANSWER, "UPDATE errands SET answer = ? WHERE id = ?")                                                     \
    X(ERRAND_GET, "SELECT answer FROM errands WHERE id = ? AND answer IS NOT NULL")                                    \
    X(ERRAND_DROP, "DELETE FROM errands WHERE id = ?")                                                                 \
    X(ERRAND_OLD, "DELETE FROM errands WHERE created < ?")

#define HOME_SQL_ENUM(name, sql) SQL_##name,
enum home_sql { HOME_SQL(HOME_SQL_ENUM) SQL_COUNT };
#undef HOME_SQL_ENUM

struct home {
    char dir[HOME_PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT];    /* NULL until first used */
    int lock;                          /* -1: not ours */
    int wake;                          /* -1: not open */
    bool no_space;                     /* the last step failed for want of room */
};

/* NULL when it cannot be prepared; run_stmt(NULL) then tells why. */
sqlite3_stmt *home_stmt(struct home *home, enum home_sql which);
/* One step: 0 (a row, or done), or ERR_*. home_row() says which; both leave the statement to be reset by
 * home_done(). */
int home_row(struct home *home, sqlite3_stmt *stmt);      /* 0 a row, ERR_NOT_FOUND none, ERR_* */
int home_run(struct home *home, sqlite3_stmt *stmt);      /* to its end, then reset: 0 or ERR_* */
void home_done(sqlite3_stmt *stmt);                       /* reset, unlock */
int home_error(const struct home *home);                  /* ERR_* of the last failure */

void bind_bytes(sqlite3_stmt *stmt, int at, struct bytes b);
void bind_number(sqlite3_stmt *stmt, int at, uint64_t v);
void bind_str(sqlite3_stmt *stmt, int at, const char *s);
uint64_t column_number(sqlite3_stmt *stmt, int at);
struct bytes column_bytes(sqlite3_stmt *stmt, int at);
/* False, and nothing written, when the column has another length. */
bool column_fixed(sqlite3_stmt *stmt, int at, void *to, size_t len);
bool column_user(sqlite3_stmt *stmt, int at, struct user_id *out);
bool column_is_null(sqlite3_stmt *stmt, int at);

void bind_conv(sqlite3_stmt *stmt, int at, const struct conv_id *id);
/* A row of MESSAGE_COLUMNS, of the first columns of CONV_COLUMNS: 0 or ERR_CORRUPT. */
int message_read(sqlite3_stmt *stmt, struct message_row *out);
int conv_read(sqlite3_stmt *stmt, struct conv_row *out);
/* Every row of a statement of MESSAGE_COLUMNS. ERR_NOT_FOUND: there was none. */
int message_each(struct home *home, sqlite3_stmt *stmt, message_fn *fn, void *arg);
/* `fn` in a transaction of its own, or in the one that is open. */
int home_within(struct home *home, int (*fn)(struct home *home, void *arg), void *arg);
int none_is_fine(int err);                                /* ERR_NOT_FOUND becomes 0 */

#endif
