/* What is deleted for everyone, what disappears, and what grows too old: told to every device in its place, and given to
 * nobody from then on. */
#include "tests/flow/flow.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)
#define START_MS UINT64_C(1700000000000)

static struct clock_hand hand;

static struct rig *rig_of_two(void)
{
    clock_hand_init(&hand, START_MS);
    /* A session outlives every turn of the clock. */
    struct rig *rig = rig_new(&(struct rig_options){ .shards = 2, .hand = &hand, .heartbeat_ms = 100000 * DAY_MS });
    rig_add(rig, "alice", 2);
    rig_add(rig, "bob", 2);
    return rig;
}

static const struct msg *ask_delete(struct talker *t, const char *with, uint64_t client_seq, uint64_t seq)
{
    struct buf seqs;
    buf_init(&seqs, 100);
    seqs_add(&seqs, seq);
    struct msg m = { .type = MSG_DELETE, .has_ref = true, .ref = talker_ref(t) };
    m.u.remove = (struct msg_remove){ .to = { .is_user = true, .user = rig_user(with) }, .client_seq = client_seq,
                                      .settled = 1, .seqs = buf_bytes(&seqs) };
    talker_send(t, &m);
    buf_fini(&seqs);
    return talker_answer(t, m.ref);
}

static const struct msg *ask_timer(struct talker *t, const char *with, uint64_t client_seq, uint64_t expire_s)
{
    struct msg m = { .type = MSG_TIMER, .has_ref = true, .ref = talker_ref(t) };
    m.u.timer = (struct msg_timer){ .to = { .is_user = true, .user = rig_user(with) }, .client_seq = client_seq,
                                    .settled = 1, .expire_s = expire_s };
    talker_send(t, &m);
    return talker_answer(t, m.ref);
}

/* What HISTORY gives of the record `seq`: kind 2 when it is gone, and the page says so. */
static struct msg_message look(struct talker *t, const char *with, uint64_t seq)
{
    const struct msg *page = ask_history(t, (struct msg_history){ .to = { .is_user = true, .user = rig_user(with) },
                                                                  .has_after = true, .after = seq - 1, .limit = 1 });
    struct msg_message record;
    struct gone gone;
    assert_int_equal(page->type, MSG_PAGE);
    struct bytes rest = page->u.page.records, ranges = page->u.page.gone;
    if (page_next(&rest, &record) == 0 && record.seq == seq) return record;
    assert_int_equal(gone_next(&ranges, &gone), 0);
    assert_true(gone.from == seq && gone.to >= seq);
    return (struct msg_message){ .seq = seq, .kind = KIND_TOMBSTONE };
}

static void assert_gone(struct talker *t, const char *with, uint64_t seq)
{
    struct msg_message record = look(t, with, seq);
    assert_int_equal(record.kind, KIND_TOMBSTONE);
    assert_int_equal(record.body.len, 0);
    struct msg m = { .type = MSG_INFO, .has_ref = true, .ref = talker_ref(t) };
    m.u.info = (struct msg_info){ .to = { .is_user = true, .user = rig_user(with) }, .seq = seq };
    talker_send(t, &m);
    assert_error(talker_answer(t, m.ref), ERR_NOT_FOUND);
}

static void assert_there(struct talker *t, const char *with, uint64_t seq)
{
    struct msg_message record = look(t, with, seq);
    assert_int_equal(record.kind, KIND_MESSAGE);
    assert_true(record.body.len > 0);
}

static void expect_delete(struct talker *t, uint64_t seq, uint64_t deleted)
{
    const struct msg *m = talker_expect(t, MSG_MESSAGE);
    struct bytes rest = m->u.message.body;
    uint64_t number;
    assert_int_equal(m->u.message.kind, KIND_DELETE);
    assert_int_equal(m->u.message.seq, seq);
    assert_int_equal(m->u.message.flags & RECORD_COUNTS, 0);
    assert_int_equal(body_next(&rest, &number), 0);
    assert_int_equal(number, deleted);
    assert_int_equal(body_next(&rest, &number), ERR_END);
}

