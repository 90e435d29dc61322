/* test_entry.c - the plain inside of a record: one encoding for each entry, and no byte that means nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "storage/entry.h"
#include "tests/harness/chance.h"
#include "tests/harness/logrig.h"

enum { MESSAGE = 1 };

static void encode(uint8_t kind, const struct entry *entry, struct buf *to)
{
    buf_clear(to);
    entry_encode(kind, entry, to);
    assert_int_equal(to->err, 0);
    assert_int_equal(to->len, entry_bytes(kind, entry));
}

/* Some of the fields, each as `pick` has a bit set. */
static struct entry entry_of(unsigned pick)
{
    struct entry entry = { .sender = { "alice" }, .device = { 7 }, .client_seq = 8, .settled = 9 };
    if (pick & 1)
        entry.group_version = 10;
    if (pick & 2) {
        entry.member_count = 2;
        entry.members[0] = (struct user_id){ { "alice" } };
        entry.members[1] = (struct user_id){ { "bob" } };
    }
    if (pick & 4)
        entry.list_versions = bytes_of_str("versions");
    if (pick & 8)
        entry.media = bytes_of_str("m");
    if (pick & 16)
        entry.wake = bytes_of_str("wake them");
    if (pick & 32)
        entry.body = bytes_of_str("a body");
    if (pick & 64)
        entry.envelopes = bytes_of_str("for each device one");
    return entry;
}

static void any_choice_of_fields_comes_back(void **state)
{
    struct buf to;
    buf_init(&to, RECORD_BYTES_MAX);
    for (unsigned pick = 0; pick < 128; pick++) {
        struct entry in = entry_of(pick), out;
        encode(MESSAGE, &in, &to);
        assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), 0);
        assert_true(user_id_equal(&in.sender, &out.sender));
        assert_int_equal(out.device.v, 7);
        assert_int_equal(out.client_seq, 8);
        assert_int_equal(out.settled, 9);
        assert_int_equal(out.group_version, in.group_version);
        assert_int_equal(out.member_count, in.member_count);
        assert_memory_equal(out.members, in.members, sizeof in.members);
        assert_true(bytes_equal(out.list_versions, in.list_versions) && bytes_equal(out.media, in.media));
        assert_true(bytes_equal(out.wake, in.wake) && bytes_equal(out.body, in.body));
        assert_true(bytes_equal(out.envelopes, in.envelopes));
    }
    buf_fini(&to);
}

static void marks_come_back_as_many_as_fit(void **state)
{
    static struct mark marks[MARKS_PER_RECORD_MAX];
    static struct entry_room room;
    for (uint32_t i = 0; i < MARKS_PER_RECORD_MAX; i++) {
        marks[i] = (struct mark){ .device = { i + 1 }, .delivered = 3 * i, .read = i, .time_ms = 1000 + i };
        memset(marks[i].user.v, 'a' + (int)(i % 26), 2 + i % 31);
    }
    struct buf to;
    buf_init(&to, RECORD_BYTES_MAX);
    for (uint32_t count = 0; count <= MARKS_PER_RECORD_MAX; count += 64) {
        struct entry in = { .marks = marks, .mark_count = count }, out;
        encode(RECORD_KIND_MARKS, &in, &to);
        assert_int_equal(entry_decode(RECORD_KIND_MARKS, buf_bytes(&to), &room, &out), 0);
        assert_int_equal(out.mark_count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(user_id_equal(&out.marks[i].user, &marks[i].user));
            assert_int_equal(out.marks[i].device.v, marks[i].device.v);
            assert_int_equal(out.marks[i].delivered, marks[i].delivered);
            assert_int_equal(out.marks[i].read, marks[i].read);
            assert_int_equal(out.marks[i].time_ms, marks[i].time_ms);
        }
    }
    assert_true(to.len + RECORD_HEADER_BYTES + RECORD_TAG_BYTES <= RECORD_BYTES_MAX);
    buf_fini(&to);
}

