/* test_home_list.c - lists, unread, pages, search, deleting for oneself and drafts tell what the store has, no more. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>

#include "tests/unit/home_world.h"

static const struct user_id alice = { "alice" }, bob = { "bob" }, carol = { "carol" };

struct fixture {
    char dir[WORLD_DIR];
    struct home *home;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || !world_make(f->dir)) return -1;
    f->home = home_at(f->dir);
    struct account a = { .server = "ws://127.0.0.1:1", .user = alice, .device = { 5 } };
    assert_int_equal(home_account_put(f->home, &a), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    home_close(f->home);
    int rc = world_remove(f->dir);
    free(f);
    return rc;
}

static struct conv_id conv_with(struct fixture *f, const struct user_id *peer, uint64_t stored, uint64_t read)
{
    struct conv_row row = { .id = conv_id_direct(&alice, peer), .peer = *peer, .has_stored = true, .stored = stored,
                            .read = read };
    assert_int_equal(home_conv_put(f->home, &row), 0);
    return row.id;
}

static struct msg_id id_at(uint8_t time, uint8_t who)
{
    struct msg_id id = { .v = { 0, 0, 0, 0, 0, time, 0x70, who } };
    return id;
}

/* A message of `from` to or from `peer`; its id rises with `time`. */
static void say(struct fixture *f, const struct user_id *peer, const struct user_id *from, uint64_t seq, uint8_t time,
                const char *text, enum message_state state)
{
    struct buf body;
    bool is_new;
    buf_init(&body, BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str(text), &body), 0);
    struct msg_message m = { .conv = conv_id_direct(&alice, peer), .seq = seq, .kind = KIND_MESSAGE,
                             .flags = RECORD_COUNTS, .from = *from, .device = { 9 }, .client_seq = seq,
                             .id = id_at(time, (uint8_t)peer->v[0]), .body = buf_bytes(&body) };
    assert_int_equal(home_message_put(f->home, &m, state, &is_new), 0);
    buf_fini(&body);
}

struct seen {
    char text[512];               /* "peer unread last;" each, or the texts of messages */
    uint64_t seqs[16];
    size_t count;
};

static int see_summary(void *arg, const struct conv_summary *s)
{
    struct seen *seen = arg;
    struct bytes text = BYTES_NONE;
    size_t len = strlen(seen->text);
    if (s->has_last) assert_int_equal(content_text_decode(s->last.m.body, &text), 0);
    snprintf(seen->text + len, sizeof seen->text - len, "%s %u%s %.*s;", s->conv.peer.v, s->unread,
             s->marked ? "!" : "", (int)text.len, text.at ? (const char *)text.at : "");
    return 0;
}

static int see_message(void *arg, const struct message_row *row)
{
    struct seen *seen = arg;
    assert_true(seen->count < 16);
    seen->seqs[seen->count++] = row->hidden ? 1000 + row->m.seq : row->m.seq;
    return 0;
}

static void expect_list(struct fixture *f, const char *wanted)
{
    struct seen seen = { 0 };
    assert_int_equal(home_summary_each(f->home, 100, see_summary, &seen), 0);
    assert_string_equal(seen.text, wanted);
}

/* ---- lists ---- */

static void the_conversation_with_the_newest_message_comes_first(void **state)
{
    struct fixture *f = *state;
    conv_with(f, &bob, 2, 2);
    conv_with(f, &carol, 1, 1);
    say(f, &bob, &bob, 1, 10, "one", MESSAGE_SHOWN);
    say(f, &carol, &carol, 1, 20, "hello", MESSAGE_SHOWN);
    expect_list(f, "carol 0 hello;bob 0 one;");
    say(f, &bob, &bob, 2, 30, "two", MESSAGE_SHOWN);
    expect_list(f, "bob 0 two;carol 0 hello;");
    struct seen seen = { 0 };
    assert_int_equal(home_summary_each(f->home, 1, see_summary, &seen), 0);
    assert_string_equal(seen.text, "bob 0 two;");
}

