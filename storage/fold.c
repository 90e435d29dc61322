/* fold.c - what committed records mean for the rows.
 *
 * One hash table holds the rows, whatever their kind, by a key that names kind and identity. A row starts as
 * zeros, which say nothing: every field is a maximum (or goes with one, as a time goes with the cursor it
 * moved), so a row is only ever raised, and raising it twice changes nothing.
 *
 * Repeat entries alone are not in the table. They hang on the cursor of their device, in the order of their client
 * sequences, and go when that cursor's `settled` passes them: under load that happens to nearly all of them within
 * the same fold. Were they kept until the flush, they alone would fill it, and it would be sorted and flushed many
 * times a second for rows that nobody writes.
 *
 * fold_record() first makes sure of all rows it will need and only then raises them; when memory runs out it
 * takes away those it had made, and the fold is as before. */
#include "storage/fold.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/err.h"

struct fold_node;
static void fold_on_no_memory(struct fold_node *node);

/* Client sequences are chosen by clients: an unseeded hash would let one of them fill a single bucket. The macro
 * takes the seed of the variable `fold`, which every function that looks something up has. */
#define HASH_FUNCTION(at, len, hash) ((hash) = (unsigned)XXH3_64bits_withSeed((at), (len), fold->hash_seed))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(node) fold_on_no_memory(node)
#include <uthash.h>
#include <utlist.h>

/* A repeat entry. */
struct fold_repeat {
    struct fold_row row;
    struct fold_repeat *prev, *next;     /* of the same device, by client sequence; `next` alone among the spare ones */
};

struct fold_node {
    struct fold_row row;          /* first: a row handed out is its node */
    struct fold_node *older;      /* made before this one */
    struct fold_repeat *repeats;  /* FOLD_CURSOR: those of this device in this conversation, owned, none settled */
    bool hashed;                  /* false: the table had no memory for it */
    UT_hash_handle hh;
};

struct fold {
    uint32_t log;
    uint64_t number;
    uint64_t hash_seed;
    struct fold_node *table;      /* uthash */
    struct fold_node *newest;     /* all nodes, owned; through `older` */
    struct fold_repeat *spare;    /* for the next message, so that one settles and one is made without the allocator */
    size_t count;                 /* rows, repeat entries included */
};

