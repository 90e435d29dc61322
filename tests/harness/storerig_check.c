/* storerig_check.c - what a folder must hold after a crash, told from the records that are in it.
 *
 * First the records: found, compared with what was appended, and none missing that had been acknowledged. Then the
 * rows: the records that were found are played through a model that knows nothing of folds (a few arrays, one
 * pass), and written down as text; so are the rows; the two texts must be the same. */
#include "tests/harness/storerig.h"

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
#include "proto/msg.h"
#include "storage/view.h"
#include "tests/harness/storerig_people.h"

struct check {
    const struct storerig *rig;
    struct store *store;
    uint64_t ops;
    bool *found;                  /* of each of rig->records */
    struct buf plain;
    struct entry_room room;
    struct record_page page;
};

#define check_that(c, what, ...) \
    do { \
        if (!(what)) { \
            print_message("after %" PRIu64 " operations: ", (c)->ops); \
            print_message(__VA_ARGS__); \
            fail_msg(": %s", #what); \
        } \
    } while (0)

/* -- records ---------------------------------------------------------------------------------------------- */

static bool same_bytes(struct bytes a, struct bytes b)
{
    return bytes_equal(a, b);
}

static bool same_entry(const struct entry *a, const struct entry *b)
{
    if (strcmp(a->sender.v, b->sender.v) != 0 || a->device.v != b->device.v || a->client_seq != b->client_seq ||
        a->settled != b->settled || a->member_count != b->member_count || a->mark_count != b->mark_count)
        return false;
    for (int i = 0; i < a->member_count; i++)
        if (strcmp(a->members[i].v, b->members[i].v) != 0) return false;
    for (uint32_t i = 0; i < a->mark_count; i++) {
        const struct mark *x = &a->marks[i], *y = &b->marks[i];
        if (strcmp(x->user.v, y->user.v) != 0 || x->device.v != y->device.v || x->delivered != y->delivered ||
            x->read != y->read || x->time_ms != y->time_ms)
            return false;
    }
    return same_bytes(a->body, b->body);
}

/* The record that was appended with this id at this place, or NULL. */
static struct rig_record *appended(const struct check *c, const struct record *record)
{
    if (record->log >= RIG_LOGS_MAX || record->number >= RIG_NUMBERS_MAX) return NULL;
    struct rig_record *r = c->rig->latest[record->log][record->number];
    while (r && msg_id_compare(&r->head.id, &record->id) != 0) r = r->same_number;
    return r;
}

static void check_record(struct check *c, const struct rig_conv *conv, const struct page_record *found)
{
    const struct record record = found->record;
    struct entry entry;
    struct vault_key key;
    unsigned long long number = record.number;
    check_that(c, vault_get_number(c->store->vault, record.key, &key) == 0, "record %llu has no key", number);
    check_that(c, record_open(found->whole, &record, key.key, &c->plain, &c->room, &entry) == 0,
               "record %llu cannot be opened", number);
    struct rig_record *r = appended(c, &record);
    check_that(c, r != NULL, "record %llu was never appended", number);
    check_that(c, r->given_ops <= c->ops, "record %llu was not yet on its way", number);
    check_that(c, conv_id_equal(&record.partition, &conv->id) && record.seq == r->head.seq &&
                  record.counted == r->head.counted && record.kind == r->head.kind &&
                  record.flags == r->head.flags && same_entry(&entry, &r->entry),
               "record %llu is not what was appended", number);
    check_that(c, !c->found[r - c->rig->records], "record %llu is there twice", number);
    c->found[r - c->rig->records] = true;
}

static void read_all(struct check *c, const struct rig_conv *conv, enum find_what what)
{
    struct find find = { .partition = conv->id, .what = what, .from = 0, .to = UINT64_MAX, .max = RIG_NUMBERS_MAX,
                         .bytes_max = SIZE_MAX };
    struct view *view = log_view(c->store->log[0], &find);
    assert_non_null(view);
    check_that(c, view_read(view, &c->page) == 0, "%s", "records cannot be read");
    view_free(view);
}

static void check_records(struct check *c)
{
    for (int i = 0; i < RIG_CONVS; i++) {
        const struct rig_conv *conv = &c->rig->convs[i];
        read_all(c, conv, FIND_RECORDS);
        for (size_t p = 0; p < c->page.count; p++) {
            check_that(c, c->page.records[p].record.seq == p + 1, "conversation %d has a gap", i);
            check_record(c, conv, &c->page.records[p]);
        }
        read_all(c, conv, FIND_MARKS);
        for (size_t p = 0; p < c->page.count; p++)
            check_record(c, conv, &c->page.records[p]);
    }
    for (size_t i = 0; i < c->rig->count; i++) {
        const struct rig_record *r = &c->rig->records[i];
        check_that(c, r->acked_ops > c->ops || c->found[i], "log %u, record %llu was acknowledged and is lost",
                   r->head.log, (unsigned long long)r->head.number);
    }
}

/* -- rows, as the records found tell them ----------------------------------------------------------------- */

struct model_member { uint64_t delivered, delivered_ms, read, read_ms, sent; };
struct model_device { bool there; uint64_t delivered, settled; };
struct model {
    const struct rig_record *head;
    uint64_t marked_ms;
    struct model_member members[RIG_USERS];
    struct model_device devices[RIG_USERS][RIG_DEVICES];
};

static int user_number(const struct user_id *user)
{
    for (int u = 0; u < RIG_USERS; u++)
        if (user_id_equal(&rig_users[u], user)) return u;
    fail_msg("%s is nobody", user->v);
    return 0;
}

static int device_number(struct device_id device)
{
    return device.v == rig_devices[0].v ? 0 : 1;
}

static void model_message(struct model *m, const struct rig_record *r)
{
    int u = user_number(&r->entry.sender);
    struct model_device *device = &m->devices[u][device_number(r->entry.device)];
    struct model_member *member = &m->members[u];
    m->head = r;
    member->sent = r->head.seq;
    device->there = true;
    if (r->entry.settled > device->settled) device->settled = r->entry.settled;
    if (r->head.flags & RECORD_SENDER_CAUGHT_UP) {
        device->delivered = r->head.seq;
        if (r->head.seq > member->delivered)
            *member = (struct model_member){ r->head.seq, msg_id_ms(&r->head.id), member->read, member->read_ms,
                                             member->sent };
    }
}

static void model_mark(struct model *m, const struct mark *mark)
{
    int u = user_number(&mark->user);
    struct model_device *device = &m->devices[u][device_number(mark->device)];
    struct model_member *member = &m->members[u];
    uint64_t delivered = mark->read > mark->delivered ? mark->read : mark->delivered;
    device->there = true;
    if (delivered > device->delivered) device->delivered = delivered;
    if (delivered > member->delivered) {
        member->delivered = delivered;
        member->delivered_ms = mark->time_ms;
    }
    if (mark->read > member->read) {
        member->read = mark->read;
        member->read_ms = mark->time_ms;
    }
    if (mark->time_ms > m->marked_ms) m->marked_ms = mark->time_ms;
}

static void model_of(const struct check *c, int conv, struct model *m)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < c->rig->count; i++) {
        const struct rig_record *r = &c->rig->records[i];
        if (!c->found[i] || r->conv != conv) continue;
        if (r->head.kind == KIND_MESSAGE) model_message(m, r);
        for (uint32_t k = 0; k < r->entry.mark_count; k++) model_mark(m, &r->entry.marks[k]);
    }
}

