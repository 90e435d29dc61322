/* home.c - the folder of a device: opening it, its lock, its schema, its account. The rows are in
 * home_rows.c, home_list.c and home_gone.c.
 *
 * Files are private by construction: the umask is narrowed while SQLite makes its files (WAL and shared memory
 * included), the folder is 0700, so not even a moment is open. The schema is a list of numbered steps; what a newer
 * program wrote is refused, since guessing at its meaning could lose a send.
 *
 * The lock is flock() on client.lock: it goes with the process, however that ends, and needs no cleaning up. */
#include "tools/client/home.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/home_db.h"

/* Step n brings version n to n + 1. Steps are never changed, only added. */
static const char *const schema_steps[] = {
    "CREATE TABLE account ("                         /* one row: this device */
    "  one INTEGER PRIMARY KEY CHECK (one = 1), server TEXT NOT NULL, user TEXT NOT NULL,"
    "  device BLOB NOT NULL, token BLOB NOT NULL, generation BLOB, client_seq_max INTEGER NOT NULL) STRICT;"
    "CREATE TABLE conversations ("                   /* struct conv_row */
    "  id BLOB PRIMARY KEY, peer TEXT NOT NULL, stored INTEGER, read INTEGER NOT NULL,"
    "  read_told INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE cursors ("                         /* of other members */
    "  conversation BLOB NOT NULL, user TEXT NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL,"
    "  PRIMARY KEY (conversation, user)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE messages ("                        /* struct message_row; the id carries the time */
    "  id BLOB PRIMARY KEY, conversation BLOB NOT NULL, seq INTEGER, kind INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL, counted INTEGER NOT NULL, sender TEXT NOT NULL, device BLOB NOT NULL,"
    "  client_seq INTEGER NOT NULL, body BLOB NOT NULL, state INTEGER NOT NULL) STRICT;"
    "CREATE INDEX messages_seq ON messages (conversation, seq);"
    "CREATE INDEX messages_time ON messages (conversation, id);"
    "CREATE INDEX messages_send ON messages (device, client_seq);"
    "CREATE INDEX messages_fresh ON messages (id) WHERE state = 1;"
    "CREATE TABLE outbox ("                          /* struct outbox_row */
    "  client_seq INTEGER PRIMARY KEY, recipient TEXT NOT NULL, body BLOB NOT NULL, created INTEGER NOT NULL,"
    "  sent INTEGER NOT NULL) STRICT;"
    "CREATE TABLE refusals ("                        /* the answer of a send that will never be accepted */
    "  client_seq INTEGER PRIMARY KEY, error INTEGER NOT NULL, text TEXT NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE errands ("                         /* requests and answers as frames */
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, request BLOB NOT NULL, created INTEGER NOT NULL, answer BLOB) STRICT;",

    "ALTER TABLE messages ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE conversations ADD COLUMN marked INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE drafts (recipient TEXT PRIMARY KEY, text BLOB NOT NULL) STRICT, WITHOUT ROWID;",

    ("CREATE TABLE contacts ("                       /* struct contact_row; one statement: clang asks, of two strings */
     "  name TEXT PRIMARY KEY, user TEXT NOT NULL UNIQUE, added INTEGER NOT NULL) STRICT, WITHOUT ROWID;"),

    "ALTER TABLE messages ADD COLUMN expiry INTEGER;"
    "CREATE INDEX messages_expiry ON messages (expiry) WHERE expiry IS NOT NULL;"
    "CREATE INDEX messages_there ON messages (conversation, id) WHERE hidden = 0 AND kind <= 2;"
    "ALTER TABLE conversations ADD COLUMN timer INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE conversations ADD COLUMN timer_seq INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE conversations ADD COLUMN timer_by TEXT;"
    "ALTER TABLE outbox ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE account ADD COLUMN clock_off INTEGER NOT NULL DEFAULT 0;",
};
enum { SCHEMA_VERSION = sizeof schema_steps / sizeof schema_steps[0] };

/* ---- statements ---- */

#define HOME_SQL_TEXT(name, sql) [SQL_##name] = sql,
static const char *const statements[SQL_COUNT] = { HOME_SQL(HOME_SQL_TEXT) };
#undef HOME_SQL_TEXT

int home_error(const struct home *home)
{
    switch (sqlite3_errcode(home->db) & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return 0;
    case SQLITE_FULL: return ERR_NO_SPACE;
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_BUSY: case SQLITE_LOCKED: return ERR_IN_USE;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return ERR_CORRUPT;
    default: return home->no_space ? ERR_NO_SPACE : ERR_IO;
    }
}

