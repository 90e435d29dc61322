/* test_codec.c - frames are read as they were meant. What is refused, and how: test_codec_refuse.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/parts.h"

/* ---- what is right ---- */

/* msg_encode() is held to these bytes by another encoder (test_codec_encode.c) and no two messages have the same,
 * so getting the bytes back means that every field was read into its place. */
static void every_message_is_read_into_the_fields_it_was_made_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t len;
        uint8_t *at = bytes_of_hex(samples[i].hex, &len);
        struct msg m;
        const char *why = "untouched";
        if (msg_decode(bytes_of(at, len), &m, &why) != 0) fail_msg("sample %zu, a %s: %s", i, samples[i].type, why);
        assert_null(why);
        assert_string_equal(msg_type_name(m.type), samples[i].type);
        struct buf b;
        buf_init(&b, FRAME_BYTES_MAX);
        assert_int_equal(msg_encode(&m, &b), 0);
        if (!bytes_equal(buf_bytes(&b), bytes_of(at, len))) fail_msg("sample %zu, a %s", i, samples[i].type);
        buf_fini(&b);
        free(at);
    }
}

static void unknown_fields_behind_the_known_ones_are_skipped(void **state)
{
    (void)state;
    static const struct bytes later[] = {
        { (const uint8_t *)"\xC0", 1 }, { (const uint8_t *)"\x05", 1 }, { (const uint8_t *)"\xA3new", 4 },
        { (const uint8_t *)"\x82\xA1" "a\x91\x01\xA1" "b\xCA\x00\x00\x00\x00", 12 },
    };
    for (size_t i = 0; i < SAMPLES; i++) {
        /* What leaves fields out has no room behind them for unknown ones. */
        if (samples[i].make == make_send || samples[i].make == make_devices_list ||
            samples[i].make == make_devices_revoke || samples[i].make == make_accepted ||
            samples[i].make == make_message || samples[i].make == make_message_group ||
            samples[i].make == make_history || samples[i].make == make_history_after ||
            samples[i].make == make_page || samples[i].make == make_page_empty)
            continue;
        for (size_t k = 0; k < sizeof later / sizeof later[0]; k++) {
            struct parts p = parts_of(&samples[i]);
            struct msg m;
            const char *why;
            p.item[p.count++] = later[k];
            struct bytes frame = join(&p, p.count);
            if (msg_decode(frame, &m, &why) != 0) fail_msg("sample %zu, a %s: %s", i, samples[i].type, why);
            struct buf b;
            buf_init(&b, FRAME_BYTES_MAX);
            assert_int_equal(msg_encode(&m, &b), 0);
            size_t len;
            uint8_t *want = bytes_of_hex(samples[i].hex, &len);
            assert_true(bytes_equal(buf_bytes(&b), bytes_of(want, len)));
            buf_fini(&b);
            free(want);
            free((void *)frame.at);
            free(p.owned);
        }
    }
}

static void a_conversation_is_named_by_user_or_by_id(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    assert_int_equal(decode_hex("9405c0a3626f6207", &m, &why), 0);
    assert_true(m.u.cursor.to.is_user);
    assert_string_equal(m.u.cursor.to.user.v, "bob");
    static const struct conv_id zero;
    assert_true(conv_id_equal(&m.u.cursor.to.conv, &zero));
    assert_int_equal(decode_hex("9405c0c4101932b259dc82a37a99a92662f9be860c07", &m, &why), 0);
    assert_false(m.u.cursor.to.is_user);
    assert_memory_equal(m.u.cursor.to.conv.v, sample_conv, 16);
}

static void a_limit_not_told_is_that_of_this_version_and_an_unknown_one_is_skipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (strcmp(samples[i].type, "WELCOME") != 0) continue;
        struct parts p = parts_of(&samples[i]);
        struct msg m;
        const char *why;
        p.item[p.count - 1] = IN("\x80");
        assert_int_equal(decode_parts(&p, p.count, &m, &why), 0);
        assert_int_equal(m.u.welcome.body_bytes_max, BODY_BYTES_MAX);
        assert_int_equal(m.u.welcome.unsettled_max, REPEATS_MAX);
        p.item[p.count - 1] = IN("\x83\xA9later_max\x91\x92\x01\x02\xADunsettled_max\x09\xA1x\xC0");
        assert_int_equal(decode_parts(&p, p.count, &m, &why), 0);
        assert_int_equal(m.u.welcome.unsettled_max, 9);
        assert_int_equal(m.u.welcome.body_bytes_max, BODY_BYTES_MAX);
        p.item[p.count - 1] = IN("\x81\xADunsettled_max\xA1x");
        assert_int_equal(decode_parts(&p, p.count, &m, &why), ERR_TYPE);
        assert_string_equal(why, "a limit is not a number");
        p.item[p.count - 1] = IN("\x81\x01\x02");
        assert_int_equal(decode_parts(&p, p.count, &m, &why), ERR_TYPE);
        free(p.owned);
    }
}