static void a_deleted_message_is_given_to_nobody_and_every_device_hears_of_it(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    send_text(a, "bob", 1, "secret");
    send_text(a, "bob", 2, "kept");
    expect_text(b, "secret");
    expect_text(b, "kept");
    struct conv_id conv = conv_of("alice", "bob");
    talker_cursor(b, MSG_DELIVERED, &conv, 2);
    const struct msg *m = ask_delete(a, "bob", 3, 1);
    assert_int_equal(m->type, MSG_ACCEPTED);
    assert_int_equal(m->u.accepted.seq, 3);
    expect_delete(b, 3, 1);
    assert_gone(a, "bob", 1);
    assert_gone(b, "alice", 1);
    assert_there(b, "alice", 2);
    /* devices that come later: alice's other one, and bob's */
    struct talker *a2 = rig_talk(rig, "alice", 1), *b2 = rig_talk(rig, "bob", 1);
    m = talker_expect(b2, MSG_TOMBSTONE);
    assert_true(conv_id_equal(&m->u.tombstone.conv, &conv));
    assert_int_equal(m->u.tombstone.gone.from, 1);
    assert_int_equal(m->u.tombstone.gone.to, 1);
    expect_text(b2, "kept");
    expect_delete(b2, 3, 1);
    assert_gone(a2, "bob", 1);
    rig_down(rig);
    rig_up(rig);
    struct talker *again = rig_talk(rig, "bob", 0);
    assert_gone(again, "alice", 1);
    assert_there(again, "alice", 2);
    talker_close(again);
    rig_kill(rig);                     /* and what facts may not have known */
    again = rig_talk(rig, "alice", 0);
    assert_gone(again, "bob", 1);
    talker_close(again);
    talker_close(a);
    talker_close(b);
    talker_close(a2);
    talker_close(b2);
    rig_free(rig);
}

static void a_delete_is_repeated_with_the_same_answer(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    send_text(a, "bob", 1, "x");
    struct msg_accepted first = ask_delete(a, "bob", 2, 1)->u.accepted;
    struct msg_accepted second = ask_delete(a, "bob", 2, 1)->u.accepted;
    assert_int_equal(first.seq, 2);
    assert_int_equal(second.seq, 2);
    assert_int_equal(msg_id_compare(&first.id, &second.id), 0);
    rig_kill(rig);
    talker_close(a);
    a = rig_talk(rig, "alice", 0);
    assert_int_equal(ask_delete(a, "bob", 2, 1)->u.accepted.seq, 2);
    /* with another number it is another request, and there is nothing left */
    assert_error(ask_delete(a, "bob", 3, 1), ERR_NOT_FOUND);
    assert_int_equal(send_text(a, "bob", 4, "y").seq, 3);
    talker_close(a);
    rig_free(rig);
}