static void every_other_length_is_refused(void **state)
{
    static struct entry_room room;
    struct mark mark = { .user = { "bob" }, .device = { 1 } };
    struct buf to;
    buf_init(&to, RECORD_BYTES_MAX);
    for (int kind = MESSAGE; kind <= RECORD_KIND_MARKS; kind += RECORD_KIND_MARKS - MESSAGE) {
        struct entry in = entry_of(127), out;
        if (kind == RECORD_KIND_MARKS)
            in = (struct entry){ .marks = &mark, .mark_count = 1 };
        encode((uint8_t)kind, &in, &to);
        for (size_t len = 0; len < to.len; len++) {
            /* On the heap, so that a sanitizer sees a read past the end. */
            uint8_t *copy = malloc(len + 1);
            memcpy(copy, to.at, len);
            uint8_t *tight = realloc(copy, len ? len : 1);
            assert_int_equal(entry_decode((uint8_t)kind, bytes_of(tight, len), &room, &out), ERR_CORRUPT);
            free(tight);
        }
        buf_put_u8(&to, 0);
        assert_int_equal(entry_decode((uint8_t)kind, buf_bytes(&to), &room, &out), ERR_CORRUPT);
    }
    buf_fini(&to);
}

static void unknown_formats_and_fields_are_newer(void **state)
{
    struct buf to;
    struct entry in = entry_of(0), out;
    buf_init(&to, RECORD_BYTES_MAX);
    encode(MESSAGE, &in, &to);
    to.at[0] = ENTRY_FORMAT + 1;
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_NEWER);
    to.at[0] = 0;
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_CORRUPT);
    to.at[0] = ENTRY_FORMAT;
    to.at[1] |= 0x80;
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_NEWER);
    buf_fini(&to);
}

static void names_that_are_none_are_corrupt(void **state)
{
    struct buf to;
    struct entry in = entry_of(2), out;
    buf_init(&to, RECORD_BYTES_MAX);
    encode(MESSAGE, &in, &to);
    to.at[4] = 'A';                               /* sender: length at 3, letters behind */
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_CORRUPT);
    encode(MESSAGE, &in, &to);
    memset(to.at + to.len - 3, '/', 3);           /* the second member, "bob" */
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_CORRUPT);
    buf_fini(&to);
    /* Nobody as sender is fine; nobody as member or marker is not. */
    struct entry nobody = { .device = { 1 } };
    buf_init(&to, RECORD_BYTES_MAX);
    encode(MESSAGE, &nobody, &to);
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), 0);
    nobody.member_count = 2;
    encode(MESSAGE, &nobody, &to);
    assert_int_equal(entry_decode(MESSAGE, buf_bytes(&to), NULL, &out), ERR_CORRUPT);
    buf_fini(&to);
}

/* Whatever decodes encodes to the same bytes: no two encodings of one entry. */
static void random_damage_is_refused_or_means_something_else(void **state)
{
    uint64_t random = run_seed();
    static struct entry_room room;
    struct buf to, again;
    buf_init(&to, RECORD_BYTES_MAX);
    buf_init(&again, RECORD_BYTES_MAX);
    for (int i = 0; i < 20000; i++) {
        struct entry in = entry_of((unsigned)chance(&random) & 127), out;
        encode(MESSAGE, &in, &to);
        for (uint64_t n = chance_below(&random, 3); n > 0; n--)
            to.at[chance_below(&random, to.len)] = (uint8_t)chance(&random);
        if (entry_decode(MESSAGE, buf_bytes(&to), &room, &out))
            continue;
        encode(MESSAGE, &out, &again);
        assert_true(bytes_equal(buf_bytes(&to), buf_bytes(&again)));
    }
    buf_fini(&to);
    buf_fini(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_choice_of_fields_comes_back),
        cmocka_unit_test(marks_come_back_as_many_as_fit),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(unknown_formats_and_fields_are_newer),
        cmocka_unit_test(names_that_are_none_are_corrupt),
        cmocka_unit_test(random_damage_is_refused_or_means_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
