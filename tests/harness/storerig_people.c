/* storerig_people.c - see storerig_people.h. */
#include "tests/harness/storerig_people.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

/* No two look alike: what is refused is refused for the reason the model knows. */
static const struct user_id names[PEOPLE] = { { "alice" }, { "bob" }, { "carol" }, { "dave" },
                                              { "erin" }, { "frank" }, { "grace" }, { "heidi" } };
enum { MAY_GO = RIG_USERS - 1 };          /* dave and those behind him may delete their accounts */

struct rig_people *rig_people_new(void)
{
    struct rig_people *p = calloc(1, sizeof *p);
    if (!p) fail_msg("%s", "out of memory");
    return p;
}

void rig_people_free(struct rig_people *p)
{
    if (p) free(p->states);
    free(p);
}

bool rig_person_is_there(const struct storerig *rig, int user)
{
    return rig->people->now.persons[user].is == PERSON_THERE;
}

static void put_state(struct rig_people *p, const struct people *people, uint64_t given_ops, uint64_t acked_ops)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 16;
        p->states = realloc(p->states, p->cap * sizeof *p->states);
        if (!p->states) fail_msg("%s", "out of memory");
    }
    p->states[p->count++] = (struct people_state){ *people, given_ops, acked_ops };
}

/* -- acts: each does it to the rows, and to the model when it was done -------------------------------------- */

static bool is_of_the_disk(int err)
{
    return err == ERR_NO_SPACE || err == ERR_IO;
}

/* What an act said, held against what it should have said. */
static int as_expected(int err, int expected)
{
    if (!is_of_the_disk(err) && err != expected) fail_msg("%s instead of %s", err_name(err), err_name(expected));
    return err;
}

/* One of the devices from the `first` on; NULL: there is none. */
static struct person_device *draw_device(struct storerig *rig, struct person *who, size_t first)
{
    return who->device_count > first ? &who->devices[first + rig_draw(rig, who->device_count - first)] : NULL;
}

static bool is_of_rig(struct device_id device)
{
    return device.v == rig_devices[0].v || device.v == rig_devices[1].v;
}

static void invite_hash(uint64_t number, uint8_t hash[static SECRET_HASH_BYTES])
{
    memset(hash, 0, SECRET_HASH_BYTES);
    memcpy(hash, &number, sizeof number);
}

static struct invite_row *invite_of(struct people *p, uint64_t number)
{
    for (size_t i = 0; i < p->invite_count; i++)
        if (p->invites[i].number == number) return &p->invites[i];
    return NULL;
}

/* As the server does: a use of the invite and the account, both or none. */
static int act_register(struct storerig *rig, struct people *p)
{
    struct facts *facts = rig->store.facts;
    int u = RIG_USERS + (int)rig_draw(rig, PEOPLE - RIG_USERS);
    struct person *who = &p->persons[u];
    uint64_t number = 1 + rig_draw(rig, p->invites_made + 1);
    struct invite_row *invite = invite_of(p, number);
    bool is_good = invite && invite->uses_left > 0 && invite->expires_ms > rig->now_ms && !invite->revoked;
    uint8_t hash[SECRET_HASH_BYTES];
    invite_hash(number, hash);
    int err = as_expected(facts_invite_use(facts, hash, rig->now_ms), is_good ? 0 : ERR_INVITE);
    if (!err)
        err = as_expected(facts_user_add(facts, &names[u], "h", rig->now_ms), who->is == PERSON_NEVER ? 0 : ERR_EXISTS);
    if (err) return err;
    invite->uses_left--;
    *who = (struct person){ .is = PERSON_THERE, .password = "h", .created_ms = rig->now_ms };
    return 0;
}

static int act_device_add(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person *who = &p->persons[u];
    struct device_row row = { .user = names[u], .device = { rig_draw(rig, UINT64_MAX) | 16 }, .created_ms = rig->now_ms,
                              .live_ms = rig->now_ms };
    if (who->device_count == PEOPLE_DEVICES_MAX) return 0;
    snprintf(row.name, sizeof row.name, "d%u", (unsigned)rig_draw(rig, 1000));
    int err = as_expected(facts_device_add(rig->store.facts, &row), who->is == PERSON_THERE ? 0 : ERR_NOT_FOUND);
    if (err) return err;
    struct person_device *d = &who->devices[who->device_count++];
    *d = (struct person_device){ .id = row.device, .created_ms = row.created_ms, .live_ms = row.live_ms };
    strcpy(d->name, row.name);
    who->list_version++;
    return 0;
}

