/* test_id.c - ids have one form, and those that are computed come out as everyone else computes them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/id.h"
#include "tests/harness/chance.h"

static struct user_id user(const char *name)
{
    struct user_id id;
    assert_int_equal(user_id_parse(bytes_of_str(name), &id), 0);
    return id;
}

/* ---- users ---- */

static void user_names_of_the_grammar_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "ab", "alice", "0x", "99", "a.b_c-d", "z-", "a..", "abcdefghijklmnopqrstuvwxyz012345",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct user_id id = user(good[i]);
        assert_string_equal(id.v, good[i]);
        assert_true(bytes_equal(user_id_bytes(&id), bytes_of_str(good[i])));
    }
}

static void other_user_names_are_refused_and_leave_out_untouched(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "a", "Alice", "alicE", ".a", "-a", "_a", "a b", "a/b", "a@b", "a\n", "\xC3\xA4z",
        "abcdefghijklmnopqrstuvwxyz0123456", "a{", "a`", "a:",
    };
    struct user_id id, before;
    memset(&before, 0x77, sizeof before);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        id = before;
        if (user_id_parse(bytes_of_str(bad[i]), &id) != ERR_NAME) fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&id, &before, sizeof id);
    }
    assert_int_equal(user_id_parse(bytes_of("ab\0", 3), &id), ERR_NAME);
    assert_int_equal(user_id_parse(bytes_of("a\0b", 3), &id), ERR_NAME);
    assert_int_equal(user_id_parse(BYTES_NONE, &id), ERR_NAME);
}

static void a_user_id_is_zero_behind_its_name(void **state)
{
    (void)state;
    struct user_id a, b;
    memset(&a, 0x77, sizeof a);
    memset(&b, 0x55, sizeof b);
    assert_int_equal(user_id_parse(bytes_of_str("alice"), &a), 0);
    assert_int_equal(user_id_parse(bytes_of_str("alice"), &b), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(user_id_equal(&a, &b));
    b = user("alicf");
    assert_false(user_id_equal(&a, &b));
    b = user("alic");
    assert_false(user_id_equal(&a, &b));
}

/* ---- devices ---- */

static void device_ids_are_16_hex_digits(void **state)
{
    (void)state;
    char text[DEVICE_ID_TEXT];
    struct device_id id;
    device_id_print((struct device_id){ UINT64_C(0x0123456789ABCDEF) }, text);
    assert_string_equal(text, "0123456789abcdef");
    assert_int_equal(device_id_parse(bytes_of_str(text), &id), 0);
    assert_true(id.v == UINT64_C(0x0123456789ABCDEF));
    assert_int_equal(device_id_parse(bytes_of_str("FFFFFFFFFFFFFFFF"), &id), 0);
    assert_true(id.v == UINT64_MAX);
    device_id_print((struct device_id){ 1 }, text);
    assert_string_equal(text, "0000000000000001");
}

static void device_ids_of_another_form_or_zero_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0", "0000000000000000", "123456789abcdef", "0123456789abcdef0", "0123456789abcdeg",
        "0x23456789abcdef", " 123456789abcdef", "-123456789abcdef",
    };
    struct device_id id = { 5 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(device_id_parse(bytes_of_str(bad[i]), &id), ERR_MALFORMED);
    assert_int_equal(id.v, 5);
}

/* ---- conversations ---- */

static void assert_conv(struct conv_id id, const char *hex)
{
    char text[CONV_ID_TEXT];
    conv_id_print(&id, text);
    assert_string_equal(text, hex);
}

/* The constants were made with Python, for example
 *   hashlib.blake2b(b"pipit direct" + b"alice\0bob", digest_size=16).hexdigest() */
