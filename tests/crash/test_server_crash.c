/* A whole server, its power cut at every write and sync.
 *
 * One story is recorded over a disk in memory: two people send, acknowledge and read, some sends are repeated, folds
 * are flushed, the server stops and starts again with another number of shards. Each ACCEPTED and each RECEIPT is noted
 * together with how many operations the disk had seen when it arrived. Then, for operations k of that run (each one, or
 * a stride of them), the disk as it was after k loses power in each of disk.h's ways, a server starts on what is left,
 * and every message whose ACCEPTED had been heard by then must be there: once, in order, with its id. The next send of
 * each device, repeated with its number, gets its first id or becomes the next message; never both. */
#include <stdlib.h>

#include "tests/flow/flow.h"
#include "tests/harness/chance.h"

enum {
    MESSAGES = 14,
    IMAGES_MAX = 600,                 /* operations cut in one run; with a longer story a stride of them */
    MODES = 4,
};

struct told { uint64_t op; struct msg_id id; uint64_t seq; char text[24]; };

struct record_of_run {
    struct told accepted[MESSAGES];
    uint32_t count;
    uint64_t first_op, end_op;
    uint64_t read_op, read_seq;       /* bob's READ was shown to alice as durable */
};

static uint64_t ops_now(struct rig *rig)
{
    return disk_journal_ops(rig_disk(rig));
}

static void tell(struct rig *rig, struct talker *a, struct record_of_run *run, struct talker *b)
{
    struct told *t = &run->accepted[run->count];
    uint64_t number = run->count + 1;
    snprintf(t->text, sizeof t->text, "message %u", (unsigned)number);
    struct msg_accepted accepted = send_text(a, "bob", number, t->text);
    t->op = ops_now(rig);             /* heard: everything it needs is among the operations so far */
    t->id = accepted.id;
    t->seq = accepted.seq;
    assert_int_equal(t->seq, number);
    run->count++;
    const struct msg *m = talker_expect(b, MSG_MESSAGE);
    assert_text(m, t->text);
    talker_cursor(b, number % 3 == 0 ? MSG_READ : MSG_DELIVERED, &accepted.conv, number);
    const struct msg *r;
    do r = talker_expect(a, MSG_RECEIPT);
    while (r->u.receipt.delivered < number);
    if (r->u.receipt.read > run->read_seq) {
        run->read_seq = r->u.receipt.read;
        run->read_op = ops_now(rig);
    }
}

static void tell_story(struct rig *rig, struct record_of_run *run)
{
    run->first_op = ops_now(rig);
    for (uint16_t shards = 2; run->count < MESSAGES; shards = shards == 2 ? 1 : 3) {
        rig_set_shards(rig, shards);
        rig_up(rig);
        struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
        talker_expect(b, MSG_SYNCED);
        for (int i = 0; i < 5 && run->count < MESSAGES; i++) tell(rig, a, run, b);
        talker_close(a);
        talker_close(b);
        rig_down(rig);                /* folds flushed, SQLite checkpointed: operations to be cut in, too */
    }
    run->end_op = ops_now(rig);
}

/* What must be there at operation k, and what may be. */
static void check_image(const struct record_of_run *run, const struct rig_device *alice, const struct rig_device *bob,
                        struct disk *image, uint64_t k)
{
    uint32_t must = 0;
    while (must < run->count && run->accepted[must].op <= k) must++;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = (uint16_t)(1 + k % 3), .disk = image });
    rig_up(rig);
    struct talker *a = talker_open(rig_port(rig), &alice->user, alice->device, alice->token);
    struct msg h = { .type = MSG_HISTORY, .has_ref = true, .ref = talker_ref(a) };
    h.u.history.to.is_user = true;
    h.u.history.to.user = bob->user;
    h.u.history.limit = PAGE_RECORDS_MAX;
    talker_send(a, &h);
    const struct msg *m = talker_answer(a, h.ref);
    uint32_t there = 0;
    struct msg_id last = { { 0 } };
    if (m->type == MSG_PAGE) {
        struct bytes rest = m->u.page.records;
        struct msg_message record;
        while (page_next(&rest, &record) == 0) {
            assert_true(there < run->count);
            assert_int_equal(record.seq, there + 1);
            struct bytes text;
            assert_int_equal(content_text_decode(record.body, &text), 0);
            assert_true(bytes_equal(text, bytes_of_str(run->accepted[there].text)));
            if (there < must) assert_int_equal(msg_id_compare(&record.id, &run->accepted[there].id), 0);
            last = record.id;
            there++;
        }
    } else {
        assert_error(m, ERR_NOT_FOUND);              /* killed before the first message */
    }
    assert_in_range(there, must, must + 1);          /* one send is under way at a time */
    if (must > 0) {
        /* The receipt that was shown is never taken back. */
        struct msg info = { .type = MSG_INFO, .has_ref = true, .ref = talker_ref(a) };
        info.u.info.to.conv = conv_id_direct(&alice->user, &bob->user);
        info.u.info.seq = run->read_seq && run->read_op <= k ? run->read_seq : 1;
        talker_send(a, &info);
        m = talker_answer(a, info.ref);
        assert_int_equal(m->type, MSG_INFO_ANSWER);
        struct bytes rest = m->u.info_answer.members;
        struct member_state state;
        assert_int_equal(members_next(&rest, &state), 0);
        if (run->read_seq && run->read_op <= k) assert_true(state.read_ms > 0 && state.delivered_ms > 0);
    }
    /* A device that heard nothing repeats: what is there gets its first id, what is not becomes the next message. */
    if (there > 0) {
        struct msg_accepted again = send_text(a, "bob", there, run->accepted[there - 1].text);
        assert_int_equal(again.seq, there);
        assert_int_equal(msg_id_compare(&again.id, &last), 0);
    }
    if (there < run->count) {
        assert_int_equal(send_text(a, "bob", there + 1, run->accepted[there].text).seq, there + 1);
    }
    talker_close(a);
    rig_free(rig);
}

static void every_accepted_message_is_there_once_wherever_the_power_is_cut(void **state)
{
    (void)state;
    static struct record_of_run run;
    uint64_t seed = run_seed(), images = IMAGES_MAX;
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .seed = seed });
    disk_journal_start(rig_disk(rig));
    rig_add(rig, "alice", 1);
    rig_add(rig, "bob", 1);
    struct rig_device alice = *rig_device(rig, "alice", 0), bob = *rig_device(rig, "bob", 0);
    tell_story(rig, &run);
    assert_int_equal(run.count, MESSAGES);
    assert_true(run.read_seq > 0);

    struct disk *shadow = disk_shadow(rig_disk(rig));
    uint64_t stride = (run.end_op - run.first_op) / images + 1, done = 0;
    for (uint64_t k = run.first_op + seed % stride; k <= run.end_op; k += stride, done++) {
        disk_shadow_to(shadow, rig_disk(rig), k);
        for (int mode = 0; mode < MODES; mode++) {
            check_image(&run, &alice, &bob, disk_crash(shadow, (enum disk_crash)mode, seed + k), k);
        }
    }
    print_message("%llu operations, %llu of them cut in %d ways\n", (unsigned long long)(run.end_op - run.first_op),
                  (unsigned long long)done, MODES);
    disk_free(shadow);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_accepted_message_is_there_once_wherever_the_power_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
