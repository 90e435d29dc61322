/* test_golden.c - docs/protocol.md and the code say the same.
 *
 * tests/golden/exchange.txt is the worked exchange: one line a frame, "who->whom NAME hex". The document must contain
 * exactly these lines, each must decode to the values stated here, and those values must encode to the same bytes. The
 * document's tables of errors, frames, codes kept free and limits are compared with the lists of the headers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/samples.h"

#define DOCUMENT "docs/protocol.md"
#define EXCHANGE "tests/golden/exchange.txt"

enum { FILE_BYTES_MAX = 256 * 1024, LINES_MAX = 2000, NAME_MAX_HERE = 32 };

struct text {
    char *whole;                   /* each line ends in a NUL */
    const char *line[LINES_MAX];
    size_t count;
};

static struct text document, exchange;

static struct text text_read(const char *path)
{
    struct text t = { .whole = calloc(1, FILE_BYTES_MAX) };
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s: not there; tests run from the root of the tree", path);
    size_t len = fread(t.whole, 1, FILE_BYTES_MAX - 1, f);
    assert_true(len > 0 && len < FILE_BYTES_MAX - 1);
    fclose(f);
    for (char *at = t.whole; *at;) {
        char *end = strchr(at, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_true(t.count < LINES_MAX);
        t.line[t.count++] = at;
        at = end + 1;
    }
    return t;
}

static size_t line_of(const struct text *t, const char *line)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->line[i], line) == 0) return i;
    fail_msg("%s has no line \"%s\"", DOCUMENT, line);
    return 0;
}

/* The rows of the table under `heading`, behind its two head lines. */
static size_t table_under(const char *heading, const char *const **rows_out)
{
    size_t i = line_of(&document, heading);
    while (i < document.count && strncmp(document.line[i], "|---", 4) != 0) i++;
    assert_true(i < document.count);
    *rows_out = &document.line[++i];
    size_t count = 0;
    while (i + count < document.count && document.line[i + count][0] == '|') count++;
    return count;
}

/* ---- the tables ---- */

static void the_table_of_errors_is_err_list(void **state)
{
    (void)state;
    static const struct { const char *name, *text; int code; bool again; } errors[] = {
#define ROW(name, code, again, text) { #name, text, code, again },
        ERR_LIST(ROW)
#undef ROW
    };
    const char *const *rows;
    size_t count = table_under("## Errors", &rows), told = 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code >= 100) continue;    /* inside: never sent to a peer */
        char want[256];
        snprintf(want, sizeof want, "| %d | %s | %s | %s |", errors[i].code, errors[i].name,
                 errors[i].again ? "yes" : "no", errors[i].text);
        if (told == count) fail_msg("the table ends before %s", errors[i].name);
        assert_string_equal(rows[told], want);
        told++;
    }
    assert_int_equal(told, count);
}

/* "### SEND (2), from the client" */
static void every_frame_has_its_heading_and_no_other_is_there(void **state)
{
    (void)state;
    static const struct { const char *name, *from; int code; } frames[] = {
#define FROM_C "client"
#define FROM_S "server"
#define ROW(name, code, member, direction) { #name, FROM_##direction, code },
        MSG_LIST(ROW)
#undef ROW
    };
    size_t headings = 0, count = sizeof frames / sizeof frames[0];
    for (size_t i = 0; i < count; i++) {
        char want[80];
        snprintf(want, sizeof want, "### %s (%d), from the %s", frames[i].name, frames[i].code, frames[i].from);
        line_of(&document, want);
    }
    for (size_t i = 0; i < document.count; i++)
        headings += strncmp(document.line[i], "### ", 4) == 0 && strstr(document.line[i], "), from the ") != NULL;
    assert_int_equal(headings, count);
}

/* The names in the first column of the table of fields behind line `heading`, with blanks between; "" without one. */
static void fields_in_document(size_t heading, char *out, size_t size)
{
    size_t i = heading + 1, len = 0;
    out[0] = '\0';
    while (i < document.count && document.line[i][0] != '#' && strncmp(document.line[i], "|---", 4) != 0) i++;
    if (i == document.count || document.line[i][0] == '#') return;
    while (document.line[++i][0] == '|') {
        const char *name = document.line[i] + 2;
        len += (size_t)snprintf(out + len, size - len, "%s%.*s", len > 0 ? " " : "", (int)strcspn(name, " "), name);
        assert_true(len < size);
    }
}