static void device_ids_and_refs_use_all_64_bits(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    assert_int_equal(decode_hex("9212cfffffffffffffffff", &m, &why), 0);
    assert_true(m.ref == UINT64_MAX);
    assert_int_equal(decode_hex(
        "9d60c0c4101932b259dc82a37a99a92662f9be860c08c410018bcfe5680070058000000000000000020005a3626f62cf"
        "ffffffffffffffff0ac0c400", &m, &why), 0);
    assert_true(m.u.message.device.v == UINT64_MAX);
}

/* ---- what stands within a frame ---- */

static void the_records_of_a_page_come_in_turn_and_end(void **state)
{
    (void)state;
    struct msg page = make_page();
    struct bytes rest = page.u.page.records;
    struct msg_message record;
    assert_int_equal(page_next(&rest, &record), 0);
    assert_int_equal(record.seq, 1);
    assert_true(bytes_equal(record.body, bytes_of_str("one")));
    assert_string_equal(record.members[0].v, "alice");
    assert_string_equal(record.members[1].v, "bob");
    assert_true(record.is_direct);
    assert_int_equal(page_next(&rest, &record), 0);
    assert_int_equal(record.seq, 2);
    assert_int_equal(record.body.len, 0);
    assert_int_equal(page_next(&rest, &record), ERR_END);
    assert_int_equal(page_next(&rest, &record), ERR_END);
}

static void a_record_of_a_newer_server_keeps_its_known_fields(void **state)
{
    (void)state;
    struct msg page = make_page();
    struct bytes first = page.u.page.records;
    struct msg_message record;
    assert_int_equal(page_next(&first, &record), 0);
    struct bytes one = bytes_of(page.u.page.records.at, page.u.page.records.len - first.len);
    struct buf longer;
    buf_init(&longer, 1000);
    buf_put(&longer, one.at, one.len);
    assert_int_equal(longer.at[0], 0x90 | 11);
    longer.at[0] = 0x90 | 13;
    buf_put(&longer, "\xC0\x81\x01\x02", 4);
    buf_put(&longer, first.at, first.len);
    struct bytes rest = buf_bytes(&longer);
    assert_int_equal(page_next(&rest, &record), 0);
    assert_int_equal(record.seq, 1);
    assert_int_equal(page_next(&rest, &record), 0);
    assert_int_equal(record.seq, 2);
    assert_int_equal(page_next(&rest, &record), ERR_END);
    buf_fini(&longer);
}

static void a_broken_record_is_refused_and_the_place_kept(void **state)
{
    (void)state;
    struct msg_message record;
    struct bytes rest = IN("\x91\x05");
    assert_int_equal(page_next(&rest, &record), ERR_TYPE);
    assert_int_equal(rest.len, 2);
    rest = IN("\x05");
    assert_int_equal(page_next(&rest, &record), ERR_TYPE);
    rest = IN("\x92\x05");
    assert_int_equal(page_next(&rest, &record), ERR_MALFORMED);
    assert_int_equal(rest.len, 2);
}

static void what_is_gone_of_a_page_comes_in_turn_and_may_be_left_out(void **state)
{
    (void)state;
    struct msg page = make_page_gone();
    struct bytes rest = page.u.page.gone;
    struct gone gone;
    assert_int_equal(gone_next(&rest, &gone), 0);
    assert_true(gone.from == 1 && gone.to == 4);
    assert_int_equal(gone_next(&rest, &gone), 0);
    assert_true(gone.from == 6 && gone.to == 100000);
    assert_int_equal(gone_next(&rest, &gone), ERR_END);
    rest = make_page().u.page.gone;
    assert_int_equal(gone_next(&rest, &gone), ERR_END);
}

