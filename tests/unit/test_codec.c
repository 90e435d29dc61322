/* test_codec.c - frames are read as they were meant, and refused by name when they were not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "proto/mpack.h"
#include "tests/unit/samples.h"

#define IN(literal) bytes_of(literal, sizeof(literal) - 1)

enum { ITEMS_MAX = 16 };

/* A frame taken apart, to be put together differently. */
struct parts {
    uint8_t *owned;                    /* what the views point into */
    struct bytes item[ITEMS_MAX];      /* type, ref, fields, as raw MessagePack */
    size_t count;
};

static struct parts parts_of(const struct sample *sample)
{
    struct parts p = { 0 };
    size_t len;
    p.owned = bytes_of_hex(sample->hex, &len);
    struct reader r = reader_of(bytes_of(p.owned, len));
    struct mpack_item head;
    assert_true(mpack_next(&r, &head));
    assert_int_equal(head.kind, MPACK_ARRAY);
    while (r.left > 0) {
        struct reader start = r;
        assert_true(mpack_skip(&r, NESTING_MAX));
        p.item[p.count++] = bytes_of(start.at, start.left - r.left);
    }
    assert_int_equal(p.count, head.number);
    return p;
}

/* The frame of the first `count` parts. Into memory of exactly its size; the caller frees. */
static struct bytes join(const struct parts *p, size_t count)
{
    struct buf b;
    buf_init(&b, 2 * FRAME_BYTES_MAX);
    buf_put_u8(&b, 0xDC);
    buf_put_u16(&b, (uint16_t)count);
    for (size_t i = 0; i < count; i++) buf_put(&b, p->item[i].at, p->item[i].len);
    assert_int_equal(b.err, 0);
    uint8_t *exact = malloc(b.len);
    memcpy(exact, b.at, b.len);
    size_t len = b.len;
    buf_fini(&b);
    return bytes_of(exact, len);
}

static int decode_parts(const struct parts *p, size_t count, struct msg *msg_out, const char **why_out)
{
    struct bytes frame = join(p, count);
    int err = msg_decode(frame, msg_out, why_out);
    free((void *)frame.at);
    return err;
}

static int decode_hex(const char *hex, struct msg *msg_out, const char **why_out)
{
    size_t len;
    uint8_t *at = bytes_of_hex(hex, &len);
    int err = msg_decode(bytes_of(at, len), msg_out, why_out);
    free(at);
    return err;
}

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
        "HISTORY before", "HISTORY after", "ERROR again_in_ms", "MESSAGE members",
    };
    char both[2 * NAME_BYTES_MAX];
    snprintf(both, sizeof both, "%s %s", sample->type, field);
    for (size_t i = 0; i < sizeof nilable / sizeof nilable[0]; i++)
        if (strcmp(both, nilable[i]) == 0) return true;
    return false;
}

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
        /* A SEND that leaves fields out has no room behind them for unknown ones. */
        if (samples[i].make == make_send) continue;
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
                if (was.kind == MPACK_NIL && may_be_nil(&samples[i], field)) continue;    /* other samples have it set */
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
static int decode_with(const struct sample *sample, const char *field, struct bytes raw, struct msg *m, const char **why)
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
    assert_refused(make_hello, "device", IN("\x00"), ERR_RANGE, "device is 0");
    assert_refused(make_message, "device", IN("\x00"), ERR_RANGE, "device is 0");
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
    assert_int_equal(m.u.history.before, 0);
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
}

static void an_unknown_type_is_named_so_and_keeps_its_ref(void **state)
{
    (void)state;
    static const uint8_t unknown[] = { 0, 3, 7, 63, 70, 95, 98, 127 };
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

static uint64_t next_random(uint64_t *s)    /* splitmix64 */
{
    uint64_t z = *s += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void a_frame_with_broken_bytes_is_refused_or_means_something(void **state)
{
    (void)state;
    const char *given = getenv("PIPIT_SEED");
    uint64_t s = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("PIPIT_SEED=%llu\n", (unsigned long long)s);
    size_t taken = 0, refused = 0;
    for (int round = 0; round < 30000; round++) {
        size_t len;
        uint8_t *at = bytes_of_hex(samples[next_random(&s) % SAMPLES].hex, &len);
        for (uint64_t n = 1 + next_random(&s) % 3; n > 0; n--) at[next_random(&s) % len] = (uint8_t)next_random(&s);
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
    longer.at[0] = 0x90 | 12;
    buf_put(&longer, "\x81\x01\x02", 3);
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
    rest = IN("\x91\x05");
    assert_int_equal(members_next(&rest, &member), ERR_TYPE);
    rest = IN("\x93\xA2" "bo\xA1x\xC0");
    assert_int_equal(members_next(&rest, &member), ERR_TYPE);
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
    static const char *const order[] = { "group_version", "list_versions", "envelopes", "media", "wake", "expire_s" };
    struct msg m = make_send_full();
    struct msg_send *send = &m.u.send;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_string_equal(send_unsupported(send), order[i]);
        if (i == 0) send->group_version = 0;
        if (i == 1) send->list_versions = BYTES_NONE;
        if (i == 2) send->envelopes = IN("\x80");    /* of nothing is as good as none */
        if (i == 3) send->media = IN("\xDC\x00\x00");
        if (i == 4) send->wake = IN("\x90");
        if (i == 5) send->expire_s = 0;
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
        cmocka_unit_test(the_records_of_a_page_come_in_turn_and_end),
        cmocka_unit_test(a_record_of_a_newer_server_keeps_its_known_fields),
        cmocka_unit_test(a_broken_record_is_refused_and_the_place_kept),
        cmocka_unit_test(the_members_of_an_info_answer_come_in_turn),
        cmocka_unit_test(a_text_is_read_back_and_other_content_is_left_to_newer_clients),
        cmocka_unit_test(a_send_names_the_first_field_not_supported),
        cmocka_unit_test(every_type_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