/* The fields of a sample are held to the code by test_codec_refuse.c. */
static void every_frame_lists_its_fields_in_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        char is[256], prefix[64];
        const char *most = samples[i].fields;    /* SEND has a sample that leaves some out */
        for (size_t k = 0; k < SAMPLES; k++)
            if (strcmp(samples[k].type, samples[i].type) == 0 && strlen(samples[k].fields) > strlen(most))
                most = samples[k].fields;
        size_t heading = 0, len = (size_t)snprintf(prefix, sizeof prefix, "### %s (", samples[i].type);
        while (heading < document.count && strncmp(document.line[heading], prefix, len) != 0) heading++;
        assert_true(heading < document.count);
        fields_in_document(heading, is, sizeof is);
        assert_string_equal(is, most);
    }
}

static void codes_kept_free_are_given_to_nothing_else(void **state)
{
    (void)state;
    const char *const *rows;
    size_t count = table_under("## What is not there yet", &rows), codes = 0;
    for (size_t i = 0; i < count; i++) {
        for (const char *at = rows[i]; *at; at++) {
            if (*at < '0' || *at > '9') continue;
            char *end;
            unsigned long code = strtoul(at, &end, 10);
            if (strcmp(msg_type_name((unsigned)code), "?") != 0)
                fail_msg("%lu is %s", code, msg_type_name((unsigned)code));
            codes++;
            at = end - 1;
        }
    }
    assert_int_equal(codes, 13);
}

static void the_table_of_limits_is_that_of_the_header(void **state)
{
    (void)state;
    static const struct { const char *name; int value; } limits[] = {
        { "frame_bytes_max", FRAME_BYTES_MAX },         { "body_bytes_max", BODY_BYTES_MAX },
        { "text_bytes_max", TEXT_BYTES_MAX },           { "window_messages_max", WINDOW_MESSAGES_MAX },
        { "window_bytes_max", WINDOW_BYTES_MAX },       { "page_records_max", PAGE_RECORDS_MAX },
        { "unsettled_max", REPEATS_MAX },
    };
    static const char *const names[] = {
#define NAME(member) #member,
        LIMIT_LIST(NAME)
#undef NAME
    };
    const char *const *rows;
    size_t count = table_under("## Limits", &rows);
    assert_int_equal(count, sizeof limits / sizeof limits[0]);
    assert_int_equal(count, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < count; i++) {
        char want[80];
        assert_string_equal(limits[i].name, names[i]);
        snprintf(want, sizeof want, "| `%s` | %d |", limits[i].name, limits[i].value);
        assert_int_equal(strncmp(rows[i], want, strlen(want)), 0);
    }
}

/* ---- the worked exchange ---- */

static void the_document_contains_exactly_these_lines(void **state)
{
    (void)state;
    size_t from = line_of(&document, "```exchange") + 1;
    for (size_t i = 0; i < exchange.count; i++) assert_string_equal(document.line[from + i], exchange.line[i]);
    assert_string_equal(document.line[from + exchange.count], "```");
}

static struct user_id user(const char *name)
{
    struct user_id id;
    assert_int_equal(user_id_parse(bytes_of_str(name), &id), 0);
    return id;
}

static struct conv_id conv(void)
{
    struct user_id alice = user("alice"), bob = user("bob");
    return conv_id_direct(&alice, &bob);
}

static struct msg_id id(void)
{
    static const struct msg_id none;
    static const uint8_t random[8] = { 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18 };
    return msg_id_next(&none, NOW_MS + 250, random);
}

static struct msg request(enum msg_type type, uint64_t ref)
{
    return (struct msg){ .type = type, .has_ref = true, .ref = ref };
}

static const uint8_t body[] = { 0x92, 0x00, 0xA5, 'h', 'e', 'l', 'l', 'o' };

enum { STEPS = 9 };