static void who_may_not_delete_is_told_and_nothing_changes(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    send_text(a, "bob", 1, "old");
    assert_error(ask_delete(b, "alice", 1, 1), ERR_DENIED);            /* not his */
    assert_error(ask_delete(a, "bob", 2, 2), ERR_NOT_FOUND);           /* no such message */
    assert_int_equal(ask_delete(a, "bob", 3, 1)->type, MSG_ACCEPTED);
    assert_error(ask_delete(a, "bob", 4, 2), ERR_NOT_FOUND);           /* that is no message */
    send_text(a, "bob", 5, "older");
    rig_turn_clock(rig, 2 * DAY_MS + 1000);
    assert_error(ask_delete(a, "bob", 6, 3), ERR_DENIED);              /* too late */
    assert_there(b, "alice", 3);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void messages_disappear_by_the_timer_that_held_when_they_came(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *b = rig_talk(rig, "bob", 0);
    send_text(a, "bob", 1, "stays");
    const struct msg *m = ask_timer(b, "alice", 1, 60);
    assert_int_equal(m->type, MSG_ACCEPTED);
    assert_int_equal(m->u.accepted.expiry_ms, 0);
    struct msg_accepted one = send_text(a, "bob", 2, "goes");
    assert_true(one.expiry_ms == msg_id_ms(&one.id) + 60000);
    expect_text(b, "stays");
    m = talker_expect(b, MSG_MESSAGE);
    assert_text(m, "goes");
    assert_true(m->u.message.expiry_ms == one.expiry_ms);
    struct bytes rest;
    uint64_t seconds;
    m = talker_expect(a, MSG_MESSAGE);
    assert_int_equal(m->u.message.kind, KIND_TIMER);
    rest = m->u.message.body;
    assert_int_equal(body_next(&rest, &seconds), 0);
    assert_int_equal(seconds, 60);
    assert_there(b, "alice", 3);
    rig_turn_clock(rig, 61000);
    assert_gone(b, "alice", 3);
    assert_there(b, "alice", 1);
    /* it holds after a restart too, and a send may ask for less, never for more */
    rig_kill(rig);
    talker_close(a);
    a = rig_talk(rig, "alice", 0);
    struct msg send = { .type = MSG_SEND, .has_ref = true, .ref = talker_ref(a) };
    send.u.send = (struct msg_send){ .to = { .is_user = true, .user = rig_user("bob") }, .client_seq = 3, .settled = 1,
                                     .body = bytes_of("\x92\x00\xa1x", 4), .expire_s = 3600 };
    talker_send(a, &send);
    one = talker_answer(a, send.ref)->u.accepted;
    assert_true(one.expiry_ms == msg_id_ms(&one.id) + 60000);
    send.ref = talker_ref(a);
    talker_send(a, &send);             /* the repeat tells the same */
    assert_true(talker_answer(a, send.ref)->u.accepted.expiry_ms == one.expiry_ms);
    send.ref = talker_ref(a);
    send.u.send.client_seq = 4;
    send.u.send.expire_s = 5;
    talker_send(a, &send);
    one = talker_answer(a, send.ref)->u.accepted;
    assert_true(one.expiry_ms == msg_id_ms(&one.id) + 5000);
    assert_int_equal(ask_timer(a, "bob", 5, 0)->type, MSG_ACCEPTED);
    assert_int_equal(send_text(a, "bob", 6, "stays again").expiry_ms, 0);
    talker_close(a);
    talker_close(b);
    rig_free(rig);
}

static void what_is_older_than_the_setting_is_given_to_nobody(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    rig_config(rig)->retain_days = 10;
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    send_text(a, "bob", 1, "old");
    rig_turn_clock(rig, 6 * DAY_MS);
    send_text(a, "bob", 2, "young");
    assert_there(a, "bob", 1);
    rig_turn_clock(rig, 5 * DAY_MS);
    assert_gone(a, "bob", 1);
    assert_there(a, "bob", 2);
    talker_close(a);
    rig_free(rig);
}

static void what_every_device_has_goes_where_that_is_wanted(void **state)
{
    (void)state;
    struct rig *rig = rig_of_two();
    struct conv_id conv = conv_of("alice", "bob");
    rig_config(rig)->drop_delivered = 1;
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0), *a2 = rig_talk(rig, "alice", 1);
    struct talker *b = rig_talk(rig, "bob", 0), *b2 = rig_talk(rig, "bob", 1);
    send_text(a, "bob", 1, "x");
    talker_cursor(b, MSG_DELIVERED, &conv, 1);
    talker_cursor(a2, MSG_DELIVERED, &conv, 1);
    talker_settle(b);
    talker_settle(a2);
    rig_down(rig);                     /* facts know it */
    rig_up(rig);
    talker_close(b2);
    b2 = rig_talk(rig, "bob", 1);
    assert_there(b2, "alice", 1);      /* one device has not acknowledged it */
    talker_cursor(b2, MSG_DELIVERED, &conv, 1);
    talker_settle(b2);
    rig_down(rig);
    rig_up(rig);
    talker_close(b2);
    b2 = rig_talk(rig, "bob", 1);
    assert_gone(b2, "alice", 1);
    talker_close(a);
    talker_close(a2);
    talker_close(b);
    talker_close(b2);
    rig_free(rig);
}