static void a_range_that_is_none_is_refused_and_the_place_kept(void **state)
{
    (void)state;
    static const struct { struct bytes in; int err; } none[] = {
        { { (const uint8_t *)"\x92\x00\x05", 3 }, ERR_RANGE }, { { (const uint8_t *)"\x92\x05\x04", 3 }, ERR_RANGE },
        { { (const uint8_t *)"\x91\x05", 2 }, ERR_TYPE },      { { (const uint8_t *)"\x92\x05\xC0", 3 }, ERR_TYPE },
        { { (const uint8_t *)"\x05", 1 }, ERR_TYPE },           { { (const uint8_t *)"\x92\x05", 2 }, ERR_MALFORMED },
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct bytes rest = none[i].in;
        struct gone gone;
        assert_int_equal(gone_next(&rest, &gone), none[i].err);
        assert_int_equal(rest.len, none[i].in.len);
    }
    struct bytes one = IN("\x92\x07\x07");
    struct gone gone;
    assert_int_equal(gone_next(&one, &gone), 0);
    assert_true(gone.from == 7 && gone.to == 7);
}

static void the_sequences_of_a_delete_come_in_turn(void **state)
{
    (void)state;
    struct msg m = make_remove();
    struct bytes rest = m.u.remove.seqs;
    uint64_t seq;
    assert_int_equal(seqs_next(&rest, &seq), 0);
    assert_int_equal(seq, 7);
    assert_int_equal(seqs_next(&rest, &seq), 0);
    assert_int_equal(seq, 70000);
    assert_int_equal(seqs_next(&rest, &seq), ERR_END);
    rest = IN("\xA1x");
    assert_int_equal(seqs_next(&rest, &seq), ERR_TYPE);
    rest = IN("\xCD\x01");
    assert_int_equal(seqs_next(&rest, &seq), ERR_MALFORMED);
}

static void a_body_of_numbers_is_read_number_by_number(void **state)
{
    (void)state;
    struct bytes rest = IN("\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x01\x00tail");
    uint64_t number;
    assert_int_equal(body_next(&rest, &number), 0);
    assert_int_equal(number, 7);
    assert_int_equal(body_next(&rest, &number), 0);
    assert_int_equal(number, 256);
    assert_int_equal(body_next(&rest, &number), ERR_END);
}

static void the_members_of_an_info_answer_come_in_turn(void **state)
{
    (void)state;
    struct msg answer = make_info_answer();
    struct bytes rest = answer.u.info_answer.members;
    struct member_state member;
    assert_int_equal(members_next(&rest, &member), 0);
    assert_string_equal(member.user.v, "alice");
    assert_true(member.delivered_ms == NOW_MS && member.read_ms == NOW_MS + 1);
    assert_int_equal(members_next(&rest, &member), 0);
    assert_string_equal(member.user.v, "bob");
    assert_true(member.delivered_ms == NOW_MS && member.read_ms == 0);
    assert_int_equal(members_next(&rest, &member), ERR_END);
    rest = IN("\x91\xA2" "bo");    /* times left out are nil */
    assert_int_equal(members_next(&rest, &member), 0);
    assert_int_equal(member.delivered_ms, 0);
    struct buf late;
    buf_init(&late, 100);
    members_add(&late, &(struct member_state){ sample_user("bob"), NOW_MS, 0, MEMBER_DELIVERED_BEFORE });
    rest = buf_bytes(&late);
    assert_int_equal(members_next(&rest, &member), 0);
    assert_int_equal(member.before, MEMBER_DELIVERED_BEFORE);
    buf_fini(&late);
    rest = IN("\x91\x05");
    assert_int_equal(members_next(&rest, &member), ERR_TYPE);
    rest = IN("\x93\xA2" "bo\xA1x\xC0");
    assert_int_equal(members_next(&rest, &member), ERR_TYPE);
}

static void the_devices_of_a_list_come_in_turn(void **state)
{
    (void)state;
    struct msg list = make_device_list();
    struct bytes rest = list.u.device_list.devices;
    struct device_entry d;
    assert_int_equal(devices_next(&rest, &d), 0);
    assert_true(d.device.v == DEVICE_A && d.created_ms == NOW_MS && d.live_ms == NOW_MS + 5 && d.mine);
    assert_true(bytes_equal(d.name, bytes_of_str("phone")));
    assert_int_equal(devices_next(&rest, &d), 0);
    assert_true(d.device.v == DEVICE_B && d.live_ms == 0 && !d.mine);
    assert_int_equal(d.name.len, 0);
    assert_int_equal(devices_next(&rest, &d), ERR_END);
    rest = IN("\x96\x07\xA1x\x05\xC0\xC2\xA3new");    /* a newer server's */
    assert_int_equal(devices_next(&rest, &d), 0);
    assert_int_equal(rest.len, 0);
    rest = IN("\x95\x00\xA1x\x05\xC0\xC2");
    assert_int_equal(devices_next(&rest, &d), ERR_RANGE);
    rest = IN("\x94\x07\xA1x\x05\xC0");
    assert_int_equal(devices_next(&rest, &d), ERR_TYPE);
}