/* The values the document states, in the order of the lines. */
static void make(struct msg step[static STEPS])
{
    static uint8_t token[TOKEN_BYTES];
    for (size_t i = 0; i < sizeof token; i++) token[i] = (uint8_t)i;

    step[0] = request(MSG_HELLO, 1);
    step[0].u.hello = (struct msg_hello){
        .version = 1, .user = user("alice"), .device = { DEVICE_A }, .token = BYTES_OF(token),
        .agent = bytes_of_str("example 1.0"),
    };
    step[1] = request(MSG_WELCOME, 1);
    step[1].u.welcome = (struct msg_welcome){
        .now_ms = NOW_MS, .heartbeat_ms = 30000, .client_seq_max = 40, .list_version = 1,
        .server = bytes_of_str("pipitd 0.1.0"), .frame_bytes_max = FRAME_BYTES_MAX, .body_bytes_max = BODY_BYTES_MAX,
        .text_bytes_max = TEXT_BYTES_MAX, .window_messages_max = WINDOW_MESSAGES_MAX,
        .window_bytes_max = WINDOW_BYTES_MAX, .page_records_max = PAGE_RECORDS_MAX, .unsettled_max = REPEATS_MAX,
    };
    for (size_t i = 0; i < 16; i++) step[1].u.welcome.generation[i] = (uint8_t)(0xF0 + i);
    step[2] = request(MSG_SEND, 2);
    step[2].u.send = (struct msg_send){
        .to = { .is_user = true, .user = user("bob") }, .client_seq = 41, .settled = 41, .body = BYTES_OF(body),
    };
    step[3] = request(MSG_ACCEPTED, 2);
    step[3].u.accepted = (struct msg_accepted){ conv(), 7, id(), 41, 0 };
    step[4] = (struct msg){ .type = MSG_MESSAGE };
    step[4].u.message = (struct msg_message){
        .conv = conv(), .seq = 7, .id = id(), .kind = KIND_MESSAGE, .flags = RECORD_COUNTS, .counted = 5,
        .from = user("alice"), .device = { DEVICE_A }, .client_seq = 41, .is_direct = true,
        .members = { user("alice"), user("bob") }, .body = BYTES_OF(body),
    };
    step[5] = (struct msg){ .type = MSG_DELIVERED };
    step[5].u.cursor = (struct msg_cursor){ .to = { .conv = conv() }, .seq = 7 };
    step[6] = (struct msg){ .type = MSG_RECEIPT };
    step[6].u.receipt = (struct msg_receipt){ conv(), user("bob"), 7, 4, NOW_MS + 300 };
    step[7] = (struct msg){ .type = MSG_READ };
    step[7].u.cursor = step[5].u.cursor;
    step[8] = (struct msg){ .type = MSG_RECEIPT };
    step[8].u.receipt = (struct msg_receipt){ conv(), user("bob"), 7, 7, NOW_MS + 2000 };
}

/* "bob->server READ 9405…": the name and the frame. False: not of this form. */
static bool line_take(const char *line, char name[static NAME_MAX_HERE], struct buf *frame)
{
    int hex_at = 0;
    if (sscanf(line, "%*[a-z]->%*[a-z] %31[A-Z_] %n", name, &hex_at) != 1 || hex_at == 0) return false;
    const char *hex = line + hex_at;
    size_t len = strlen(hex);
    if (len == 0 || len % 2 != 0 || strspn(hex, "0123456789abcdef") != len) return false;
    uint8_t *at = bytes_of_hex(hex, &len);
    buf_clear(frame);
    buf_put(frame, at, len);
    free(at);
    return true;
}

static void the_stated_values_encode_to_these_bytes(void **state)
{
    (void)state;
    struct msg step[STEPS];
    struct buf want, is;
    buf_init(&want, FRAME_BYTES_MAX);
    buf_init(&is, FRAME_BYTES_MAX);
    make(step);
    assert_int_equal(exchange.count, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        char name[NAME_MAX_HERE];
        if (!line_take(exchange.line[i], name, &want)) fail_msg("%s:%zu", EXCHANGE, i + 1);
        assert_string_equal(name, msg_type_name(step[i].type));
        buf_clear(&is);
        assert_int_equal(msg_encode(&step[i], &is), 0);
        if (!bytes_equal(buf_bytes(&is), buf_bytes(&want))) fail_msg("%s:%zu, %s", EXCHANGE, i + 1, name);
    }
    buf_fini(&want);
    buf_fini(&is);
}

/* ---- each line decodes to the stated values, field by field ---- */

#define SAME(a, b) assert_true((a) == (b))
#define SAME_ID(a, b) assert_memory_equal((a).v, (b).v, sizeof(a).v)
#define SAME_BYTES(a, b) assert_true(bytes_equal((a), (b)))

static void same_where(const struct where *is, const struct where *want)
{
    SAME(is->is_user, want->is_user);
    SAME_ID(is->user, want->user);
    SAME_ID(is->conv, want->conv);
}

static void same_welcome(const struct msg_welcome *is, const struct msg_welcome *want)
{
    SAME(is->now_ms, want->now_ms);
    SAME(is->heartbeat_ms, want->heartbeat_ms);
    assert_memory_equal(is->generation, want->generation, 16);
    SAME(is->client_seq_max, want->client_seq_max);
    SAME(is->list_version, want->list_version);
    SAME_BYTES(is->server, want->server);
#define SAME_LIMIT(member) SAME(is->member, want->member);
    LIMIT_LIST(SAME_LIMIT)
#undef SAME_LIMIT
}

static void same_message(const struct msg_message *is, const struct msg_message *want)
{
    SAME_ID(is->conv, want->conv);
    SAME(is->seq, want->seq);
    SAME_ID(is->id, want->id);
    SAME(is->kind, want->kind);
    SAME(is->flags, want->flags);
    SAME(is->counted, want->counted);
    SAME_ID(is->from, want->from);
    SAME(is->device.v, want->device.v);
    SAME(is->client_seq, want->client_seq);
    SAME(is->is_direct, want->is_direct);
    SAME_ID(is->members[0], want->members[0]);
    SAME_ID(is->members[1], want->members[1]);
    SAME_BYTES(is->body, want->body);
}