static int act_device_name(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person_device *d = draw_device(rig, &p->persons[u], 0);
    struct device_id id = d ? d->id : (struct device_id){ 99 };
    uint64_t version;
    char name[16];
    snprintf(name, sizeof name, "n%u", (unsigned)rig_draw(rig, 1000));
    int err = as_expected(facts_device_name(rig->store.facts, &names[u], id, name, &version),
                          d && !d->revoked ? 0 : ERR_NOT_FOUND);
    if (err) return err;
    strcpy(d->name, name);
    assert_int_equal(version, ++p->persons[u].list_version);
    return 0;
}

static int act_device_revoke(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person *who = &p->persons[u];
    bool sends = u < RIG_USERS;                   /* with its first devices the rig goes on to send */
    struct person_device *d = draw_device(rig, who, sends ? RIG_DEVICES : 0);
    struct device_row rows[DEVICES_PER_USER_MAX];
    struct device_choice choice = { .only = { d ? d->id.v : 99 } };
    uint64_t version = 0;
    size_t count = 0, chosen = 0;
    if (!sends && d && rig_draw(rig, 3) == 0) choice = (struct device_choice){ .except = d->id };
    if (!sends && d && rig_draw(rig, 4) == 0) choice = (struct device_choice){ .only = { 0 } };
    for (size_t i = 0; i < who->device_count; i++) {
        struct person_device *at = &who->devices[i];
        bool is_chosen = !at->revoked && (!choice.only.v || at->id.v == choice.only.v) && at->id.v != choice.except.v;
        chosen += is_chosen;
        at->revoked |= is_chosen;
    }
    int err = as_expected(facts_device_revoke(rig->store.facts, &names[u], choice, rows, &count, &version),
                          choice.only.v && !chosen ? ERR_NOT_FOUND : 0);
    if (err) return err;
    assert_int_equal(count, chosen);
    if (chosen) assert_int_equal(version, ++who->list_version);
    return 0;
}

static void raise(uint64_t *to, uint64_t value)
{
    if (*to < value) *to = value;
}

static int act_device_seen(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person_device *d = draw_device(rig, &p->persons[u], 0);
    if (!d) return 0;
    uint64_t live = rig->now_ms - rig_draw(rig, 50), seen = live + rig_draw(rig, 20);
    uint64_t client_seq = is_of_rig(d->id) ? 0 : rig_draw(rig, 100);
    int err = as_expected(facts_device_seen(rig->store.facts, &names[u], d->id, live, seen, client_seq), 0);
    if (err) return err;
    raise(&d->live_ms, live);
    raise(&d->seen_ms, seen);
    raise(&d->client_seq_max, client_seq);
    return 0;
}

static int act_password(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person *who = &p->persons[u];
    bool knows = rig_draw(rig, 3) > 0, is_good = who->is == PERSON_THERE && knows;
    char password[16];
    snprintf(password, sizeof password, "h%u", (unsigned)rig_draw(rig, 1000));
    const char *said = knows && who->password[0] ? who->password : "not it";
    int err = as_expected(facts_user_password(rig->store.facts, &names[u], said, password), is_good ? 0 : ERR_AUTH);
    if (!err) strcpy(who->password, password);
    return err;
}

static int act_disable(struct storerig *rig, struct people *p)
{
    int u = (int)rig_draw(rig, PEOPLE);
    struct person *who = &p->persons[u];
    bool disabled = rig_draw(rig, 2);
    int err = as_expected(facts_user_disable(rig->store.facts, &names[u], disabled),
                          who->is == PERSON_THERE ? 0 : ERR_NOT_FOUND);
    if (!err) who->disabled = disabled;
    return err;
}

/* Now and then: there are not many. */
static int act_delete(struct storerig *rig, struct people *p)
{
    int u = MAY_GO + (int)rig_draw(rig, PEOPLE - MAY_GO);
    struct person *who = &p->persons[u];
    if (rig_draw(rig, 3)) return 0;
    int err = as_expected(facts_user_delete(rig->store.facts, &names[u], rig->now_ms),
                          who->is == PERSON_THERE ? 0 : ERR_NOT_FOUND);
    if (!err) *who = (struct person){ .is = PERSON_DELETED };
    return err;
}

static int act_invite(struct storerig *rig, struct people *p)
{
    struct invite_row row = { .uses = 1 + (uint32_t)rig_draw(rig, 3), .created_ms = rig->now_ms,
                              .expires_ms = rig->now_ms + rig_draw(rig, 600) };
    uint8_t hash[SECRET_HASH_BYTES];
    if (p->invite_count == PEOPLE_INVITES_MAX) return 0;
    invite_hash(p->invites_made + 1, hash);
    snprintf(row.note, sizeof row.note, "for %u", (unsigned)rig_draw(rig, 1000));
    int err = as_expected(facts_invite_add(rig->store.facts, hash, &row, &row.number), 0);
    if (err) return err;
    assert_int_equal(row.number, ++p->invites_made);
    row.uses_left = row.uses;
    p->invites[p->invite_count++] = row;
    return 0;
}