static void a_conversation_without_messages_is_listed_last(void **state)
{
    struct fixture *f = *state;
    conv_with(f, &bob, 0, 0);
    conv_with(f, &carol, 1, 1);
    say(f, &carol, &carol, 1, 20, "hello", MESSAGE_SHOWN);
    expect_list(f, "carol 0 hello;bob 0 ;");
}

static void unread_are_those_above_the_cursor_and_above_what_was_said_since(void **state)
{
    struct fixture *f = *state;
    conv_with(f, &bob, 5, 1);
    for (uint8_t seq = 1; seq <= 3; seq++) say(f, &bob, &bob, seq, seq, "theirs", MESSAGE_FRESH);
    expect_list(f, "bob 2 theirs;");
    say(f, &bob, &alice, 4, 4, "mine", MESSAGE_SHOWN);
    expect_list(f, "bob 0 mine;");
    say(f, &bob, &bob, 5, 5, "more", MESSAGE_FRESH);
    expect_list(f, "bob 1 more;");
}

static void what_is_still_due_is_neither_counted_nor_the_last(void **state)
{
    struct fixture *f = *state;
    conv_with(f, &bob, 1, 0);
    say(f, &bob, &bob, 1, 1, "here", MESSAGE_FRESH);
    say(f, &bob, &bob, 3, 3, "beyond a gap", MESSAGE_FRESH);
    expect_list(f, "bob 1 here;");
}

/* A record of another kind, of alice or bob. */
static void do_kind(struct fixture *f, const struct user_id *from, uint64_t seq, uint8_t time, enum record_kind kind)
{
    static const uint8_t body[8] = { [7] = 1 };
    struct msg_message m = { .conv = conv_id_direct(&alice, &bob), .seq = seq, .kind = kind, .from = *from,
                             .device = { 9 }, .client_seq = seq, .id = id_at(time, 'b'), .body = BYTES_OF(body) };
    bool is_new;
    assert_int_equal(home_message_put(f->home, &m, MESSAGE_FRESH, &is_new), 0);
}

static void deletes_and_timers_are_neither_unread_nor_anybodys_last_message(void **state)
{
    struct fixture *f = *state;
    conv_with(f, &bob, 5, 0);
    say(f, &bob, &bob, 1, 1, "one", MESSAGE_FRESH);
    say(f, &bob, &bob, 2, 2, "two", MESSAGE_FRESH);
    do_kind(f, &bob, 3, 3, KIND_TIMER);
    do_kind(f, &alice, 4, 4, KIND_TIMER);
    do_kind(f, &alice, 5, 5, KIND_DELETE);
    expect_list(f, "bob 2 two;");
    struct seen seen = { 0 };
    struct conv_id conv = conv_id_direct(&alice, &bob);
    assert_int_equal(home_message_each_newer(f->home, &conv, &(struct msg_id){ { 0 } }, 100, see_message, &seen), 0);
    assert_int_equal(seen.count, 5);    /* but they have their places, so that nothing looks missing */
}

static void more_than_a_list_says_is_not_counted(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 2000, 0);
    bool is_new;
    assert_int_equal(home_begin(f->home), 0);
    for (uint32_t i = 1; i <= 1500; i++) {
        struct msg_message m = { .conv = conv, .seq = i, .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .from = bob,
                                 .body = bytes_of("\x92\x00\xa1x", 4) };
        put_u32(m.id.v + 8, i);
        assert_int_equal(home_message_put(f->home, &m, MESSAGE_FRESH, &is_new), 0);
    }
    assert_int_equal(home_commit(f->home), 0);
    struct seen seen = { 0 };
    assert_int_equal(home_summary_get(f->home, &conv, see_summary, &seen), 0);
    assert_non_null(strstr(seen.text, "bob 1000 "));
}

static void a_mark_stays_until_something_is_read(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 2, 1), none = conv_id_direct(&alice, &carol);
    say(f, &bob, &bob, 1, 1, "one", MESSAGE_SHOWN);
    assert_int_equal(home_conv_mark(f->home, &conv, true), 0);
    expect_list(f, "bob 0! one;");
    conv_with(f, &bob, 2, 1);    /* put again, read no further */
    expect_list(f, "bob 0! one;");
    conv_with(f, &bob, 2, 2);
    expect_list(f, "bob 0 one;");
    assert_int_equal(home_conv_mark(f->home, &none, true), ERR_NOT_FOUND);
    struct seen seen = { 0 };
    assert_int_equal(home_summary_get(f->home, &none, see_summary, &seen), ERR_NOT_FOUND);
}

