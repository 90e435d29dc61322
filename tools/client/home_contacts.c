/* home_contacts.c - the names this device has for users: rows, one statement each. */
#include <string.h>

#include "tools/client/home_db.h"

static int contact_read(sqlite3_stmt *stmt, struct contact_row *out)
{
    struct bytes name = column_bytes(stmt, 0);
    memset(out, 0, sizeof *out);
    if (name.len >= sizeof out->name || !column_user(stmt, 1, &out->user)) return ERR_CORRUPT;
    memcpy(out->name, name.at, name.len);
    out->added_ms = column_number(stmt, 2);
    return 0;
}

static int contact_find(struct home *home, enum home_sql which, const char *key, struct contact_row *out)
{
    sqlite3_stmt *stmt = home_stmt(home, which);
    bind_str(stmt, 1, key);
    int err = home_row(home, stmt);
    if (!err) err = contact_read(stmt, out);
    home_done(stmt);
    return err;
}

int home_contact_get(struct home *home, const char *name, struct contact_row *out)
{
    return contact_find(home, SQL_CONTACT_GET, name, out);
}

int home_contact_of(struct home *home, const struct user_id *user, struct contact_row *out)
{
    return contact_find(home, SQL_CONTACT_OF, user->v, out);
}

static int contact_replace(struct home *home, const struct contact_row *row)
{
    struct contact_row other;
    int err = home_contact_get(home, row->name, &other);
    if (!err && !user_id_equal(&other.user, &row->user)) return ERR_EXISTS;
    if (err && err != ERR_NOT_FOUND) return err;
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONTACT_DROP_USER);
    bind_str(stmt, 1, row->user.v);
    err = home_run(home, stmt);
    if (err) return err;
    stmt = home_stmt(home, SQL_CONTACT_PUT);
    bind_str(stmt, 1, row->name);
    bind_str(stmt, 2, row->user.v);
    bind_number(stmt, 3, row->added_ms);
    return home_run(home, stmt);
}

int home_contact_put(struct home *home, const struct contact_row *row)
{
    int err = home_begin(home);
    if (!err) err = contact_replace(home, row);
    if (!err) return home_commit(home);
    home_rollback(home);
    return err;
}

int home_contact_remove(struct home *home, const char *name)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONTACT_DROP);
    bind_str(stmt, 1, name);
    int err = home_run(home, stmt);
    return err || sqlite3_changes(home->db) > 0 ? err : ERR_NOT_FOUND;
}

int home_contact_each(struct home *home, contact_fn *fn, void *arg)
{
    sqlite3_stmt *stmt = home_stmt(home, SQL_CONTACT_EACH);
    struct contact_row row;
    int err;
    while (!(err = home_row(home, stmt))) {
        if ((err = contact_read(stmt, &row)) || (err = fn(arg, &row))) break;
    }
    home_done(stmt);
    return err == ERR_NOT_FOUND ? 0 : err;
}
