/* test_codec_refuse.c - frames that are not what the format allows are refused by name, and break nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/harness/chance.h"
#include "tests/unit/parts.h"

/* The name of field `i` (0: the first behind ref) out of "to client_seq settled body". */
static const char *field_name(const struct sample *sample, size_t i)
{
    static char name[NAME_BYTES_MAX];
    const char *at = sample->fields;
    while (i-- > 0) at = strchr(at, ' ') + 1;
    size_t len = strcspn(at, " ");
    memcpy(name, at, len);
    name[len] = '\0';
    return name;
}

static bool may_be_nil(const struct sample *sample, const char *field)
{
    static const char *const nilable[] = {
        "SEND group_version", "SEND list_versions", "SEND envelopes", "SEND media", "SEND wake", "SEND expire_s",
        "HISTORY before", "HISTORY after", "DEVICES device", "DEVICES name", "ERROR again_in_ms", "MESSAGE members",
        "MESSAGE expiry_ms", "ACCEPTED expiry_ms", "HISTORY around", "PAGE gone",
    };
    char both[2 * NAME_BYTES_MAX];
    snprintf(both, sizeof both, "%s %s", sample->type, field);
    for (size_t i = 0; i < sizeof nilable / sizeof nilable[0]; i++)
        if (strcmp(both, nilable[i]) == 0) return true;
    return false;
}

/* ---- what is wrong ---- */

static void a_missing_field_is_refused_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct parts p = parts_of(&samples[i]);
        for (size_t count = 2; count < p.count; count++) {
            struct msg m;
            const char *why;
            const char *field = field_name(&samples[i], count - 2);
            int err = decode_parts(&p, count, &m, &why);
            if (may_be_nil(&samples[i], field) && strcmp(samples[i].type, "SEND") == 0) {
                assert_int_equal(err, 0);
                continue;
            }
            if (may_be_nil(&samples[i], field) && err == 0) continue;    /* ERROR's last */
            if (err != ERR_TYPE) fail_msg("%s without %s: %d", samples[i].type, field, err);
            /* what may be nil counts as nil, and the first that may not is named */
            if (!may_be_nil(&samples[i], field) && !strstr(why, field))
                fail_msg("%s without %s: \"%s\"", samples[i].type, field, why);
        }
        free(p.owned);
    }
}

static void a_field_of_another_type_is_refused_by_its_name(void **state)
{
    (void)state;
    static const struct bytes others[] = {
        { (const uint8_t *)"\xC3", 1 }, { (const uint8_t *)"\x05", 1 }, { (const uint8_t *)"\xFF", 1 },
        { (const uint8_t *)"\xCA\x00\x00\x00\x00", 5 }, { (const uint8_t *)"\xA2hi", 3 },
        { (const uint8_t *)"\xC4\x01" "b", 3 }, { (const uint8_t *)"\xD4\x01" "e", 3 },
        { (const uint8_t *)"\x90", 1 }, { (const uint8_t *)"\x80", 1 }, { (const uint8_t *)"\xC0", 1 },
    };
    for (size_t i = 0; i < SAMPLES; i++) {
        struct parts p = parts_of(&samples[i]);
        for (size_t f = 2; f < p.count; f++) {
            struct bytes right = p.item[f];
            struct reader r = reader_of(right);
            struct mpack_item was, is;
            assert_true(mpack_next(&r, &was));
            const char *field = field_name(&samples[i], f - 2);
            for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
                r = reader_of(others[k]);
                assert_true(mpack_next(&r, &is));
                if (is.kind == was.kind || (is.kind == MPACK_NIL && may_be_nil(&samples[i], field))) continue;
                /* other samples have it set */
                if (was.kind == MPACK_NIL && may_be_nil(&samples[i], field)) continue;
                if (strcmp(field, "to") == 0 && is.kind == MPACK_STR) continue;           /* a user for an id */
                struct msg m;
                const char *why;
                p.item[f] = others[k];
                int err = decode_parts(&p, p.count, &m, &why);
                if (err != ERR_TYPE) fail_msg("%s with another %s (kind %d): %d", samples[i].type, field, is.kind, err);
                if (!strstr(why, field)) fail_msg("%s with another %s: \"%s\"", samples[i].type, field, why);
                /* the request can still be told which it was */
                assert_string_equal(msg_type_name(m.type), samples[i].type);
                assert_true(m.ref == samples[i].make().ref);
            }
            p.item[f] = right;
        }
        free(p.owned);
    }
}