sqlite3_stmt *home_stmt(struct home *home, enum home_sql which)
{
    sqlite3_stmt **stmt = &home->stmts[which];
    if (!*stmt) sqlite3_prepare_v3(home->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
    return *stmt;
}

/* SQLite knows a full disk only as ENOSPC; a quota, or a limit on the size of files, is as easily given room. It does
 * not keep the number when a commit fails, so it is taken from where the failed write left it: errno is 0 before each
 * try. */
static void note_space(struct home *home, int rc)
{
    home->no_space = (rc & 0xff) == SQLITE_IOERR && err_from_errno(errno) == ERR_NO_SPACE;
}

int home_row(struct home *home, sqlite3_stmt *stmt)
{
    if (!stmt) return home_error(home) ? home_error(home) : ERR_NOMEM;
    errno = 0;
    int rc = sqlite3_step(stmt);
    note_space(home, rc);
    switch (rc) {
    case SQLITE_ROW: return 0;
    case SQLITE_DONE: return ERR_NOT_FOUND;
    default: return home_error(home) ? home_error(home) : ERR_IO;
    }
}

void home_done(sqlite3_stmt *stmt)
{
    if (!stmt) return;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

int home_run(struct home *home, sqlite3_stmt *stmt)
{
    int err;
    do err = home_row(home, stmt);
    while (!err);
    home_done(stmt);
    return err == ERR_NOT_FOUND ? 0 : err;
}

void bind_bytes(sqlite3_stmt *stmt, int at, struct bytes b)
{
    sqlite3_bind_blob64(stmt, at, b.len ? (const void *)b.at : "", b.len, SQLITE_TRANSIENT);
}

void bind_number(sqlite3_stmt *stmt, int at, uint64_t v)
{
    assert(v <= NUMBER_MAX);
    sqlite3_bind_int64(stmt, at, (sqlite3_int64)v);
}

void bind_str(sqlite3_stmt *stmt, int at, const char *s)
{
    sqlite3_bind_text(stmt, at, s, -1, SQLITE_TRANSIENT);
}

uint64_t column_number(sqlite3_stmt *stmt, int at)
{
    sqlite3_int64 v = sqlite3_column_int64(stmt, at);
    return v < 0 ? 0 : (uint64_t)v;
}

struct bytes column_bytes(sqlite3_stmt *stmt, int at)
{
    const void *p = sqlite3_column_blob(stmt, at);    /* first the pointer, then the length: SQLite's rule */
    return bytes_of(p, (size_t)sqlite3_column_bytes(stmt, at));
}

bool column_fixed(sqlite3_stmt *stmt, int at, void *to, size_t len)
{
    struct bytes b = column_bytes(stmt, at);
    if (b.len != len) return false;
    memcpy(to, b.at, len);
    return true;
}

bool column_user(sqlite3_stmt *stmt, int at, struct user_id *out)
{
    struct bytes b = column_bytes(stmt, at);
    return user_id_parse(b, out) == 0;
}

bool column_is_null(sqlite3_stmt *stmt, int at)
{
    return sqlite3_column_type(stmt, at) == SQLITE_NULL;
}

/* ---- opening ---- */

static int schema_version(struct home *home, int *version_out)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_prepare_v2(home->db, "PRAGMA user_version", -1, &stmt, NULL);
    int err = home_row(home, stmt);
    if (!err) *version_out = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return err;
}

/* In one transaction, taken before the version is read again: two processes may open a new home at once. */
static int migrate(struct home *home)
{
    int version = 0;
    int err = schema_version(home, &version);
    if (err || version == SCHEMA_VERSION) return err;
    if (version > SCHEMA_VERSION) return ERR_NEWER;
    err = home_begin(home);
    if (err) return err;
    err = schema_version(home, &version);
    if (!err && version > SCHEMA_VERSION) err = ERR_NEWER;
    for (; !err && version < SCHEMA_VERSION; version++)
        if (sqlite3_exec(home->db, schema_steps[version], NULL, NULL, NULL) != SQLITE_OK) err = home_error(home);
    char pragma[48];
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", SCHEMA_VERSION);
    if (!err && sqlite3_exec(home->db, pragma, NULL, NULL, NULL) != SQLITE_OK) err = home_error(home);
    if (!err) return home_commit(home);
    home_rollback(home);
    return err;
}

static int database_open(struct home *home, bool create)
{
    char path[HOME_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.db", home->dir);
    if (!create && access(path, F_OK) != 0) return err_from_errno(errno);
    if (sqlite3_open_v2(path, &home->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return home->db ? home_error(home) : ERR_NOMEM;
    sqlite3_busy_timeout(home->db, HOME_BUSY_MS);
    /* SQLite answers "busy" at once, whatever the timeout, when two processes change the journal mode together. So
     * the mode is set under the write lock's rules: try, and try again while another does the same. */
    int rc, tries = 0;
    errno = 0;
    do rc = sqlite3_exec(home->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    while (rc == SQLITE_BUSY && ++tries < 100 && sqlite3_sleep(10) >= 0);
    note_space(home, rc);
    if (rc != SQLITE_OK ||
        sqlite3_exec(home->db, "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return home_error(home);
    return migrate(home);
}

static int folder_make(const char *dir, bool create, char why[static 256])
{
    struct stat st;
    if (create && mkdir(dir, 0700) != 0 && errno != EEXIST) {
        snprintf(why, 256, "cannot make the folder %.150s: %s", dir, strerror(errno));
        return err_from_errno(errno);
    }
    if (stat(dir, &st) != 0) {
        snprintf(why, 256, "the folder %.150s: %s", dir, strerror(errno));
        return err_from_errno(errno);
    }
    if (S_ISDIR(st.st_mode)) return 0;
    snprintf(why, 256, "%.150s is not a folder", dir);
    return ERR_IO;
}

int home_open(const char *dir, bool create, struct home **home_out, char why[static 256])
{
    why[0] = '\0';
    if (strlen(dir) >= HOME_PATH_MAX) {
        snprintf(why, 256, "the path of the home is longer than %d bytes", HOME_PATH_MAX - 1);
        return ERR_TOO_BIG;
    }
    int err = folder_make(dir, create, why);
    if (err) return err;
    struct home *home = calloc(1, sizeof *home);
    if (!home) return ERR_NOMEM;
    home->lock = home->wake = -1;
    memcpy(home->dir, dir, strlen(dir) + 1);
    mode_t before = umask(077);
    err = database_open(home, create);
    umask(before);
    if (err) {
        bool told = !home->db || err == ERR_NEWER || err == ERR_NO_SPACE;    /* better than by SQLite's words */
        snprintf(why, 256, "%.120s/client.db: %.100s", dir, told ? err_text(err) : sqlite3_errmsg(home->db));
        home_close(home);
        return err;
    }
    *home_out = home;
    return 0;
}

static void database_close(struct home *home)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(home->stmts[i]);
        home->stmts[i] = NULL;
    }
    sqlite3_close(home->db);
    home->db = NULL;
}

void home_close(struct home *home)
{
    if (!home) return;
    home_unlock(home);
    database_close(home);
    free(home);
}

int home_erase(struct home *home)
{
    /* The database first: a home without one is no home, whatever else may be left. */
    static const char *const names[] = { "client.db", "client.db-wal", "client.db-shm", "client.wake", "client.lock" };
    char path[HOME_PATH_MAX + 32];
    int err = 0;
    assert(home->lock >= 0);
    database_close(home);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", home->dir, names[i]);
        if (unlink(path) != 0 && errno != ENOENT && !err) err = err_from_errno(errno);
    }
    if (!err) rmdir(home->dir);    /* what else is in it is not ours */
    return err;
}

const char *home_dir(const struct home *home)
{
    return home->dir;
}

int home_begin(struct home *home)
{
    return home_run(home, home_stmt(home, SQL_BEGIN));
}

int home_commit(struct home *home)
{
    int err = home_run(home, home_stmt(home, SQL_COMMIT));
    if (err) home_rollback(home);
    return err;
}

void home_rollback(struct home *home)
{
    if (!sqlite3_get_autocommit(home->db)) home_run(home, home_stmt(home, SQL_ROLLBACK));
}

/* ---- lock and wake ---- */

static void read_holder(int fd, char holder[static 64])
{
    ssize_t n = pread(fd, holder, 63, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

int home_lock(struct home *home, const char *command, char holder[static 64])
{
    char path[HOME_PATH_MAX + 16], line[64];
    holder[0] = '\0';
    if (home->lock >= 0) return 0;
    snprintf(path, sizeof path, "%s/client.lock", home->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_from_errno(errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = errno == EWOULDBLOCK ? ERR_IN_USE : err_from_errno(errno);
        read_holder(fd, holder);
        close(fd);
        return err;
    }
    int len = snprintf(line, sizeof line, "pid %ld, %.30s\n", (long)getpid(), command);
    /* Only for people: a holder without a name is still a holder. */
    if (ftruncate(fd, 0) == 0) (void)!pwrite(fd, line, (size_t)len, 0);
    home->lock = fd;
    return 0;
}

void home_unlock(struct home *home)
{
    if (home->wake >= 0) close(home->wake);
    if (home->lock >= 0) close(home->lock);
    home->wake = home->lock = -1;
}

/* Opened for writing too: a FIFO without a writer would be readable for ever. */
int home_wake_open(struct home *home, int *fd_out)
{
    char path[HOME_PATH_MAX + 16];
    assert(home->lock >= 0);
    snprintf(path, sizeof path, "%s/client.wake", home->dir);
    if (mkfifo(path, 0600) != 0 && errno != EEXIST) return err_from_errno(errno);
    home->wake = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (home->wake < 0) return err_from_errno(errno);
    *fd_out = home->wake;
    return 0;
}

void home_wake_drain(struct home *home)
{
    char bytes[64];
    while (home->wake >= 0 && read(home->wake, bytes, sizeof bytes) > 0) { }
}

/* A full FIFO has been heard anyway; without a reader (ENXIO) nobody has the session. */
void home_wake(struct home *home)
{
    char path[HOME_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/client.wake", home->dir);
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    (void)!write(fd, "", 1);
    close(fd);
}

/* ---- the account ---- */

int home_account_get(struct home *home, struct account *out)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ACCOUNT_GET);
    uint8_t device[8];
    int err = home_row(home, stmt);
    if (!err) {
        struct bytes server = column_bytes(stmt, 0);
        memset(out, 0, sizeof *out);
        if (server.len < sizeof out->server && column_user(stmt, 1, &out->user) &&
            column_fixed(stmt, 2, device, sizeof device) && column_fixed(stmt, 3, out->token, sizeof out->token)) {
            memcpy(out->server, server.at, server.len);
            out->device.v = get_u64(device);
            out->has_generation = column_fixed(stmt, 4, out->generation, sizeof out->generation);
            out->client_seq_max = column_number(stmt, 5);
            out->clock_off_ms = sqlite3_column_int64(stmt, 6);
        } else {
            err = ERR_CORRUPT;
        }
    }
    home_done(stmt);
    return err;
}

int home_account_put(struct home *home, const struct account *account)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_ACCOUNT_PUT);
    uint8_t device[8];
    put_u64(device, account->device.v);
    bind_str(stmt, 1, account->server);
    bind_str(stmt, 2, account->user.v);
    bind_bytes(stmt, 3, BYTES_OF(device));
    bind_bytes(stmt, 4, BYTES_OF(account->token));
    if (account->has_generation) bind_bytes(stmt, 5, BYTES_OF(account->generation));
    bind_number(stmt, 6, account->client_seq_max);
    return home_run(home, stmt);
}

uint64_t account_clock(const struct account *account, uint64_t wall_ms)
{
    int64_t off = account->clock_off_ms;
    uint64_t by = off < 0 ? 0 - (uint64_t)off : (uint64_t)off;
    if (off < 0) return wall_ms > by ? wall_ms - by : 0;
    return by < NUMBER_MAX - wall_ms ? wall_ms + by : NUMBER_MAX;
}

int home_clock_put(struct home *home, int64_t off_ms)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CLOCK_PUT);
    sqlite3_bind_int64(stmt, 1, off_ms);
    return home_run(home, stmt);
}

/* A delete names its messages by sequences, which are others' now. */
static int refuse_deletes(struct home *home)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_REFUSE_DELETES);
    bind_number(stmt, 1, (uint64_t)-(int64_t)ERR_NOT_FOUND);
    int err = home_run(home, stmt);
    return err ? err : home_run(home, home_stmt(home, SQL_FORGET_DELETES));
}

int home_generation_put(struct home *home, const uint8_t generation[static 16], bool forget)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_GENERATION_PUT);
    bind_bytes(stmt, 1, bytes_of(generation, 16));
    int err = home_run(home, stmt);
    if (!err && forget) err = home_run(home, home_stmt(home, SQL_FORGET_SEQUENCES));
    if (!err && forget) err = home_run(home, home_stmt(home, SQL_FORGET_CONVERSATIONS));
    if (!err && forget) err = home_run(home, home_stmt(home, SQL_FORGET_CURSORS));
    if (!err && forget) err = refuse_deletes(home);
    return err;
}