static int add_size(void *arg, const char *name)
{
    struct rig *rig = ((void **)arg)[0];
    uint64_t *bytes = ((void **)arg)[1], *sorted = ((void **)arg)[2];
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    fs_path(folder, rig_folder(rig), "log");
    fs_path(path, folder, name);
    *bytes += disk_file_size(rig_disk(rig), path);
    *sorted += strncmp(name, "sorted-", 7) == 0;
    return 0;
}

static uint64_t log_bytes(struct rig *rig, uint64_t *sorted_out)
{
    uint64_t bytes = 0;
    void *arg[] = { rig, &bytes, sorted_out };
    char path[FS_PATH_MAX];
    const struct fsio *fs = disk_fs(rig_disk(rig));
    *sorted_out = 0;
    fs_path(path, rig_folder(rig), "log");
    assert_int_equal(fs->list(fs->self, path, add_size, arg), 0);
    return bytes;
}

static uint64_t rows_of_deleted(struct rig *rig)
{
    char path[FS_PATH_MAX];
    struct facts *facts;
    struct deleted_row rows[4];
    size_t count;
    fs_path(path, rig_folder(rig), "facts.db");
    assert_int_equal(facts_open(disk_fs(rig_disk(rig)), path, false, &facts), 0);
    assert_int_equal(facts_deleted_oldest(facts, &(struct deleted_row){ .ms = 0 }, 4, rows, &count), 0);
    facts_close(facts);
    return count;
}

/* Nobody says anything any more: no segment is ever full. */
static void what_was_deleted_leaves_the_disk_of_a_quiet_server(void **state)
{
    (void)state;
    enum { BODY = 3000, HOUR_MS = 3600 * 1000 };
    char body[BODY + 1];
    memset(body, 'x', BODY);
    body[BODY] = '\0';
    struct rig *rig = rig_of_two();
    rig_up(rig);
    struct talker *a = rig_talk(rig, "alice", 0);
    uint64_t sorted, seq = send_text(a, "bob", 1, body).seq;
    assert_true(log_bytes(rig, &sorted) > BODY);
    assert_int_equal(ask_delete(a, "bob", 2, seq)->type, MSG_ACCEPTED);
    for (int hour = 0; hour < 23; hour++) {
        rig_turn_clock(rig, HOUR_MS);
        assert_gone(a, "bob", seq);
    }
    assert_true(log_bytes(rig, &sorted) > BODY);
    assert_int_equal(sorted, 0);
    rig_turn_clock(rig, HOUR_MS);
    while (!sorted) {                                 /* closed within a minute, then sorted */
        rig_turn_clock(rig, 1000);
        assert_gone(a, "bob", seq);
        assert_true(log_bytes(rig, &sorted) > 0);
    }
    while (log_bytes(rig, &sorted) > BODY) assert_gone(a, "bob", seq);    /* the file it replaces goes after it */
    /* With the message goes the row that told of it: within an hour. */
    rig_turn_clock(rig, HOUR_MS);
    while (rows_of_deleted(rig) > 0) rig_turn_clock(rig, 1000);
    assert_int_equal(send_text(a, "bob", 3, "still here").seq, seq + 2);
    assert_there(a, "bob", seq + 2);
    talker_close(a);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_message_is_given_to_nobody_and_every_device_hears_of_it),
        cmocka_unit_test(a_delete_is_repeated_with_the_same_answer),
        cmocka_unit_test(who_may_not_delete_is_told_and_nothing_changes),
        cmocka_unit_test(messages_disappear_by_the_timer_that_held_when_they_came),
        cmocka_unit_test(what_is_older_than_the_setting_is_given_to_nobody),
        cmocka_unit_test(what_every_device_has_goes_where_that_is_wanted),
        cmocka_unit_test(what_was_deleted_leaves_the_disk_of_a_quiet_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