/* ---- deleting for oneself ---- */

static void what_is_deleted_is_gone_and_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 2, 0);
    struct msg_id id = id_at(2, 'b'), none = id_at(99, 'x');
    struct seen seen = { 0 };
    bool more;
    say(f, &bob, &bob, 1, 1, "stays", MESSAGE_FRESH);
    say(f, &bob, &bob, 2, 2, "a secret", MESSAGE_FRESH);
    assert_int_equal(home_message_hide(f->home, &id), 0);
    say(f, &bob, &bob, 2, 2, "a secret", MESSAGE_FRESH);    /* the server sends it again */
    expect_list(f, "bob 1 stays;");
    assert_int_equal(home_message_each_last(f->home, &conv, 0, 10, see_message, &seen), 0);
    assert_int_equal(home_message_each_fresh(f->home, &conv, see_message, &seen), 0);
    assert_int_equal(seen.count, 2);    /* the other, twice */
    assert_int_equal(seen.seqs[0], 1);
    assert_int_equal(seen.seqs[1], 1);
    struct msg_id from = id_at(255, 255);
    seen.count = 0;
    assert_int_equal(home_search(f->home, "secret", NULL, &from, see_message, &seen, &more), 0);
    assert_int_equal(seen.count, 0);
    assert_int_equal(home_message_hide(f->home, &none), ERR_NOT_FOUND);
}

static void a_deleted_text_is_not_in_the_file_any_more(void **state)
{
    struct fixture *f = *state;
    struct msg_id id = id_at(1, 'b');
    char path[128];
    conv_with(f, &bob, 1, 0);
    say(f, &bob, &bob, 1, 1, "xyzzy-plugh", MESSAGE_SHOWN);
    assert_int_equal(home_message_hide(f->home, &id), 0);
    home_close(f->home);    /* the last one to close empties the WAL into the file */
    snprintf(path, sizeof path, "%s/client.db", f->dir);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static char all[1 << 20];
    size_t len = fread(all, 1, sizeof all, file);
    fclose(file);
    assert_true(len > 0 && len < sizeof all);
    assert_null(memmem(all, len, "xyzzy", 5));
    f->home = home_at(f->dir);
}

static void a_deleted_conversation_begins_anew_with_what_comes(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 3, 0);
    say(f, &bob, &bob, 1, 1, "one", MESSAGE_FRESH);
    say(f, &bob, &bob, 2, 2, "two", MESSAGE_FRESH);
    assert_int_equal(home_conv_hide(f->home, &conv), 0);
    expect_list(f, "bob 0 ;");
    say(f, &bob, &bob, 3, 3, "three", MESSAGE_FRESH);
    expect_list(f, "bob 1 three;");
}

/* ---- pages ---- */