/* Sample `index` with its field `field` replaced. */
static int decode_with(const struct sample *sample, const char *field, struct bytes raw, struct msg *m,
                       const char **why)
{
    struct parts p = parts_of(sample);
    bool found = false;
    for (size_t f = 2; f < p.count; f++)
        if (strcmp(field_name(sample, f - 2), field) == 0) {
            p.item[f] = raw;
            found = true;
        }
    assert_true(found);
    int err = decode_parts(&p, p.count, m, why);
    free(p.owned);
    return err;
}

static const struct sample *sample_made_by(struct msg (*make)(void))
{
    for (size_t i = 0; i < SAMPLES; i++)
        if (samples[i].make == make) return &samples[i];
    fail_msg("no such sample");
    return NULL;
}

static void assert_refused(struct msg (*make)(void), const char *field, struct bytes raw, int want, const char *clause)
{
    struct msg m;
    const char *why;
    int err = decode_with(sample_made_by(make), field, raw, &m, &why);
    if (err != want) fail_msg("%s: %s instead of %s", field, err_name(err), err_name(want));
    assert_string_equal(why, clause);
}

static void values_outside_their_range_are_refused(void **state)
{
    (void)state;
    assert_refused(make_send, "client_seq", IN("\x00"), ERR_RANGE, "client_seq is 0");
    assert_refused(make_send, "client_seq", IN("\xCF\x80\x00\x00\x00\x00\x00\x00\x00"), ERR_RANGE,
                   "client_seq is 2^63 or more");
    assert_refused(make_send, "settled", IN("\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), ERR_RANGE,
                   "settled is 2^63 or more");
    assert_refused(make_send, "body", IN("\xC4\x00"), ERR_RANGE, "body is empty");
    assert_refused(make_delivered, "seq", IN("\xCF\x80\x00\x00\x00\x00\x00\x00\x00"), ERR_RANGE, "seq is 2^63 or more");
    assert_refused(make_history, "limit", IN("\x00"), ERR_RANGE, "limit is not 1 to 100");
    assert_refused(make_history, "limit", IN("\x65"), ERR_RANGE, "limit is not 1 to 100");
    assert_refused(make_history, "after", IN("\x01"), ERR_RANGE, "before and after are both set");
    assert_refused(make_history, "after", IN("\x00"), ERR_RANGE, "before and after are both set");
    assert_refused(make_history_around, "before", IN("\x01"), ERR_RANGE, "around and before or after are both set");
    assert_refused(make_history_around, "after", IN("\x00"), ERR_RANGE, "around and before or after are both set");
    assert_refused(make_tombstone, "from", IN("\x00"), ERR_RANGE, "from..to is no range of sequences");
    assert_refused(make_tombstone, "to", IN("\x07"), ERR_RANGE, "from..to is no range of sequences");
    assert_refused(make_hello, "device", IN("\x00"), ERR_RANGE, "device is 0");
    assert_refused(make_message, "device", IN("\x00"), ERR_RANGE, "device is 0");
    assert_refused(make_devices_revoke, "device", IN("\x00"), ERR_RANGE, "device is 0");
    assert_refused(make_devices_revoke, "device", IN("\xC0"), ERR_TYPE, "device is nil");
    assert_refused(make_devices_name, "device", IN("\xC0"), ERR_TYPE, "device is nil");
    assert_refused(make_devices_name, "name", IN("\xC0"), ERR_TYPE, "name is nil");
    assert_refused(make_devices_list, "action", IN("\x01"), ERR_TYPE, "device is nil");
}

static void values_at_the_edge_of_their_range_are_taken(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    const struct sample *send = sample_made_by(make_send), *history = sample_made_by(make_history);
    assert_int_equal(decode_with(send, "client_seq", IN("\x01"), &m, &why), 0);
    assert_int_equal(decode_with(send, "client_seq", IN("\xCF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), &m, &why), 0);
    assert_true(m.u.send.client_seq == NUMBER_MAX);
    assert_int_equal(decode_with(send, "settled", IN("\x00"), &m, &why), 0);
    assert_int_equal(decode_with(history, "limit", IN("\x01"), &m, &why), 0);
    assert_int_equal(decode_with(history, "limit", IN("\x64"), &m, &why), 0);
    assert_int_equal(decode_with(history, "before", IN("\xC0"), &m, &why), 0);
    assert_false(m.u.history.has_before);
    assert_int_equal(decode_with(history, "before", IN("\x00"), &m, &why), 0);
    assert_true(m.u.history.has_before && m.u.history.before == 0);
    assert_int_equal(decode_with(sample_made_by(make_history_after), "after", IN("\x00"), &m, &why), 0);
    assert_true(m.u.history.has_after && m.u.history.after == 0);
    assert_int_equal(decode_with(sample_made_by(make_history_around), "around", IN("\x00"), &m, &why), 0);
    assert_true(m.u.history.has_around && m.u.history.around == 0);
    assert_int_equal(decode_with(sample_made_by(make_tombstone), "to", IN("\x08"), &m, &why), 0);
}

static void a_body_is_taken_up_to_its_limit(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    struct buf raw;
    buf_init(&raw, FRAME_BYTES_MAX);
    buf_put_u8(&raw, 0xC5);
    buf_put_u16(&raw, BODY_BYTES_MAX);
    memset(buf_grow(&raw, BODY_BYTES_MAX), 'x', BODY_BYTES_MAX);
    assert_int_equal(decode_with(sample_made_by(make_send), "body", buf_bytes(&raw), &m, &why), 0);
    assert_int_equal(m.u.send.body.len, BODY_BYTES_MAX);
    buf_put_u8(&raw, 'x');
    put_u16(raw.at + 1, BODY_BYTES_MAX + 1);
    assert_refused(make_send, "body", buf_bytes(&raw), ERR_TOO_BIG, "body is too long");
    buf_fini(&raw);
}

static void names_and_texts_are_checked(void **state)
{
    (void)state;
    struct buf agent;
    buf_init(&agent, 1000);
    buf_put_u8(&agent, 0xD9);
    buf_put_u8(&agent, NAME_BYTES_MAX + 1);
    memset(buf_grow(&agent, NAME_BYTES_MAX + 1), 'a', NAME_BYTES_MAX + 1);
    assert_refused(make_hello, "agent", buf_bytes(&agent), ERR_TOO_BIG, "agent is too long");
    struct msg m;
    const char *why;
    agent.at[1] = NAME_BYTES_MAX;
    agent.len--;
    assert_int_equal(decode_with(sample_made_by(make_hello), "agent", buf_bytes(&agent), &m, &why), 0);
    buf_fini(&agent);
    assert_refused(make_hello, "agent", IN("\xA2\xC0\x80"), ERR_MALFORMED, "agent is not UTF-8");
    assert_refused(make_hello, "user", IN("\xA5" "Alice"), ERR_NAME, "user is not a user name");
    assert_refused(make_hello, "user", IN("\xA1" "a"), ERR_NAME, "user is not a user name");
    assert_refused(make_hello, "token", IN("\xC4\x03" "abc"), ERR_TYPE, "token is not a bin of 32 bytes");
    assert_refused(make_send, "to", IN("\xA3" "b b"), ERR_NAME, "to is not a user name");
    assert_refused(make_send, "to", IN("\xC4\x03" "abc"), ERR_TYPE, "to is not a string or a bin of 16 bytes");
    assert_refused(make_message, "id", IN("\xC4\x01" "a"), ERR_TYPE, "id is not a bin of 16 bytes");
    assert_refused(make_message, "members", IN("\x91\xA3" "bob"), ERR_TYPE, "members is not an array of two users");
    assert_refused(make_message, "members", IN("\x92\xA3" "bob\x05"), ERR_TYPE, "members is not a string");
    assert_refused(make_message, "members", IN("\x92\xA3" "bob\xA1" "b"), ERR_NAME, "members is not a user name");
    assert_refused(make_error, "text", IN("\xA1\xFF"), ERR_MALFORMED, "text is not UTF-8");
    assert_refused(make_devices_name, "name", IN("\xA2\xC0\x80"), ERR_MALFORMED, "name is not UTF-8");
    assert_refused(make_devices_name, "name", IN("\xA3" "a\0b"), ERR_MALFORMED, "name has a control character");
    assert_refused(make_devices_name, "name", IN("\xA2" "a\n"), ERR_MALFORMED, "name has a control character");
}

static void an_unknown_type_is_named_so_and_keeps_its_ref(void **state)
{
    (void)state;
    static const uint8_t unknown[] = { 0, 3, 7, 63, 71, 95, 98, 127 };
    for (size_t i = 0; i < sizeof unknown; i++) {
        uint8_t frame[] = { 0x93, unknown[i], 0x2A, 0x01 };
        struct msg m;
        const char *why;
        assert_int_equal(msg_decode(BYTES_OF(frame), &m, &why), ERR_UNKNOWN_TYPE);
        assert_int_equal(m.type, unknown[i]);
        assert_true(m.has_ref);
        assert_int_equal(m.ref, 42);
        assert_string_equal(why, "no such message type");
        assert_string_equal(msg_type_name(unknown[i]), "?");
    }
    struct msg m;
    const char *why;
    assert_int_equal(decode_hex("92cf00000001000000022a", &m, &why), ERR_UNKNOWN_TYPE);    /* not 2, cut to 32 bits */
    assert_int_equal(m.type, 0);
    assert_int_equal(m.ref, 42);
}

static void what_is_not_one_array_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "c0", "05", "a568656c6c6f", "80", "8112c0", "c1", "9212", "92120500", "921205c0", "931205", "dd0fffffff",
        "dcffff1205", "9212c1", "93120592", "931205a3", "931205c1", "9312059191919191919190", "9312059192c0",
        "931205db7fffffff", "931205c6ffffffff", "931205ddffffffff", "931205df80000000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct msg m;
        const char *why = NULL;
        int err = decode_hex(bad[i], &m, &why);
        if (err != ERR_MALFORMED) fail_msg("%s: %s", bad[i], err_name(err));
        assert_non_null(why);
    }
}

static void a_frame_broken_further_on_still_names_its_request(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    assert_int_equal(decode_hex("9602cd0102a3626f622928c408", &m, &why), ERR_MALFORMED);
    assert_int_equal(m.type, MSG_SEND);
    assert_true(m.has_ref);
    assert_int_equal(m.ref, 0x0102);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    assert_int_equal(NESTING_MAX, 6);
    assert_int_equal(decode_hex("9312059191919190", &m, &why), 0);
    assert_int_equal(decode_hex("931205919191919190", &m, &why), ERR_MALFORMED);
}

static void a_frame_above_the_limit_is_too_big(void **state)
{
    (void)state;
    struct msg m;
    const char *why;
    uint8_t *frame = calloc(1, FRAME_BYTES_MAX + 1);
    size_t body = FRAME_BYTES_MAX - 8;
    memcpy(frame, "\x93\x12\x05\xC6", 4);    /* PING with an unknown bin behind */
    put_u32(frame + 4, (uint32_t)body);
    assert_int_equal(msg_decode(bytes_of(frame, FRAME_BYTES_MAX), &m, &why), 0);
    put_u32(frame + 4, (uint32_t)body + 1);
    assert_int_equal(msg_decode(bytes_of(frame, FRAME_BYTES_MAX + 1), &m, &why), ERR_TOO_BIG);
    assert_int_equal(m.ref, 5);
    free(frame);
}

static void type_and_ref_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why;
        int err;
    } bad[] = {
        { "90", "type is not a number", ERR_TYPE },
        { "92a14105", "type is not a number", ERR_TYPE },
        { "92ff05", "type is not a number", ERR_TYPE },
        { "9112", "ref is missing", ERR_TYPE },
        { "9212a141", "ref is not a number", ERR_TYPE },
        { "9212ff", "ref is not a number", ERR_TYPE },
        { "9212c0", "ref is not a number", ERR_TYPE },         /* PING is answered, so it needs one */
        { "926705", "ref of an event is not nil", ERR_TYPE },  /* SYNCED */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct msg m;
        const char *why;
        assert_int_equal(decode_hex(bad[i].hex, &m, &why), bad[i].err);
        assert_string_equal(why, bad[i].why);
    }
    struct msg m;
    const char *why;
    assert_int_equal(decode_hex("9404c0a3626f6207", &m, &why), 0);
    assert_false(m.has_ref);
    assert_int_equal(decode_hex("940400a3626f6207", &m, &why), 0);
    assert_true(m.has_ref);
    assert_int_equal(m.ref, 0);
}

