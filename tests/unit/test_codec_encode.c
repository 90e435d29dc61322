/* test_codec_encode.c - what we write is what docs/protocol.md promises, byte for byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/samples.h"

static void every_message_becomes_the_bytes_another_encoder_made(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t len;
        uint8_t *want = bytes_of_hex(samples[i].hex, &len);
        struct msg m = samples[i].make();
        struct buf b;
        buf_init(&b, FRAME_BYTES_MAX);
        assert_int_equal(msg_encode(&m, &b), 0);
        if (!bytes_equal(buf_bytes(&b), bytes_of(want, len))) fail_msg("sample %zu, a %s", i, samples[i].type);
        buf_fini(&b);
        free(want);
    }
}

static void every_type_of_the_list_has_a_sample(void **state)
{
    (void)state;
    static const char *const names[] = {
#define NAME(name, code, member, direction) #name,
        MSG_LIST(NAME)
#undef NAME
    };
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        size_t found = 0;
        for (size_t i = 0; i < SAMPLES; i++) found += strcmp(samples[i].type, names[n]) == 0;
        if (found == 0) fail_msg("no sample of %s", names[n]);
    }
}

static void a_frame_is_appended_and_a_full_buffer_refuses(void **state)
{
    (void)state;
    struct msg m = make_send();
    struct buf b;
    buf_init(&b, 100);
    buf_put(&b, "head", 4);
    assert_int_equal(msg_encode(&m, &b), 0);
    size_t len = b.len - 4;
    assert_memory_equal(b.at, "head\x96\x02", 6);
    buf_fini(&b);
    for (size_t max = 0; max < len; max++) {
        buf_init(&b, max);
        assert_int_equal(msg_encode(&m, &b), ERR_TOO_BIG);
        assert_true(b.len <= max);
        buf_fini(&b);
    }
    buf_init(&b, len);
    assert_int_equal(msg_encode(&m, &b), 0);
    buf_fini(&b);
}

static void nil_fields_at_the_end_of_send_are_left_out(void **state)
{
    (void)state;
    struct msg m = make_send();
    struct buf b;
    buf_init(&b, 1000);
    m.u.send.group_version = 1;
    assert_int_equal(msg_encode(&m, &b), 0);
    assert_int_equal(b.at[0], 0x90 | 7);
    assert_int_equal(b.at[b.len - 1], 1);
    buf_clear(&b);
    m.u.send.group_version = 0;
    m.u.send.expire_s = 60;
    assert_int_equal(msg_encode(&m, &b), 0);
    assert_int_equal(b.at[0], 0x90 | 12);
    static const uint8_t tail[] = { 0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 60 };
    assert_memory_equal(b.at + b.len - sizeof tail, tail, sizeof tail);
    buf_fini(&b);
}

static void a_page_made_of_records_equals_the_one_that_counts_them(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= PAGE_RECORDS_MAX; count += 20) {
        struct buf records, a, b;
        buf_init(&records, FRAME_BYTES_MAX);
        buf_init(&a, FRAME_BYTES_MAX);
        buf_init(&b, FRAME_BYTES_MAX);
        for (uint32_t i = 0; i < count; i++) {
            struct msg_message record = record_of(i + 1, bytes_of_str("body"));
            assert_int_equal(page_add(&records, &record), 0);
        }
        struct msg m = make_page();
        m.u.page.records = buf_bytes(&records);
        assert_int_equal(msg_encode(&m, &a), 0);
        assert_int_equal(page_encode(m.ref, &m.u.page, count, &b), 0);
        assert_true(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
        assert_true(b.len - records.len <= PAGE_OVERHEAD_MAX);
        buf_fini(&records);
        buf_fini(&a);
        buf_fini(&b);
    }
}

static void an_info_answer_made_of_members_equals_the_one_that_counts_them(void **state)
{
    (void)state;
    struct msg m = make_info_answer();
    struct buf a, b;
    buf_init(&a, 1000);
    buf_init(&b, 1000);
    assert_int_equal(msg_encode(&m, &a), 0);
    assert_int_equal(info_answer_encode(m.ref, &m.u.info_answer, 2, &b), 0);
    assert_true(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
    buf_fini(&a);
    buf_fini(&b);
}

static void a_device_list_made_of_devices_equals_the_one_that_counts_them(void **state)
{
    (void)state;
    struct msg m = make_device_list();
    struct buf a, b;
    buf_init(&a, 1000);
    buf_init(&b, 1000);
    assert_int_equal(msg_encode(&m, &a), 0);
    assert_int_equal(device_list_encode(m.ref, m.u.device_list.version, m.u.device_list.devices, 2, &b), 0);
    assert_true(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
    buf_fini(&a);
    buf_fini(&b);
}

/* The largest of everything that is not the body. */
static void the_overheads_are_upper_bounds(void **state)
{
    (void)state;
    static uint8_t body[BODY_BYTES_MAX];
    struct msg m = make_message();
    struct user_id longest = sample_user("abcdefghijklmnopqrstuvwxyz012345");
    m.u.message.seq = m.u.message.counted = m.u.message.client_seq = NUMBER_MAX;
    m.u.message.kind = KIND_MARKS;
    m.u.message.flags = RECORD_COUNTS | RECORD_SENDER_CAUGHT_UP;
    m.u.message.device.v = UINT64_MAX;
    m.u.message.from = m.u.message.members[0] = m.u.message.members[1] = longest;
    m.u.message.body = BYTES_OF(body);
    struct buf b, record;
    buf_init(&b, FRAME_BYTES_MAX);
    buf_init(&record, FRAME_BYTES_MAX);
    assert_int_equal(msg_encode(&m, &b), 0);
    assert_true(b.len <= BODY_BYTES_MAX + MESSAGE_OVERHEAD_MAX);
    assert_int_equal(page_add(&record, &m.u.message), 0);
    assert_true(record.len <= b.len);
    buf_clear(&b);
    struct msg_page page = { .conv = conv_of_sample(), .head = NUMBER_MAX, .records = buf_bytes(&record) };
    assert_int_equal(page_encode(UINT64_MAX, &page, UINT16_MAX + 1, &b), 0);
    assert_true(b.len - record.len <= PAGE_OVERHEAD_MAX);
    buf_fini(&b);
    buf_fini(&record);
}

static void a_text_is_content_kind_zero(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, BODY_BYTES_MAX);
    assert_int_equal(content_text_encode(bytes_of_str("hello"), &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), BYTES_OF(sample_body)));
    buf_clear(&b);
    assert_int_equal(content_text_encode(BYTES_NONE, &b), 0);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of("\x92\x00\xA0", 3)));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_becomes_the_bytes_another_encoder_made),
        cmocka_unit_test(every_type_of_the_list_has_a_sample),
        cmocka_unit_test(a_frame_is_appended_and_a_full_buffer_refuses),
        cmocka_unit_test(nil_fields_at_the_end_of_send_are_left_out),
        cmocka_unit_test(a_page_made_of_records_equals_the_one_that_counts_them),
        cmocka_unit_test(an_info_answer_made_of_members_equals_the_one_that_counts_them),
        cmocka_unit_test(a_device_list_made_of_devices_equals_the_one_that_counts_them),
        cmocka_unit_test(the_overheads_are_upper_bounds),
        cmocka_unit_test(a_text_is_content_kind_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