static void pages_go_both_ways_and_leave_no_place_out(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 5, 0);
    struct msg_id id = id_at(3, 'b');
    struct seen seen = { 0 };
    for (uint8_t seq = 1; seq <= 5; seq++) say(f, &bob, &bob, seq, seq, "hi", MESSAGE_SHOWN);
    assert_int_equal(home_message_hide(f->home, &id), 0);
    assert_int_equal(home_message_each_older(f->home, &conv, NULL, 3, see_message, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.seqs[0], 5);
    assert_int_equal(seen.seqs[2], 1003);    /* hidden, and told as such */
    seen.count = 0;
    assert_int_equal(home_message_each_older(f->home, &conv, &id, 10, see_message, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.seqs[0], 2);
    seen.count = 0;
    assert_int_equal(home_message_each_newer(f->home, &conv, &id, 1, see_message, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.seqs[0], 4);
}

/* ---- search ---- */

static size_t found(struct fixture *f, const char *text, const struct conv_id *conv)
{
    struct seen seen = { 0 };
    struct msg_id from;
    bool more;
    memset(from.v, 0xff, sizeof from.v);
    assert_int_equal(home_search(f->home, text, conv, &from, see_message, &seen, &more), 0);
    assert_false(more);
    return seen.count;
}

static void search_minds_neither_case_nor_accents(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 3, 0), other = conv_with(f, &carol, 1, 0);
    say(f, &bob, &bob, 1, 1, "Over the HILLS", MESSAGE_SHOWN);
    say(f, &bob, &bob, 2, 2, "\xc3\x84rger im Caf\xc3\xa9", MESSAGE_SHOWN);             /* Ärger im Café */
    say(f, &carol, &carol, 1, 3, "\xe4\xbb\x8a\xe5\xa4\xa9 hills", MESSAGE_SHOWN);      /* 今天 hills */
    assert_int_equal(found(f, "hills", NULL), 2);
    assert_int_equal(found(f, "hills", &conv), 1);
    assert_int_equal(found(f, "hills", &other), 1);
    assert_int_equal(found(f, "arger", NULL), 1);
    assert_int_equal(found(f, "CAFE\xcc\x81", NULL), 1);    /* the accent by itself */
    assert_int_equal(found(f, "\xe5\xa4\xa9", NULL), 1);    /* 天 */
    assert_int_equal(found(f, "nowhere", NULL), 0);
    assert_int_equal(found(f, "", NULL), 0);
}

static void a_long_search_goes_on_where_the_last_slice_ended(void **state)
{
    struct fixture *f = *state;
    struct conv_id conv = conv_with(f, &bob, 10000, 0);
    struct seen seen = { 0 };
    struct msg_id from;
    bool is_new, more = true;
    unsigned slices = 0;
    assert_int_equal(home_begin(f->home), 0);
    for (uint32_t i = 1; i <= 2 * SEARCH_SLICE_ROWS + 100; i++) {
        struct msg_message m = { .conv = conv, .seq = i, .kind = KIND_MESSAGE, .from = bob,
                                 .body = bytes_of(i % SEARCH_SLICE_ROWS == 7 ? "\x92\x00\xa1z" : "\x92\x00\xa1x", 4) };
        put_u32(m.id.v + 8, i);
        assert_int_equal(home_message_put(f->home, &m, MESSAGE_SHOWN, &is_new), 0);
    }
    assert_int_equal(home_commit(f->home), 0);
    memset(from.v, 0xff, sizeof from.v);
    for (; more; slices++) assert_int_equal(home_search(f->home, "z", NULL, &from, see_message, &seen, &more), 0);
    assert_int_equal(slices, 3);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.seqs[0], 2 * SEARCH_SLICE_ROWS + 7);
    assert_int_equal(seen.seqs[2], 7);
}

/* The part of `in` that is found. */
static void expect_hit(const char *text, const char *in, const char *wanted)
{
    size_t at = 0, len = 0;
    assert_true(home_search_hit(text, bytes_of_str(in), &at, &len));
    assert_true(at + len <= strlen(in));
    assert_true(bytes_equal(bytes_of(in + at, len), bytes_of_str(wanted)));
}

static void what_is_found_is_told_in_the_bytes_of_the_text(void **state)
{
    size_t at, len;
    (void)state;
    expect_hit("hills", "Over the HILLS and far", "HILLS");
    expect_hit("cafe", "im Caf\xc3\xa9.", "Caf\xc3\xa9");                     /* Café */
    expect_hit("CAF\xc3\x89", "im Cafe\xcc\x81.", "Cafe\xcc\x81");             /* the accent by itself */
    expect_hit("s", "Ma\xc3\x9f", "\xc3\x9f");                                /* ß stands for ss */
    expect_hit("\xe5\xa4\xa9", "\xe4\xbb\x8a\xe5\xa4\xa9", "\xe5\xa4\xa9");    /* 天 of 今天 */
    assert_false(home_search_hit("hills", bytes_of_str("hill"), &at, &len));
    assert_false(home_search_hit("", bytes_of_str("hill"), &at, &len));
    assert_false(home_search_hit("x", BYTES_NONE, &at, &len));
}

/* ---- drafts ---- */

static int see_user(void *arg, const struct user_id *user)
{
    strcat(arg, user->v);
    return 0;
}