static void print_conv(FILE *to, uint64_t head, uint64_t counted, const struct msg_id *id, uint64_t marked_ms)
{
    char text[MSG_ID_TEXT];
    msg_id_print(id, text);
    fprintf(to, "head %" PRIu64 " counted %" PRIu64 " id %s marked %" PRIu64 "\n", head, counted, text, marked_ms);
}

static void print_member(FILE *to, const char *user, const struct model_member *m)
{
    fprintf(to, "%s delivered %" PRIu64 "@%" PRIu64 " read %" PRIu64 "@%" PRIu64 " sent %" PRIu64 "\n", user,
            m->delivered, m->delivered_ms, m->read, m->read_ms, m->sent);
}

static void print_device(FILE *to, const char *user, struct device_id device, uint64_t delivered, uint64_t settled)
{
    fprintf(to, "%s/%" PRIx64 " delivered %" PRIu64 " settled %" PRIu64 "\n", user, device.v, delivered, settled);
}

static void print_repeat(FILE *to, const char *user, struct device_id device, uint64_t client_seq, uint64_t seq,
                         const struct msg_id *id)
{
    char text[MSG_ID_TEXT];
    msg_id_print(id, text);
    fprintf(to, "%s/%" PRIx64 " repeat %" PRIu64 " is %" PRIu64 " %s\n", user, device.v, client_seq, seq, text);
}