static void same_msg(const struct msg *is, const struct msg *want)
{
    SAME(is->type, want->type);
    SAME(is->has_ref, want->has_ref);
    SAME(is->ref, want->ref);
    switch (want->type) {
    case MSG_HELLO:
        SAME(is->u.hello.version, want->u.hello.version);
        SAME_ID(is->u.hello.user, want->u.hello.user);
        SAME(is->u.hello.device.v, want->u.hello.device.v);
        SAME_BYTES(is->u.hello.token, want->u.hello.token);
        SAME_BYTES(is->u.hello.agent, want->u.hello.agent);
        break;
    case MSG_WELCOME:
        same_welcome(&is->u.welcome, &want->u.welcome);
        break;
    case MSG_SEND:
        same_where(&is->u.send.to, &want->u.send.to);
        SAME(is->u.send.client_seq, want->u.send.client_seq);
        SAME(is->u.send.settled, want->u.send.settled);
        SAME_BYTES(is->u.send.body, want->u.send.body);
        assert_null(send_unsupported(&is->u.send));
        break;
    case MSG_ACCEPTED:
        SAME_ID(is->u.accepted.conv, want->u.accepted.conv);
        SAME(is->u.accepted.seq, want->u.accepted.seq);
        SAME_ID(is->u.accepted.id, want->u.accepted.id);
        SAME(is->u.accepted.client_seq, want->u.accepted.client_seq);
        break;
    case MSG_MESSAGE:
        same_message(&is->u.message, &want->u.message);
        break;
    case MSG_DELIVERED:
    case MSG_READ:
        same_where(&is->u.cursor.to, &want->u.cursor.to);
        SAME(is->u.cursor.seq, want->u.cursor.seq);
        break;
    case MSG_RECEIPT:
        SAME_ID(is->u.receipt.conv, want->u.receipt.conv);
        SAME_ID(is->u.receipt.user, want->u.receipt.user);
        SAME(is->u.receipt.delivered, want->u.receipt.delivered);
        SAME(is->u.receipt.read, want->u.receipt.read);
        SAME(is->u.receipt.time_ms, want->u.receipt.time_ms);
        break;
    default:
        fail_msg("%s is not part of the exchange", msg_type_name(want->type));
    }
}

static void these_bytes_decode_to_the_stated_values(void **state)
{
    (void)state;
    struct msg step[STEPS];
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    make(step);
    assert_int_equal(exchange.count, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        char name[NAME_MAX_HERE];
        struct msg is;
        const char *why;
        assert_true(line_take(exchange.line[i], name, &frame));
        assert_int_equal(msg_decode(buf_bytes(&frame), &is, &why), 0);
        same_msg(&is, &step[i]);
    }
    buf_fini(&frame);
}

static void the_ids_in_the_document_are_those_of_the_exchange(void **state)
{
    (void)state;
    char conv_text[CONV_ID_TEXT], id_text[MSG_ID_TEXT];
    struct conv_id c = conv();
    struct msg_id m = id();
    conv_id_print(&c, conv_text);
    msg_id_print(&m, id_text);
    size_t convs = 0, ids = 0;
    for (size_t i = 0; i < document.count; i++) {
        bool is_prose = strstr(document.line[i], "->") == NULL;    /* the exchange has the conversation in hex, too */
        convs += is_prose && strstr(document.line[i], conv_text) != NULL;
        ids += strstr(document.line[i], id_text) != NULL;
    }
    assert_int_equal(convs, 1);
    assert_int_equal(ids, 1);
}

static int open_files(void **state)
{
    (void)state;
    document = text_read(DOCUMENT);
    exchange = text_read(EXCHANGE);
    return 0;
}

static int close_files(void **state)
{
    (void)state;
    free(document.whole);
    free(exchange.whole);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_errors_is_err_list),
        cmocka_unit_test(every_frame_has_its_heading_and_no_other_is_there),
        cmocka_unit_test(every_frame_lists_its_fields_in_their_order),
        cmocka_unit_test(codes_kept_free_are_given_to_nothing_else),
        cmocka_unit_test(the_table_of_limits_is_that_of_the_header),
        cmocka_unit_test(the_document_contains_exactly_these_lines),
        cmocka_unit_test(the_stated_values_encode_to_these_bytes),
        cmocka_unit_test(these_bytes_decode_to_the_stated_values),
        cmocka_unit_test(the_ids_in_the_document_are_those_of_the_exchange),
    };
    return cmocka_run_group_tests(tests, open_files, close_files);
}