static void every_cut_of_every_frame_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t len;
        uint8_t *whole = bytes_of_hex(samples[i].hex, &len);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *exact = malloc(cut > 0 ? cut : 1);
            struct msg m;
            const char *why;
            memcpy(exact, whole, cut);
            assert_int_equal(msg_decode(bytes_of(exact, cut), &m, &why), ERR_MALFORMED);
            free(exact);
        }
        free(whole);
    }
}

/* ---- what is broken at random ---- */

static void a_frame_with_broken_bytes_is_refused_or_means_something(void **state)
{
    (void)state;
    uint64_t s = run_seed();
    size_t taken = 0, refused = 0;
    for (int round = 0; round < 30000; round++) {
        size_t len;
        uint8_t *at = bytes_of_hex(samples[chance_below(&s, SAMPLES)].hex, &len);
        for (uint64_t n = 1 + chance_below(&s, 3); n > 0; n--) at[chance_below(&s, len)] = (uint8_t)chance(&s);
        struct msg m, again;
        const char *why;
        int err = msg_decode(bytes_of(at, len), &m, &why);
        assert_true((err == 0) == (why == NULL));
        if (err) {
            refused++;
        } else {
            struct buf b;
            buf_init(&b, FRAME_BYTES_MAX);
            taken++;
            assert_int_equal(msg_encode(&m, &b), 0);
            assert_int_equal(msg_decode(buf_bytes(&b), &again, &why), 0);
            assert_int_equal(again.type, m.type);
            assert_true(again.ref == m.ref);
            buf_fini(&b);
        }
        free(at);
    }
    assert_true(taken > 100 && refused > 100);    /* else nothing was tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_field_is_refused_by_its_name),
        cmocka_unit_test(a_field_of_another_type_is_refused_by_its_name),
        cmocka_unit_test(values_outside_their_range_are_refused),
        cmocka_unit_test(values_at_the_edge_of_their_range_are_taken),
        cmocka_unit_test(a_body_is_taken_up_to_its_limit),
        cmocka_unit_test(names_and_texts_are_checked),
        cmocka_unit_test(an_unknown_type_is_named_so_and_keeps_its_ref),
        cmocka_unit_test(what_is_not_one_array_is_malformed),
        cmocka_unit_test(a_frame_broken_further_on_still_names_its_request),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_frame_above_the_limit_is_too_big),
        cmocka_unit_test(type_and_ref_are_checked),
        cmocka_unit_test(every_cut_of_every_frame_is_refused),
        cmocka_unit_test(a_frame_with_broken_bytes_is_refused_or_means_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