static void a_text_is_read_back_and_other_content_is_left_to_newer_clients(void **state)
{
    (void)state;
    struct bytes text;
    assert_int_equal(content_text_decode(BYTES_OF(sample_body), &text), 0);
    assert_true(bytes_equal(text, bytes_of_str("hello")));
    assert_int_equal(content_text_decode(IN("\x92\x00\xA0"), &text), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(content_text_decode(IN("\x93\x00\xA2hi\xC0"), &text), 0);
    assert_true(bytes_equal(text, bytes_of_str("hi")));
    assert_int_equal(content_text_decode(IN("\x92\x01\xA2hi"), &text), ERR_UNSUPPORTED);
    assert_int_equal(content_text_decode(IN("\x91\x09"), &text), ERR_UNSUPPORTED);
    static const struct bytes bad[] = {
        { NULL, 0 }, { (const uint8_t *)"\x90", 1 }, { (const uint8_t *)"\x91\x00", 2 }, { (const uint8_t *)"hi", 2 },
        { (const uint8_t *)"\x92\x00\xC4\x01x", 5 }, { (const uint8_t *)"\x92\x00\xA1\xFF", 4 },
        { (const uint8_t *)"\x92\x00\xA0\x00", 4 }, { (const uint8_t *)"\x92\x00\xA5hi", 5 },
        { (const uint8_t *)"\x92\xFF\xA0", 3 }, { (const uint8_t *)"\x05", 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (content_text_decode(bad[i], &text) != ERR_MALFORMED) fail_msg("case %zu was taken", i);
        assert_int_equal(text.len, 0);
    }
}

/* ---- questions ---- */

static void a_send_names_the_first_field_not_supported(void **state)
{
    (void)state;
    static const char *const order[] = { "group_version", "list_versions", "envelopes", "media", "wake" };
    struct msg m = make_send_full();
    struct msg_send *send = &m.u.send;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_string_equal(send_unsupported(send), order[i]);
        if (i == 0) send->group_version = 0;
        if (i == 1) send->list_versions = BYTES_NONE;
        if (i == 2) send->envelopes = IN("\x80");    /* of nothing is as good as none */
        if (i == 3) send->media = IN("\xDC\x00\x00");
        if (i == 4) send->wake = IN("\x90");
    }
    assert_null(send_unsupported(send));
    m = make_send();
    assert_null(send_unsupported(&m.u.send));
}

static void every_type_has_its_name(void **state)
{
    (void)state;
#define CHECK(name, code, member, direction)              \
    assert_string_equal(msg_type_name(MSG_##name), #name); \
    assert_int_equal(MSG_##name, code);
    MSG_LIST(CHECK)
#undef CHECK
    assert_string_equal(msg_type_name(0), "?");
    assert_string_equal(msg_type_name(1000), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_read_into_the_fields_it_was_made_of),
        cmocka_unit_test(unknown_fields_behind_the_known_ones_are_skipped),
        cmocka_unit_test(a_conversation_is_named_by_user_or_by_id),
        cmocka_unit_test(a_limit_not_told_is_that_of_this_version_and_an_unknown_one_is_skipped),
        cmocka_unit_test(device_ids_and_refs_use_all_64_bits),
        cmocka_unit_test(the_records_of_a_page_come_in_turn_and_end),
        cmocka_unit_test(a_record_of_a_newer_server_keeps_its_known_fields),
        cmocka_unit_test(a_broken_record_is_refused_and_the_place_kept),
        cmocka_unit_test(what_is_gone_of_a_page_comes_in_turn_and_may_be_left_out),
        cmocka_unit_test(a_range_that_is_none_is_refused_and_the_place_kept),
        cmocka_unit_test(the_sequences_of_a_delete_come_in_turn),
        cmocka_unit_test(a_body_of_numbers_is_read_number_by_number),
        cmocka_unit_test(the_members_of_an_info_answer_come_in_turn),
        cmocka_unit_test(the_devices_of_a_list_come_in_turn),
        cmocka_unit_test(a_text_is_read_back_and_other_content_is_left_to_newer_clients),
        cmocka_unit_test(a_send_names_the_first_field_not_supported),
        cmocka_unit_test(every_type_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
