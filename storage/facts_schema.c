/* facts_schema.c - the tables of facts.db, as numbered steps.
 *
 * A step that has been released never changes: what comes later is a new step at the end. Each runs in one
 * transaction together with its number (PRAGMA user_version), see db.c.
 *
 * Names: a conversation is a blob of 16, a message id one of 16, a user its text, a device its 64 bits as a
 * signed integer (equal, but in no order). Sequences, counts and times (ms since 1970) are integers above or
 * equal 0; where 0 stands for "none" it says so. Tables with a key of their own are WITHOUT ROWID: the rows lie
 * in the key's order, one B-tree each. */
#include "storage/facts_impl.h"

const char *const facts_migrations[] = {
    /* 1: two people chat */

    /* One row, made at the first start. */
    "CREATE TABLE node ("
    "  one        INTEGER PRIMARY KEY CHECK (one = 1),"
    "  generation BLOB NOT NULL,"
    "  hash_key   BLOB NOT NULL"
    ") STRICT;"

    /* Up to which record number the rows below contain each log. */
    "CREATE TABLE flushed ("
    "  log    INTEGER PRIMARY KEY,"
    "  number INTEGER NOT NULL"
    ") STRICT;"

    /* -- rows of their own: committed before they are answered -- */

    "CREATE TABLE users ("
    "  user          TEXT PRIMARY KEY,"
    "  password_hash TEXT NOT NULL,"
    "  created_ms    INTEGER NOT NULL,"
    "  list_version  INTEGER NOT NULL DEFAULT 0,"     /* rises with each change of its devices */
    "  disabled      INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE devices ("
    "  user           TEXT NOT NULL,"
    "  device         INTEGER NOT NULL,"
    "  token_hash     BLOB NOT NULL,"
    "  name           TEXT NOT NULL,"
    "  created_ms     INTEGER NOT NULL,"
    "  since_ms       INTEGER NOT NULL,"              /* it is due what came after; older rows may have 0: all */
    "  live_ms        INTEGER NOT NULL,"
    "  client_seq_max INTEGER NOT NULL,"              /* a fold as well */
    "  revoked        INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (user, device)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE invites ("
    "  hash       BLOB PRIMARY KEY,"
    "  uses_left  INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    /* -- folds of the log -- */

    "CREATE TABLE convs ("
    "  conv       BLOB PRIMARY KEY,"
    "  type       INTEGER NOT NULL,"                  /* enum conv_type */
    "  created_ms INTEGER NOT NULL,"
    "  head       INTEGER NOT NULL DEFAULT 0,"        /* 0: nothing yet */
    "  counted    INTEGER NOT NULL DEFAULT 0,"
    "  last_id    BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',"
    "  marked_ms  INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"

    /* The row outlives leaving. `type` repeats the conversation's, so that the index below is the scan's order. */
    "CREATE TABLE members ("
    "  conv         BLOB NOT NULL,"
    "  user         TEXT NOT NULL,"
    "  type         INTEGER NOT NULL,"
    "  from_seq     INTEGER NOT NULL,"
    "  to_seq       INTEGER NOT NULL DEFAULT 0,"      /* 0: still a member */
    "  read         INTEGER NOT NULL DEFAULT 0,"
    "  read_ms      INTEGER NOT NULL DEFAULT 0,"
    "  delivered    INTEGER NOT NULL DEFAULT 0,"
    "  delivered_ms INTEGER NOT NULL DEFAULT 0,"
    "  sent         INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (conv, user)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX members_by_user ON members (user, type, conv);"

    /* No second index: a device's cursors are found by walking its user's conversations. */
    "CREATE TABLE cursors ("
    "  conv      BLOB NOT NULL,"
    "  user      TEXT NOT NULL,"
    "  device    INTEGER NOT NULL,"
    "  delivered INTEGER NOT NULL,"
    "  settled   INTEGER NOT NULL,"
    "  PRIMARY KEY (conv, user, device)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE repeats ("
    "  conv       BLOB NOT NULL,"
    "  user       TEXT NOT NULL,"
    "  device     INTEGER NOT NULL,"
    "  client_seq INTEGER NOT NULL,"
    "  seq        INTEGER NOT NULL,"
    "  id         BLOB NOT NULL,"
    "  PRIMARY KEY (conv, user, device, client_seq)"
    ") STRICT, WITHOUT ROWID;",

    /* 2: invites have a number to call them by (never given twice), a note, and can be revoked */

    "CREATE TABLE invites_new ("
    "  number     INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  hash       BLOB NOT NULL UNIQUE,"
    "  note       TEXT NOT NULL,"
    "  uses       INTEGER NOT NULL,"                  /* of a row older than this step: those it had left then */
    "  uses_left  INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  revoked    INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "INSERT INTO invites_new (hash, note, uses, uses_left, expires_ms, created_ms)"
    "  SELECT hash, '', uses_left, uses_left, expires_ms, created_ms FROM invites ORDER BY created_ms, hash;"
    "DROP TABLE invites;"
    "ALTER TABLE invites_new RENAME TO invites;",

    /* 3: accounts, whole */

    /* 0: there. The row of a deleted account keeps its name taken, and nothing else. */
    "ALTER TABLE users ADD COLUMN deleted_ms INTEGER NOT NULL DEFAULT 0;"
    /* When it was last connected, for people; live_ms is for the sync and lies before it. 0: not known. */
    "ALTER TABLE devices ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;"
    /* Names that look alike have the same skeleton. */
    "CREATE INDEX users_by_skeleton ON users (" FACTS_SKELETON("user") ");",

    /* 4: where key files were written */

    "CREATE TABLE key_files ("
    "  path       TEXT PRIMARY KEY,"                  /* absolute */
    "  written_ms INTEGER NOT NULL,"                  /* when it last was, for sure */
    "  ok         INTEGER NOT NULL"                   /* 0: the last try did not reach it */
    ") STRICT, WITHOUT ROWID;",

    /* 5: erasing */

    /* Of names that were erased a hash under this key is left. Empty: none was. */
    "ALTER TABLE node ADD COLUMN name_key BLOB NOT NULL DEFAULT x'';"
    /* 1: something was erased, and the files may still show it. */
    "ALTER TABLE node ADD COLUMN scrub INTEGER NOT NULL DEFAULT 0;"
    /* 1: being erased; what is left to do a start goes on with. */
    "ALTER TABLE users ADD COLUMN erasing INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX users_erasing ON users (user) WHERE erasing = 1;"
    /* Conversations that are being erased. */
    "CREATE TABLE erasing (conv BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;"
    /* Of each erased name two: itself and its skeleton. */
    "CREATE TABLE erased_names (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;",

    /* 6: what was deleted, and how long messages stay */

    /* As the record `timer_seq` set it; 0: for good. */
    "ALTER TABLE convs ADD COLUMN timer_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE convs ADD COLUMN timer_seq INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE repeats ADD COLUMN expiry_ms INTEGER NOT NULL DEFAULT 0;"
    /* A fold of the log; a row goes when its message has left the disk. */
    "CREATE TABLE deleted ("
    "  conv BLOB NOT NULL,"
    "  seq  INTEGER NOT NULL,"
    "  ms   INTEGER NOT NULL,"
    "  PRIMARY KEY (conv, seq)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX deleted_by_ms ON deleted (ms);",

    /* 7: which record deleted it; number 0, from before this step: one that is in a closed segment */

    ("ALTER TABLE deleted ADD COLUMN log INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE deleted ADD COLUMN number INTEGER NOT NULL DEFAULT 0;"),

    /* 8: the last backup that was whole */

    "CREATE TABLE backups ("
    "  one     INTEGER PRIMARY KEY CHECK (one = 1),"
    "  made_ms INTEGER NOT NULL,"
    "  path    TEXT NOT NULL,"
    "  bytes   INTEGER NOT NULL"
    ") STRICT;",
};
const int facts_migration_count = sizeof facts_migrations / sizeof *facts_migrations;