static void conversation_ids_are_the_hash_the_document_names(void **state)
{
    (void)state;
    static const char a32[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b32[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    struct user_id alice = user("alice"), bob = user("bob"), a = user(a32), b = user(b32);
    assert_conv(conv_id_direct(&alice, &bob), "1932b259dc82a37a99a92662f9be860c");
    assert_conv(conv_id_direct(&alice, &alice), "4ad1b21e7b10149f4783d608dbca32f4");
    assert_conv(conv_id_direct(&a, &b), "2e533479f9b2a69c9f13676abc30d2fa");
    assert_conv(conv_id_inbox(&alice), "f2ba2d99c03b22cd66745fceba5f1412");
    assert_conv(conv_id_inbox(&a), "5b4c7b66e10826d9be85e837cc228f5c");
}

static void both_members_compute_the_same_conversation(void **state)
{
    (void)state;
    struct user_id alice = user("alice"), bob = user("bob");
    struct user_id dash = user("a-"), ab = user("ab"), abc = user("abc");
    assert_conv(conv_id_direct(&bob, &alice), "1932b259dc82a37a99a92662f9be860c");
    assert_conv(conv_id_direct(&ab, &dash), "a594e07baa14734d14deea2837af52ac");
    assert_conv(conv_id_direct(&dash, &ab), "a594e07baa14734d14deea2837af52ac");
    assert_conv(conv_id_direct(&abc, &ab), "417803c97d23eb0e7d76cf6a5e8734b9");
    assert_conv(conv_id_direct(&ab, &abc), "417803c97d23eb0e7d76cf6a5e8734b9");
}

static void conversation_ids_come_back_from_their_text(void **state)
{
    (void)state;
    struct conv_id id, same;
    assert_int_equal(conv_id_parse(bytes_of_str("00112233445566778899aAbBcCdDeEfF"), &id), 0);
    assert_conv(id, "00112233445566778899aabbccddeeff");
    assert_int_equal(conv_id_parse(bytes_of_str("00112233445566778899aabbccddeeff"), &same), 0);
    assert_true(conv_id_equal(&id, &same));
    struct conv_id kept = id;
    assert_int_equal(conv_id_parse(bytes_of_str("00112233445566778899aabbccddeef"), &id), ERR_MALFORMED);
    assert_int_equal(conv_id_parse(bytes_of_str("00112233445566778899aabbccddeefff"), &id), ERR_MALFORMED);
    assert_int_equal(conv_id_parse(bytes_of_str("00112233445566778899aabbccddeefg"), &id), ERR_MALFORMED);
    assert_int_equal(conv_id_parse(BYTES_NONE, &id), ERR_MALFORMED);
    assert_true(conv_id_equal(&id, &kept));
    same.v[15] ^= 1;
    assert_false(conv_id_equal(&id, &same));
}

/* ---- messages ---- */

static const struct msg_id none;
static const uint8_t ones[8] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
static const uint8_t zeros[8];

static void assert_msg_id(struct msg_id id, const char *want)
{
    char text[MSG_ID_TEXT];
    msg_id_print(&id, text);
    assert_string_equal(text, want);
}

static void a_message_id_is_laid_out_as_rfc_9562_says(void **state)
{
    (void)state;
    /* The example of appendix A.6 has rand_a CC3; ours is the counter, which starts at 0. */
    static const uint8_t random[8] = { 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F };
    struct msg_id id = msg_id_next(&none, UINT64_C(0x017F22E279B0), random);
    assert_msg_id(id, "017f22e2-79b0-7000-98c4-dc0c0c07398f");
    assert_true(msg_id_ms(&id) == UINT64_C(0x017F22E279B0));
    assert_msg_id(msg_id_next(&none, 0, zeros), "00000000-0000-7000-8000-000000000000");
    assert_msg_id(msg_id_next(&none, 1, ones), "00000000-0001-7000-bfff-ffffffffffff");
}

static void a_clock_that_moves_starts_the_counter_anew(void **state)
{
    (void)state;
    struct msg_id a = msg_id_next(&none, 1000, ones);
    struct msg_id b = msg_id_next(&a, 1000, zeros);
    struct msg_id c = msg_id_next(&b, 1001, zeros);
    assert_msg_id(b, "00000000-03e8-7001-8000-000000000000");
    assert_msg_id(c, "00000000-03e9-7000-8000-000000000000");
}

static void a_clock_that_stands_or_steps_back_raises_the_counter(void **state)
{
    (void)state;
    struct msg_id a = msg_id_next(&none, 1000, ones);
    struct msg_id b = msg_id_next(&a, 1000, zeros);
    struct msg_id c = msg_id_next(&b, 3, zeros);
    struct msg_id d = msg_id_next(&c, 0, zeros);
    assert_true(msg_id_compare(&a, &b) < 0);
    assert_true(msg_id_compare(&b, &c) < 0);
    assert_msg_id(d, "00000000-03e8-7003-8000-000000000000");
}

static void a_used_up_counter_raises_the_millisecond(void **state)
{
    (void)state;
    struct msg_id id = msg_id_next(&none, 1000, zeros);
    for (int i = 0; i < 0xFFF; i++) id = msg_id_next(&id, 1000, zeros);
    assert_msg_id(id, "00000000-03e8-7fff-8000-000000000000");
    id = msg_id_next(&id, 1000, zeros);
    assert_msg_id(id, "00000000-03e9-7000-8000-000000000000");
    id = msg_id_next(&id, 1000, zeros);    /* the clock is behind now, and that is no different */
    assert_msg_id(id, "00000000-03e9-7001-8000-000000000000");
}

static void ids_rise_whatever_the_clock_does(void **state)
{
    (void)state;
    uint64_t s = run_seed(), now = UINT64_C(1700000000000);
    struct msg_id prev = none;
    for (int i = 0; i < 20000; i++) {
        uint8_t random[8];
        put_u64(random, chance(&s));
        now += chance_below(&s, 7);
        if (chance_below(&s, 100) == 0) now -= 500;
        struct msg_id id = msg_id_next(&prev, now, random), back;
        assert_true(msg_id_compare(&prev, &id) < 0);
        assert_true(msg_id_ms(&id) >= now);
        /* the random part is the caller's, whole, but for the variant */
        assert_int_equal(id.v[8], 0x80 | (random[0] & 0x3F));
        assert_memory_equal(id.v + 9, random + 1, 7);
        char text[MSG_ID_TEXT];
        msg_id_print(&id, text);
        assert_int_equal(msg_id_parse(bytes_of_str(text), &back), 0);
        assert_memory_equal(&back, &id, sizeof id);
        prev = id;
    }
}

static void message_ids_of_another_form_or_version_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "017f22e2-79b0-7000-98c4-dc0c0c07398", "017f22e2-79b0-7000-98c4-dc0c0c07398f0",
        "017f22e2-79b0-4000-98c4-dc0c0c07398f",    /* version 4 */
        "017f22e2-79b0-7000-d8c4-dc0c0c07398f",    /* another variant */
        "017f22e2-79b0-7000-18c4-dc0c0c07398f", "017f22e2079b0-7000-98c4-dc0c0c07398f",
        "017f22e2-79b0-7000-98c4-dc0c0c07398g", "017f22e2-79b0-7000-98c4_dc0c0c07398f",
        "{17f22e2-79b0-7000-98c4-dc0c0c07398}",
    };
    struct msg_id id = none;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(msg_id_parse(bytes_of_str(bad[i]), &id), ERR_MALFORMED);
    assert_memory_equal(&id, &none, sizeof id);
    assert_int_equal(msg_id_parse(bytes_of_str("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &id), 0);
    assert_msg_id(id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_names_of_the_grammar_are_taken),
        cmocka_unit_test(other_user_names_are_refused_and_leave_out_untouched),
        cmocka_unit_test(a_user_id_is_zero_behind_its_name),
        cmocka_unit_test(device_ids_are_16_hex_digits),
        cmocka_unit_test(device_ids_of_another_form_or_zero_are_refused),
        cmocka_unit_test(conversation_ids_are_the_hash_the_document_names),
        cmocka_unit_test(both_members_compute_the_same_conversation),
        cmocka_unit_test(conversation_ids_come_back_from_their_text),
        cmocka_unit_test(a_message_id_is_laid_out_as_rfc_9562_says),
        cmocka_unit_test(a_clock_that_moves_starts_the_counter_anew),
        cmocka_unit_test(a_clock_that_stands_or_steps_back_raises_the_counter),
        cmocka_unit_test(a_used_up_counter_raises_the_millisecond),
        cmocka_unit_test(ids_rise_whatever_the_clock_does),
        cmocka_unit_test(message_ids_of_another_form_or_version_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