static void expect_drafts(struct fixture *f, const char *wanted)
{
    char users[64] = "";
    assert_int_equal(home_draft_each(f->home, see_user, users), 0);
    assert_string_equal(users, wanted);
}

static void a_draft_is_kept_for_each_user_until_it_is_empty(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, 2 * TEXT_BYTES_MAX);
    assert_int_equal(home_draft_put(f->home, &bob, bytes_of_str("half a thou")), 0);
    assert_int_equal(home_draft_put(f->home, &carol, bytes_of_str("dear")), 0);
    home_close(f->home);
    f->home = home_at(f->dir);
    assert_int_equal(home_draft_get(f->home, &bob, &text), 0);
    assert_true(bytes_equal(buf_bytes(&text), bytes_of_str("half a thou")));
    expect_drafts(f, "bobcarol");
    assert_int_equal(home_draft_put(f->home, &bob, BYTES_NONE), 0);
    expect_drafts(f, "carol");
    assert_int_equal(home_draft_get(f->home, &bob, &text), 0);
    assert_int_equal(text.len, 0);
    buf_fini(&text);
}

/* ---- the disk, and older stores ---- */

static void a_disk_that_takes_no_more_is_told_as_full_and_goes_on_with_room(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none = { 0 };
    char *large = calloc(1, BODY_BYTES_MAX);
    assert_non_null(large);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int err = home_draft_put(f->home, &bob, bytes_of(large, BODY_BYTES_MAX));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(err_name(err), "NO_SPACE");
    assert_int_equal(home_draft_put(f->home, &bob, bytes_of(large, BODY_BYTES_MAX)), 0);
    free(large);
}

static void a_store_of_the_first_version_is_brought_up_with_all_it_has(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;
    char path[128];
    conv_with(f, &bob, 1, 0);
    say(f, &bob, &bob, 1, 1, "old", MESSAGE_FRESH);
    home_close(f->home);
    snprintf(path, sizeof path, "%s/client.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP INDEX messages_expiry; DROP INDEX messages_there;"
                                      "ALTER TABLE messages DROP COLUMN hidden; ALTER TABLE messages DROP COLUMN expiry;"
                                      "ALTER TABLE conversations DROP COLUMN marked;"
                                      "ALTER TABLE conversations DROP COLUMN timer;"
                                      "ALTER TABLE conversations DROP COLUMN timer_seq;"
                                      "ALTER TABLE conversations DROP COLUMN timer_by;"
                                      "ALTER TABLE outbox DROP COLUMN kind; ALTER TABLE account DROP COLUMN clock_off;"
                                      "DROP TABLE drafts; DROP TABLE contacts; PRAGMA user_version = 1",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    f->home = home_at(f->dir);
    expect_list(f, "bob 1 old;");
    assert_int_equal(found(f, "OLD", NULL), 1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(the_conversation_with_the_newest_message_comes_first),
        CLAIM(a_conversation_without_messages_is_listed_last),
        CLAIM(unread_are_those_above_the_cursor_and_above_what_was_said_since),
        CLAIM(what_is_still_due_is_neither_counted_nor_the_last),
        CLAIM(deletes_and_timers_are_neither_unread_nor_anybodys_last_message),
        CLAIM(more_than_a_list_says_is_not_counted),
        CLAIM(a_mark_stays_until_something_is_read),
        CLAIM(what_is_deleted_is_gone_and_does_not_come_back),
        CLAIM(a_deleted_text_is_not_in_the_file_any_more),
        CLAIM(a_deleted_conversation_begins_anew_with_what_comes),
        CLAIM(pages_go_both_ways_and_leave_no_place_out),
        CLAIM(search_minds_neither_case_nor_accents),
        CLAIM(what_is_found_is_told_in_the_bytes_of_the_text),
        CLAIM(a_long_search_goes_on_where_the_last_slice_ended),
        CLAIM(a_draft_is_kept_for_each_user_until_it_is_empty),
        CLAIM(a_disk_that_takes_no_more_is_told_as_full_and_goes_on_with_room),
        CLAIM(a_store_of_the_first_version_is_brought_up_with_all_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