static int act_invite_revoke(struct storerig *rig, struct people *p)
{
    uint64_t number = 1 + rig_draw(rig, p->invites_made + 1);
    struct invite_row *invite = invite_of(p, number);
    int err = as_expected(facts_invite_revoke(rig->store.facts, number), invite ? 0 : ERR_INVITE);
    if (!err) invite->revoked = true;
    return err;
}

static int act_invites_forget(struct storerig *rig, struct people *p)
{
    uint64_t ms = rig->now_ms - 200;
    int err = as_expected(facts_invite_forget(rig->store.facts, ms), 0);
    size_t kept = 0;
    for (size_t i = 0; !err && i < p->invite_count; i++)
        if (p->invites[i].expires_ms >= ms) p->invites[kept++] = p->invites[i];
    if (!err) p->invite_count = kept;
    return err;
}

/* -- transactions ------------------------------------------------------------------------------------------- */

void rig_people_begin(struct storerig *rig)
{
    struct facts *facts = rig->store.facts;
    struct rig_people *p = rig->people;
    put_state(p, &p->now, 0, 0);              /* nobody */
    uint64_t given_ops = rig_ops(rig);
    assert_int_equal(facts_begin(facts), 0);
    for (int u = 0; u < RIG_USERS; u++) {
        struct person *who = &p->now.persons[u];
        *who = (struct person){ .is = PERSON_THERE, .password = "h", .created_ms = rig->now_ms, .device_count = RIG_DEVICES,
                                .list_version = RIG_DEVICES };
        assert_int_equal(facts_user_add(facts, &names[u], who->password, rig->now_ms), 0);
        for (int d = 0; d < RIG_DEVICES; d++) {
            struct device_row row = { .user = names[u], .device = rig_devices[d], .created_ms = rig->now_ms };
            who->devices[d] = (struct person_device){ .id = rig_devices[d], .created_ms = rig->now_ms };
            assert_int_equal(facts_device_add(facts, &row), 0);
        }
    }
    assert_int_equal(facts_commit(facts), 0);
    put_state(p, &p->now, given_ops, rig_ops(rig));
}

/* In a savepoint, as the clerk's are: one that is refused undoes nothing of the others. */
static int try_act(struct storerig *rig, struct people *next)
{
    static int (*const acts[])(struct storerig *rig, struct people *p) = {
        act_register, act_register, act_device_add, act_device_add, act_device_name, act_device_revoke, act_device_seen,
        act_password, act_disable, act_delete, act_invite, act_invite, act_invite_revoke, act_invites_forget,
    };
    struct facts *facts = rig->store.facts;
    struct people tried = *next;
    int err = facts_savepoint(facts);
    if (err) return err;
    int said = acts[rig_draw(rig, sizeof acts / sizeof acts[0])](rig, &tried);
    if (is_of_the_disk(said)) return said;
    err = facts_savepoint_end(facts, said == 0);
    if (!err && !said) *next = tried;
    return err;
}

void rig_people_act(struct storerig *rig)
{
    struct facts *facts = rig->store.facts;
    struct rig_people *p = rig->people;
    if (rig->facts_dead) return;
    struct people next = p->now;
    uint64_t given_ops = rig_ops(rig);
    int err = facts_begin(facts);
    for (uint64_t left = 1 + rig_draw(rig, 3); !err && left > 0; left--) err = try_act(rig, &next);
    if (err) {
        facts_rollback(facts);
    } else {
        err = facts_commit(facts);
        put_state(p, &next, given_ops, err ? RIG_NEVER : rig_ops(rig));
    }
    if (err == ERR_IO) rig->facts_dead = true;
    if (rig_went_well(rig, err)) p->now = next;
}

/* -- what they must say --------------------------------------------------------------------------------------- */

static void read_person(struct facts *facts, int u, struct person *out)
{
    struct user_row row;
    struct device_row rows[DEVICE_ROWS_MAX];
    bool alike;
    *out = (struct person){ .is = PERSON_NEVER };
    int err = facts_user_get(facts, &names[u], &row);
    if (err == ERR_NOT_FOUND) {
        if (facts_name_check(facts, &names[u], &alike) == ERR_EXISTS) out->is = PERSON_DELETED;
    } else {
        assert_int_equal(err, 0);
        out->is = PERSON_THERE;
        out->created_ms = row.created_ms;
        out->list_version = row.list_version;
        out->disabled = row.disabled;
        snprintf(out->password, sizeof out->password, "%.15s", row.password_hash);
    }
    /* Those of somebody deleted are gone. */
    assert_int_equal(facts_device_list(facts, &names[u], rows, &out->device_count), 0);
    assert_in_range(out->device_count, 0, PEOPLE_DEVICES_MAX);
    for (size_t i = 0; i < out->device_count; i++) {
        struct person_device *d = &out->devices[i];
        *d = (struct person_device){ .id = rows[i].device, .created_ms = rows[i].created_ms, .live_ms = rows[i].live_ms,
                                     .seen_ms = rows[i].seen_ms, .revoked = rows[i].revoked,
                                     .client_seq_max = is_of_rig(rows[i].device) ? 0 : rows[i].client_seq_max };
        snprintf(d->name, sizeof d->name, "%.15s", rows[i].name);
    }
}

