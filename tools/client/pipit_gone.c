/* pipit_gone.c - deleting for everyone, and a conversation's timer (see pipit.h).
 *
 * Both are rows of the outbox beside messages: numbered, durable before they leave, repeated until answered. */
#include <stdio.h>
#include <string.h>

#include "tools/client/pipit_impl.h"

static int add(struct pipit *p, const struct user_id *to, enum record_kind kind, uint64_t number, uint64_t *number_out)
{
    uint8_t body[8];
    uint64_t client_seq = 0;
    put_u64(body, number);
    int err = home_outbox_add_as(p->home, to, kind, BYTES_OF(body), wall_ms(), &client_seq);
    if (err) return pipit_fail(p, err, NULL);
    p->due = true;
    if (number_out) *number_out = client_seq;
    return 0;
}

struct found {
    const struct pipit *p;
    struct pipit_message message;         /* its text goes with the row */
    bool has_seq;
};

static int remember(void *arg, const struct message_row *row)
{
    struct found *f = arg;
    f->message = pipit_message_of(&f->p->account.user, &row->m, &row->peer);
    f->has_seq = row->has_seq;
    return 0;
}

int pipit_delete(struct pipit *p, const struct msg_id *id, uint64_t *number_out)
{
    struct found f = { .p = p };
    const struct pipit_message *m = &f.message;
    int err = home_message_by_id(p->home, id, remember, &f);
    if (err && err != ERR_NOT_FOUND) return pipit_fail(p, err, NULL);
    if (err || m->what != PIPIT_SAYS) return pipit_fail(p, ERR_NOT_FOUND, "this home knows no such message");
    if (!m->is_own) return pipit_fail(p, ERR_DENIED, "only who sent a message can delete it for everyone");
    if (m->is_deleted) return pipit_fail(p, ERR_NOT_FOUND, "it is deleted already");
    if (!f.has_seq) return pipit_fail(p, ERR_NOT_FOUND, "the server was restored without this message");
    return add(p, &m->peer, KIND_DELETE, m->seq, number_out);
}

/* ---- the timer ---- */

int pipit_timer_set(struct pipit *p, const struct user_id *peer, uint64_t seconds, uint64_t *number_out)
{
    if (seconds != 0 && (seconds < TIMER_S_MIN || seconds > EXPIRE_S_MAX))
        return pipit_fail(p, ERR_RANGE, "messages stay for a minute to a year, or for good");
    return add(p, peer, KIND_TIMER, seconds, number_out);
}
_Static_assert(TIMER_S_MIN == 60 && EXPIRE_S_MAX == 365 * 86400, "pipit_timer_set() says so");

int pipit_timer_here(struct pipit *p, const struct user_id *peer, struct pipit_timer *out)
{
    struct conv_id conv = conv_id_direct(&p->account.user, peer);
    struct timer_row row;
    int err = home_timer_get(p->home, &conv, &row);
    *out = (struct pipit_timer){ .seconds = row.seconds };
    if (row.is_told) out->by = row.by;
    return err && err != ERR_NOT_FOUND ? pipit_fail(p, err, NULL) : 0;
}

static int pass(void *arg, const struct pipit_message *m)
{
    (void)arg;
    (void)m;
    return 0;
}

/* The newest page lies in the home then, and with it what its records tell of the timer. */
int pipit_timer(struct pipit *p, const struct user_id *peer, uint64_t timeout_ms, struct pipit_timer *out)
{
    int err = pipit_history(p, peer, 0, PAGE_RECORDS_MAX, timeout_ms, pass, NULL);
    return err && err != ERR_NOT_FOUND ? err : pipit_timer_here(p, peer, out);
}