static char *expected_rows(const struct check *c, int conv)
{
    static const struct msg_id none;
    const struct rig_conv *at = &c->rig->convs[conv];
    struct model m;
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    model_of(c, conv, &m);
    print_conv(to, m.head ? m.head->head.seq : 0, m.head ? m.head->head.counted : 0, m.head ? &m.head->head.id : &none,
               m.marked_ms);
    for (int u = 0; u < RIG_USERS; u++)
        if (u == at->users[0] || u == at->users[1]) print_member(to, rig_users[u].v, &m.members[u]);
    for (int u = 0; u < RIG_USERS; u++)
        for (int d = 0; d < RIG_DEVICES; d++)
            if (m.devices[u][d].there)
                print_device(to, rig_users[u].v, rig_devices[d], m.devices[u][d].delivered, m.devices[u][d].settled);
    for (int u = 0; u < RIG_USERS; u++) {
        for (int d = 0; d < RIG_DEVICES; d++) {
            for (size_t i = 0; i < c->rig->count; i++) {
                const struct rig_record *r = &c->rig->records[i];
                if (c->found[i] && r->conv == conv && r->head.kind == KIND_MESSAGE &&
                    user_id_equal(&r->entry.sender, &rig_users[u]) && r->entry.device.v == rig_devices[d].v &&
                    r->entry.client_seq >= m.devices[u][d].settled)
                    print_repeat(to, rig_users[u].v, rig_devices[d], r->entry.client_seq, r->head.seq, &r->head.id);
            }
        }
    }
    fclose(to);
    return text;
}

/* -- rows, as they are ------------------------------------------------------------------------------------ */

static int on_member(void *to, const struct member_row *row)
{
    struct model_member m = { row->delivered, row->delivered_ms, row->read, row->read_ms, row->sent };
    assert_int_equal(row->from_seq, 1);
    assert_int_equal(row->to_seq, 0);
    print_member(to, row->user.v, &m);
    return 0;
}

static int on_cursor(void *to, const struct cursor_row *row)
{
    print_device(to, row->user.v, row->device, row->delivered, row->settled);
    return 0;
}

static int on_repeat(void *to, const struct repeat_row *row)
{
    print_repeat(to, row->user.v, row->device, row->client_seq, row->seq, &row->id);
    return 0;
}

/* NULL: the conversation has no row. To be freed. */
static char *actual_rows(const struct check *c, int conv)
{
    const struct conv_id *id = &c->rig->convs[conv].id;
    struct facts *facts = c->store->facts;
    struct conv_row row;
    char *text = NULL;
    size_t len;
    int err = facts_conv_get(facts, id, &row);
    if (err == ERR_NOT_FOUND) return NULL;
    assert_int_equal(err, 0);
    FILE *to = open_memstream(&text, &len);
    print_conv(to, row.head, row.counted, &row.last_id, row.marked_ms);
    assert_int_equal(facts_members(facts, id, on_member, to), 0);
    assert_int_equal(facts_cursors(facts, id, on_cursor, to), 0);
    assert_int_equal(facts_repeats(facts, id, on_repeat, to), 0);
    fclose(to);
    return text;
}

static void check_rows(struct check *c)
{
    for (int i = 0; i < RIG_CONVS; i++) {
        char *expected = expected_rows(c, i), *actual = actual_rows(c, i);
        if (actual)
            check_that(c, strcmp(expected, actual) == 0, "conversation %d should be\n%sand is\n%s", i, expected,
                       actual);
        else
            check_that(c, strncmp(expected, "head 0 ", 7) == 0 && c->rig->convs[i].rows_ops > c->ops,
                       "conversation %d has no rows", i);
        free(expected);
        free(actual);
    }
}

/* Of those who are there: a fold brings no device back with an account that was deleted. */
static void check_devices(struct check *c)
{
    const struct people *people = rig_people_check(c->rig, c->store->facts, c->ops);
    for (int u = 0; u < RIG_USERS; u++) {
        if (people->persons[u].is != PERSON_THERE) continue;
        for (int d = 0; d < RIG_DEVICES; d++) {
            uint64_t highest = 0;
            struct device_row row;
            for (size_t i = 0; i < c->rig->count; i++) {
                const struct rig_record *r = &c->rig->records[i];
                if (c->found[i] && r->head.kind == KIND_MESSAGE && user_id_equal(&r->entry.sender, &rig_users[u]) &&
                    r->entry.device.v == rig_devices[d].v && r->entry.client_seq > highest)
                    highest = r->entry.client_seq;
            }
            check_that(c, facts_device_get(c->store->facts, &rig_users[u], rig_devices[d], &row) == 0,
                       "%s has no device", rig_users[u].v);
            check_that(c, row.client_seq_max == highest, "%s's device %d", rig_users[u].v, d);
        }
    }
}

void storerig_check(const struct storerig *rig, struct store *store, uint64_t ops)
{
    struct check *c = calloc(1, sizeof *c);
    c->rig = rig;
    c->store = store;
    c->ops = ops;
    c->found = calloc(rig->count + 1, sizeof *c->found);
    record_page_init(&c->page);
    buf_init(&c->plain, RECORD_BYTES_MAX);
    if (ops >= rig->opened_ops)
        check_that(c, memcmp(&store->node, &rig->node, sizeof rig->node) == 0, "%s", "the node is another");
    check_records(c);
    check_rows(c);
    check_devices(c);
    record_page_fini(&c->page);
    buf_fini(&c->plain);
    free(c->found);
    free(c);
}