static void fold_on_no_memory(struct fold_node *node)
{
    node->hashed = false;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct fold *fold_new(uint32_t log)
{
    struct fold *fold = calloc(1, sizeof *fold);
    if (!fold) return NULL;
    fold->log = log;
    randombytes_buf(&fold->hash_seed, sizeof fold->hash_seed);
    return fold;
}

static void repeats_free(struct fold_repeat *list)
{
    struct fold_repeat *repeat, *next;
    LL_FOREACH_SAFE(list, repeat, next) free(repeat);
}

void fold_free(struct fold *fold)
{
    if (!fold) return;
    HASH_CLEAR(hh, fold->table);
    for (struct fold_node *node = fold->newest, *older; node; node = older) {
        older = node->older;
        repeats_free(node->repeats);
        free(node);
    }
    repeats_free(fold->spare);
    free(fold);
}

uint64_t fold_number(const struct fold *fold)
{
    return fold->number;
}

uint32_t fold_log(const struct fold *fold)
{
    return fold->log;
}

size_t fold_rows(const struct fold *fold)
{
    return fold->count;
}

/* -- rows ------------------------------------------------------------------------------------------------- */

static struct fold_key key_of(enum fold_kind kind, const struct conv_id *conv, const struct user_id *user,
                              struct device_id device, uint64_t client_seq)
{
    return (struct fold_key){
        .kind = kind,
        .conv = conv ? *conv : (struct conv_id){ { 0 } },
        .user = user ? *user : (struct user_id){ { 0 } },
        .device = device,
        .client_seq = client_seq,
    };
}

/* The row of `key`, which is none of a repeat entry; made when missing. NULL: no memory. */
static struct fold_node *fold_node(struct fold *fold, const struct fold_key *key)
{
    struct fold_node *node = NULL;
    HASH_FIND(hh, fold->table, key, sizeof *key, node);
    if (node) return node;
    node = calloc(1, sizeof *node);
    if (!node) return NULL;
    node->row.key = *key;
    node->hashed = true;
    HASH_ADD(hh, fold->table, row.key, sizeof *key, node);
    if (!node->hashed) {
        free(node);
        return NULL;
    }
    node->older = fold->newest;
    fold->newest = node;
    fold->count++;
    return node;
}

/* Back to the `count` oldest rows. */
static void fold_undo(struct fold *fold, size_t count)
{
    while (fold->count > count) {
        struct fold_node *node = fold->newest;       /* just made: no repeat entries yet */
        fold->newest = node->older;
        fold->count--;
        HASH_DEL(fold->table, node);
        free(node);
    }
}

/* -- repeat entries ----------------------------------------------------------------------------------------- */

static struct fold_repeat *repeat_take(struct fold *fold)
{
    struct fold_repeat *repeat = fold->spare;
    if (repeat) LL_DELETE(fold->spare, repeat);
    return repeat ? repeat : malloc(sizeof *repeat);
}

/* All below `settled` are gone, and none below it comes. */
static void repeats_settle(struct fold *fold, struct fold_node *cursor)
{
    while (cursor->repeats && cursor->repeats->row.key.client_seq < cursor->row.u.cursor.settled) {
        struct fold_repeat *repeat = cursor->repeats;
        DL_DELETE(cursor->repeats, repeat);
        LL_PREPEND(fold->spare, repeat);
        fold->count--;
    }
}

/* `repeat`, which becomes the fold's, unless the cursor has settled it or has it. Searched from the end: a device
 * raises its numbers, and has at most as many unsettled as a conversation accepts. */
static void repeats_add(struct fold *fold, struct fold_node *cursor, struct fold_repeat *repeat)
{
    uint64_t client_seq = repeat->row.key.client_seq;
    struct fold_repeat *first = cursor->repeats, *at = first ? first->prev : NULL;
    while (at && at->row.key.client_seq > client_seq) at = at == first ? NULL : at->prev;
    if (client_seq < cursor->row.u.cursor.settled || (at && at->row.key.client_seq == client_seq)) {
        LL_PREPEND(fold->spare, repeat);
        return;
    }
    DL_APPEND_ELEM(cursor->repeats, at, repeat);
    fold->count++;
}

/* -- raising ---------------------------------------------------------------------------------------------- */

static void conv_raise_head(struct fold_row *row, const struct record *record)
{
    if (record->seq <= row->u.conv.head) return;
    row->u.conv.head = record->seq;
    row->u.conv.counted = record->counted;
    row->u.conv.last_id = record->id;
}

/* A cursor that moves takes the time of the move with it; one that does not keeps its own. */
static void member_raise_delivered(struct fold_row *row, uint64_t seq, uint64_t time_ms)
{
    if (seq <= row->u.member.delivered) return;
    row->u.member.delivered = seq;
    row->u.member.delivered_ms = time_ms;
}

static void member_raise_read(struct fold_row *row, uint64_t seq, uint64_t time_ms)
{
    if (seq <= row->u.member.read) return;
    row->u.member.read = seq;
    row->u.member.read_ms = time_ms;
}

/* -- records ---------------------------------------------------------------------------------------------- */

static const struct device_id no_device;

static int fold_head(struct fold *fold, const struct record *record)
{
    struct fold_key key = key_of(FOLD_CONV, &record->partition, NULL, no_device, 0);
    struct fold_node *conv = fold_node(fold, &key);
    if (!conv) return ERR_NOMEM;
    conv_raise_head(&conv->row, record);
    return 0;
}

/* One row for each sequence that a record deletes. */
static int fold_deleted(struct fold *fold, const struct record *record, struct bytes body)
{
    for (; body.len >= FOLD_NUMBER_BYTES; body = bytes_of(body.at + FOLD_NUMBER_BYTES, body.len - FOLD_NUMBER_BYTES)) {
        struct fold_key key = key_of(FOLD_DELETED, &record->partition, NULL, no_device, get_u64(body.at));
        struct fold_node *node = fold_node(fold, &key);
        if (!node) return ERR_NOMEM;
        node->row.u.deleted.ms = max_u64(node->row.u.deleted.ms, msg_id_ms(&record->id));
        node->row.u.deleted.log = record->log;
        node->row.u.deleted.number = record->number;
    }
    return 0;
}

/* A message, or another record that somebody sent and that is named in the same way. */
static int fold_message(struct fold *fold, const struct record *record, const struct entry *entry)
{
    const struct conv_id *at = &record->partition;
    struct fold_key keys[] = {
        key_of(FOLD_CONV, at, NULL, no_device, 0),
        key_of(FOLD_MEMBER, at, &entry->sender, no_device, 0),
        key_of(FOLD_CURSOR, at, &entry->sender, entry->device, 0),
        key_of(FOLD_DEVICE, NULL, &entry->sender, entry->device, 0),
    };
    enum { CONV, MEMBER, CURSOR, DEVICE, COUNT };
    struct fold_node *node[COUNT];
    for (int i = 0; i < COUNT; i++) {
        node[i] = fold_node(fold, &keys[i]);
        if (!node[i]) return ERR_NOMEM;
    }
    if (record->kind == FOLD_KIND_DELETE && fold_deleted(fold, record, entry->body)) return ERR_NOMEM;
    struct fold_repeat *repeat = repeat_take(fold);
    if (!repeat) return ERR_NOMEM;
    memset(&repeat->row, 0, sizeof repeat->row);
    repeat->row.key = key_of(FOLD_REPEAT, at, &entry->sender, entry->device, entry->client_seq);
    repeat->row.u.repeat.seq = record->seq;
    repeat->row.u.repeat.id = record->id;
    repeat->row.u.repeat.expiry_ms = record->expiry_ms;

    struct fold_row *conv = &node[CONV]->row, *member = &node[MEMBER]->row, *cursor = &node[CURSOR]->row;
    struct fold_row *device = &node[DEVICE]->row;
    conv_raise_head(conv, record);
    if (entry->member_count == 2) {
        conv->u.conv.is_new = true;
        memcpy(conv->u.conv.members, entry->members, sizeof entry->members);
        conv->u.conv.created_ms = msg_id_ms(&record->id);
    }
    if (record->kind == FOLD_KIND_TIMER && record->seq > conv->u.conv.timer_seq) {
        conv->u.conv.timer_seq = record->seq;
        conv->u.conv.timer_s = get_u64(entry->body.at);
    }
    /* Who only deletes or sets something has said nothing, and claims to have seen nothing. */
    if (record->kind == FOLD_KIND_MESSAGE) member->u.member.sent = max_u64(member->u.member.sent, record->seq);
    cursor->u.cursor.settled = max_u64(cursor->u.cursor.settled, entry->settled);
    if (record->flags & FOLD_SENDER_CAUGHT_UP) {
        /* The device had all before its own message, and that one it has by itself. */
        cursor->u.cursor.delivered = max_u64(cursor->u.cursor.delivered, record->seq);
        member_raise_delivered(member, record->seq, msg_id_ms(&record->id));
    }
    repeats_settle(fold, node[CURSOR]);
    repeats_add(fold, node[CURSOR], repeat);
    device->u.device.client_seq_max = max_u64(device->u.device.client_seq_max, entry->client_seq);
    return 0;
}

static int fold_marks(struct fold *fold, const struct record *record, const struct entry *entry)
{
    struct fold_key conv_key = key_of(FOLD_CONV, &record->partition, NULL, no_device, 0);
    struct fold_node *conv = fold_node(fold, &conv_key);
    struct fold_node *members[MARKS_PER_RECORD_MAX], *cursors[MARKS_PER_RECORD_MAX];
    if (!conv) return ERR_NOMEM;
    for (uint32_t i = 0; i < entry->mark_count; i++) {
        const struct mark *mark = &entry->marks[i];
        struct fold_key member_key = key_of(FOLD_MEMBER, &record->partition, &mark->user, no_device, 0);
        struct fold_key cursor_key = key_of(FOLD_CURSOR, &record->partition, &mark->user, mark->device, 0);
        members[i] = fold_node(fold, &member_key);
        cursors[i] = fold_node(fold, &cursor_key);
        if (!members[i] || !cursors[i]) return ERR_NOMEM;
    }

    for (uint32_t i = 0; i < entry->mark_count; i++) {
        const struct mark *mark = &entry->marks[i];
        uint64_t delivered = max_u64(mark->delivered, mark->read);    /* what was read had arrived */
        struct fold_row *cursor = &cursors[i]->row;
        cursor->u.cursor.delivered = max_u64(cursor->u.cursor.delivered, delivered);
        member_raise_delivered(&members[i]->row, delivered, mark->time_ms);
        member_raise_read(&members[i]->row, mark->read, mark->time_ms);
        conv->row.u.conv.marked_ms = max_u64(conv->row.u.conv.marked_ms, mark->time_ms);
    }
    return 0;
}

/* Do the numbers that the fold takes out of a body fit a row? */
static bool body_fits(const struct record *record, struct bytes body)
{
    if (record->kind == FOLD_KIND_TIMER) return body.len >= FOLD_NUMBER_BYTES && get_u64(body.at) <= FOLD_SEQ_MAX;
    for (size_t at = 0; record->kind == FOLD_KIND_DELETE && at + FOLD_NUMBER_BYTES <= body.len; at += FOLD_NUMBER_BYTES)
        if (get_u64(body.at + at) > FOLD_SEQ_MAX) return false;
    return true;
}

static bool is_sent(const struct record *record)
{
    return record->kind == FOLD_KIND_MESSAGE || record->kind == FOLD_KIND_DELETE || record->kind == FOLD_KIND_TIMER;
}

static bool fold_fits(const struct record *record, const struct entry *entry)
{
    if (record->expiry_ms > FOLD_SEQ_MAX) return false;
    if (record->seq > FOLD_SEQ_MAX || record->counted > FOLD_SEQ_MAX || record->number > FOLD_SEQ_MAX) return false;
    if (!entry) return true;
    if (entry->client_seq > FOLD_SEQ_MAX || entry->settled > FOLD_SEQ_MAX) return false;
    if (entry->mark_count > MARKS_PER_RECORD_MAX || !body_fits(record, entry->body)) return false;
    for (uint32_t i = 0; i < entry->mark_count; i++) {
        const struct mark *mark = &entry->marks[i];
        if (mark->delivered > FOLD_SEQ_MAX || mark->read > FOLD_SEQ_MAX || mark->time_ms > FOLD_SEQ_MAX) return false;
    }
    return true;
}

int fold_record(struct fold *fold, const struct record *record, const struct entry *entry)
{
    if (!fold_fits(record, entry)) return ERR_RANGE;
    size_t before = fold->count;
    int err = 0;
    if (record->kind == RECORD_KIND_MARKS) err = entry ? fold_marks(fold, record, entry) : 0;
    else if (is_sent(record) && entry && entry->sender.v[0]) err = fold_message(fold, record, entry);
    else err = fold_head(fold, record);       /* a tombstone, by its kind or because its key is gone; or no one's */
    if (err) fold_undo(fold, before);
    else fold->number = max_u64(fold->number, record->number);
    return err;
}

/* -- reading ---------------------------------------------------------------------------------------------- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int fold_compare(const void *left, const void *right)
{
    const struct fold_key *a = &(*(const struct fold_row *const *)left)->key;
    const struct fold_key *b = &(*(const struct fold_row *const *)right)->key;
    int order = compare_u64(a->kind, b->kind);
    if (!order) order = memcmp(a->conv.v, b->conv.v, sizeof a->conv.v);
    if (!order) order = strcmp(a->user.v, b->user.v);
    if (!order) order = compare_u64(a->device.v, b->device.v);
    if (!order) order = compare_u64(a->client_seq, b->client_seq);
    return order;
}

int fold_sorted(const struct fold *fold, const struct fold_row ***rows_out, size_t *count_out)
{
    const struct fold_row **rows = malloc((fold->count + 1) * sizeof *rows);
    if (!rows) return ERR_NOMEM;
    size_t count = 0;
    for (const struct fold_node *node = fold->newest; node; node = node->older) {
        const struct fold_repeat *repeat;
        rows[count++] = &node->row;
        DL_FOREACH(node->repeats, repeat) rows[count++] = &repeat->row;
    }
    qsort(rows, count, sizeof *rows, fold_compare);
    *rows_out = rows;
    *count_out = count;
    return 0;
}