static void read_people(struct facts *facts, struct people *out)
{
    for (int u = 0; u < PEOPLE; u++) read_person(facts, u, &out->persons[u]);
    assert_int_equal(facts_invite_list(facts, 0, PEOPLE_INVITES_MAX, out->invites, &out->invite_count), 0);
}

/* By when they were made, then by id, as rows order them: signed. */
static int compare_devices(const void *a, const void *b)
{
    const struct person_device *x = a, *y = b;
    if (x->created_ms != y->created_ms) return x->created_ms < y->created_ms ? -1 : 1;
    return (int64_t)x->id.v < (int64_t)y->id.v ? -1 : (int64_t)x->id.v > (int64_t)y->id.v;
}

static void print_person(FILE *to, int u, struct person who)
{
    static const char *const words[] = { "never was", "is there", "is deleted" };
    fprintf(to, "%s %s", names[u].v, words[who.is]);
    if (who.is == PERSON_THERE) {
        fprintf(to, " since %" PRIu64 " password %s version %" PRIu64 "%s", who.created_ms, who.password,
                who.list_version, who.disabled ? " disabled" : "");
    }
    fputc('\n', to);
    qsort(who.devices, who.device_count, sizeof who.devices[0], compare_devices);
    for (size_t i = 0; i < who.device_count; i++) {
        const struct person_device *d = &who.devices[i];
        fprintf(to, "  %" PRIx64 " \"%s\" since %" PRIu64 " live %" PRIu64 " seen %" PRIu64 " sent %" PRIu64 "%s\n",
                d->id.v, d->name, d->created_ms, d->live_ms, d->seen_ms, d->client_seq_max,
                d->revoked ? " revoked" : "");
    }
}

/* To be freed. */
static char *text_of_people(const struct people *p)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    for (int u = 0; u < PEOPLE; u++) print_person(to, u, p->persons[u]);
    for (size_t i = 0; i < p->invite_count; i++) {
        const struct invite_row *v = &p->invites[i];
        fprintf(to, "invite %" PRIu64 ": %u of %u left, %" PRIu64 " to %" PRIu64 ", \"%s\"%s\n", v->number,
                v->uses_left, v->uses, v->created_ms, v->expires_ms, v->note, v->revoked ? " revoked" : "");
    }
    fclose(to);
    return text;
}

/* The number of the state, -1 when it is none. `least_out`: of the last one committed by then. */
static int find_state(const struct rig_people *p, const char *text, uint64_t ops, size_t *least_out)
{
    int found = -1;
    *least_out = 0;
    for (size_t i = 0; i < p->count; i++)
        if (p->states[i].acked_ops <= ops) *least_out = i;
    for (size_t i = *least_out; i < p->count && found < 0; i++) {
        char *may = p->states[i].given_ops <= ops ? text_of_people(&p->states[i].people) : NULL;
        if (may && strcmp(may, text) == 0) found = (int)i;
        free(may);
    }
    return found;
}

const struct people *rig_people_check(const struct storerig *rig, struct facts *facts, uint64_t ops)
{
    const struct rig_people *p = rig->people;
    static struct people is;
    size_t least;
    read_people(facts, &is);
    char *text = text_of_people(&is);
    int found = find_state(p, text, ops, &least);
    if (found < 0) {                          /* more than cmocka's own lines can hold */
        fprintf(stderr, "after %" PRIu64 " operations people should be as here, or as something later left them\n%s"
                        "and are\n%s", ops, text_of_people(&p->states[least].people), text);
        fail();
    }
    free(text);
    return &p->states[found].people;
}

/* What was tried when the disk failed may be there, and may go with the power until something is committed behind
 * it. */
void rig_people_resume(struct storerig *rig)
{
    struct rig_people *p = rig->people;
    const struct people *is = rig_people_check(rig, rig->store.facts, rig_ops(rig));
    p->now = *is;
    if (is != &p->states[p->count - 1].people) put_state(p, &p->now, rig_ops(rig), RIG_NEVER);
}
