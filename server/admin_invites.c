/* admin_invites.c - invite, invite-list, invite-revoke.
 *
 * The code leaves the server once, in the answer to `invite`; afterwards the invite is called by its number. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/admin_impl.h"

enum {
    INVITE_GROUPS = 4, INVITE_GROUP = 5, /* 20 characters of 31: 99 bits */
    INVITE_CODE_TEXT = INVITE_GROUPS * (INVITE_GROUP + 1),       /* with dashes and NUL */
    INVITE_CODE_GIVEN_MAX = 256,         /* what may be asked for: longer is no code of ours */
    INVITE_USES_MAX = 100 * 1000,
    INVITE_DAYS = 7, INVITE_DAYS_MAX = 3650,
    INVITE_KEPT_DAYS = 90,               /* listed for so long after it expired */
    LIST_ROWS = 500,
};
static const uint64_t day_ms = 24 * 3600 * 1000;

/* -- invite -------------------------------------------------------------------------------------------------------- */

struct invite_task {
    struct task task;
    uint8_t hash[SECRET_HASH_BYTES];
    struct invite_row row;
    bool by_code;                        /* invite-revoke: hash is given, else row.number */
};

static void make_code(char out[static INVITE_CODE_TEXT])
{
    /* No 0, 1, i, l, o: it is read from a screen and typed. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    size_t at = 0;
    for (int g = 0; g < INVITE_GROUPS; g++) {
        for (int i = 0; i < INVITE_GROUP; i++) out[at++] = letters[randombytes_uniform(sizeof letters - 1)];
        out[at++] = '-';
    }
    out[at - 1] = '\0';
}

static int invite_rows(struct task *t, struct facts *facts)
{
    struct invite_task *i = (struct invite_task *)t;
    int err = facts_invite_add(facts, i->hash, &i->row, &i->row.number);
    if (!err)
        err = facts_invite_forget(facts,
                                  t->now_ms > INVITE_KEPT_DAYS * day_ms ? t->now_ms - INVITE_KEPT_DAYS * day_ms : 0);
    if (!err) {
        task_detail(t, "invite=%llu uses=%u expires=%llu", (unsigned long long)i->row.number, i->row.uses,
                    (unsigned long long)i->row.expires_ms);
    }
    return err;
}

static void invite_made(struct task *t)
{
    struct invite_task *i = (struct invite_task *)t;
    json_object_set_new(t->answer, "number", json_integer((json_int_t)i->row.number));
    task_end(t, 0);
}

static int start_invite(struct task *t, json_t *request)
{
    struct invite_task *i = (struct invite_task *)t;
    char code[INVITE_CODE_TEXT];
    const char *note;
    int64_t uses, days;
    int err = task_number(t, request, "uses", 1, INVITE_USES_MAX, 1, &uses);
    if (!err) err = task_number(t, request, "days", 1, INVITE_DAYS_MAX, INVITE_DAYS, &days);
    if (!err) err = task_text(t, request, "note", INVITE_NOTE_BYTES_MAX, &note);
    if (err) return err;
    make_code(code);
    account_secret_hash(bytes_of_str(code), i->hash);
    i->row.uses = (uint32_t)uses;
    i->row.created_ms = t->now_ms;
    i->row.expires_ms = t->now_ms + (uint64_t)days * day_ms;
    snprintf(i->row.note, sizeof i->row.note, "%s", note ? note : "");
    t->answer = json_pack("{s:s, s:I, s:I}", "invite", code, "uses", (json_int_t)uses, "expires",
                          (json_int_t)i->row.expires_ms);
    return t->answer ? task_write(t, NULL, invite_rows, invite_made) : ERR_NOMEM;
}

/* -- invite-list --------------------------------------------------------------------------------------------------- */

struct list_task {
    struct task task;
    uint64_t after;
    struct invite_row *rows;             /* owned */
    size_t count;
};

static void list_fini(struct task *t)
{
    free(((struct list_task *)t)->rows);
}

static void list_run(struct work *work, void *context)
{
    struct list_task *l = (struct list_task *)work;
    struct job_reader *reader = context;
    l->rows = calloc(LIST_ROWS, sizeof *l->rows);
    work->err = l->rows ? facts_invite_list(reader->facts, l->after, LIST_ROWS, l->rows, &l->count) : ERR_NOMEM;
}

static const char *state_of(const struct invite_row *row, uint64_t now_ms)
{
    return row->revoked ? "revoked" : row->uses_left == 0 ? "used" : row->expires_ms <= now_ms ? "expired" : "good";
}

static void list_back(struct task *t)
{
    struct list_task *l = (struct list_task *)t;
    json_t *list = json_array();
    for (size_t i = 0; i < l->count; i++) {
        const struct invite_row *row = &l->rows[i];
        json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:s}", "number", (json_int_t)row->number,
                                              "state", state_of(row, t->now_ms), "uses", (json_int_t)row->uses,
                                              "uses_left", (json_int_t)row->uses_left, "created",
                                              (json_int_t)row->created_ms, "expires", (json_int_t)row->expires_ms,
                                              "note", row->note));
    }
    t->answer = json_pack("{s:o, s:b}", "invites", list, "more", l->count == LIST_ROWS);
    task_end(t, t->answer ? 0 : ERR_NOMEM);
}

static int start_list(struct task *t, json_t *request)
{
    int64_t after;
    int err = task_number(t, request, "after", 0, INT64_MAX, 0, &after);
    if (err) return err;
    ((struct list_task *)t)->after = (uint64_t)after;
    return task_read(t, list_run, list_back);
}

/* -- invite-revoke ------------------------------------------------------------------------------------------------- */

static int revoke_rows(struct task *t, struct facts *facts)
{
    struct invite_task *i = (struct invite_task *)t;
    int err = i->by_code ? facts_invite_find(facts, i->hash, &i->row.number) : 0;
    if (!err) {
        task_detail(t, "invite=%llu", (unsigned long long)i->row.number);
        err = facts_invite_revoke(facts, i->row.number);
    }
    return err == ERR_INVITE ? task_why(t, err, "no such invite") : err;
}

static int start_revoke(struct task *t, json_t *request)
{
    struct invite_task *i = (struct invite_task *)t;
    json_t *number = json_object_get(request, "number"), *code = json_object_get(request, "invite");
    const char *text = json_string_value(code);
    int64_t n = json_integer_value(number);
    if (!number == !code || (number && n < 1) || (code && (!text || strlen(text) > INVITE_CODE_GIVEN_MAX))) {
        return task_why(t, ERR_RANGE, "either `number`, from 1 on, or `invite`, its code");
    }
    i->by_code = code != NULL;
    if (code) account_secret_hash(bytes_of_str(text), i->hash);
    else i->row.number = (uint64_t)n;
    t->answer = json_object();
    return t->answer ? task_write(t, NULL, revoke_rows, invite_made) : ERR_NOMEM;
}

const struct request admin_invite_requests[] = {
    { "invite", "uses days note ", WHOM_NONE, true, sizeof(struct invite_task), start_invite, NULL },
    { "invite-list", "after ", WHOM_NONE, false, sizeof(struct list_task), start_list, list_fini },
    { "invite-revoke", "number invite ", WHOM_NONE, true, sizeof(struct invite_task), start_revoke, NULL },
    { NULL, NULL, WHOM_NONE, false, 0, NULL, NULL },
};
