/* fuzz_account.c - whatever a peer sends over HTTP about accounts: every JSON body, and the Authorization header.
 *
 * Not crashing is half of it. The other half: what was understood must be a fixed point, said again and read again it
 * is the same; and what was refused leaves no password behind. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_BYTES_MAX = 8 * ACCOUNT_BODY_BYTES_MAX };

static void check_request(struct bytes in, struct buf *once)
{
    static const struct account_request none;
    struct account_request r, back;
    const char *why;
    int err = account_request_decode(in, &r, &why);
    assert((err == 0) == (why == NULL));
    if (err) {
        assert(memcmp(&r, &none, sizeof r) == 0);
        return;
    }
    assert(bytes_is_line(bytes_of_str(r.device_name)));
    buf_clear(once);
    assert(account_request_encode(&r, once) == 0);
    /* What came in as bytes may need an escape going out, and the body has a limit. */
    if (once->len > ACCOUNT_BODY_BYTES_MAX) return;
    assert(account_request_decode(buf_bytes(once), &back, &why) == 0);
    assert(memcmp(&r, &back, sizeof r) == 0);
}

static void check_password(struct bytes in, struct buf *once,
                           int (*decode)(struct bytes, struct account_password *, const char **),
                           int (*encode)(const struct account_password *, struct buf *))
{
    static const struct account_password none;
    struct account_password p, back;
    const char *why;
    int err = decode(in, &p, &why);
    assert((err == 0) == (why == NULL));
    if (err) {
        assert(memcmp(&p, &none, sizeof p) == 0);
        return;
    }
    buf_clear(once);
    assert(encode(&p, once) == 0);
    if (once->len > ACCOUNT_BODY_BYTES_MAX) return;
    assert(decode(buf_bytes(once), &back, &why) == 0);
    assert(memcmp(&p, &back, sizeof p) == 0);
}

static void check_answer(struct bytes in, struct buf *once, struct buf *twice)
{
    struct account_answer answer, back;
    if (account_answer_decode(in, &answer) != 0) return;
    buf_clear(once);
    buf_clear(twice);
    assert(account_answer_encode(&answer, once) == 0);
    assert(account_answer_decode(buf_bytes(once), &back) == 0);
    assert(account_answer_encode(&back, twice) == 0);
    assert(bytes_equal(buf_bytes(once), buf_bytes(twice)));
}

static void check_error(struct bytes in, struct buf *once)
{
    struct account_error error, back;
    if (account_error_decode(in, &error) != 0) return;
    assert(error.err < 0);
    assert(memchr(error.text, 0, sizeof error.text));
    buf_clear(once);
    assert(account_error_encode(error.err, error.text, once) == 0);
    assert(account_error_decode(buf_bytes(once), &back) == 0);
    assert(strcmp(error.text, back.text) == 0);
}

static void check_info(struct bytes in, struct buf *once)
{
    struct server_info info, back;
    if (server_info_decode(in, &info) != 0) return;
    buf_clear(once);
    assert(server_info_encode(&info, once) == 0);
    assert(server_info_decode(buf_bytes(once), &back) == 0);
    assert(memcmp(&info, &back, sizeof info) == 0);
}

static void check_bearer(struct bytes in)
{
    struct bearer b, back;
    char text[BEARER_TEXT];
    if (bearer_parse(in, &b) != 0) return;
    bearer_print(&b, text);
    assert(bearer_parse(bytes_of_str(text), &back) == 0);
    assert(memcmp(&b, &back, sizeof b) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct buf once, twice;
    buf_init(&once, OUT_BYTES_MAX);
    buf_init(&twice, OUT_BYTES_MAX);
    check_request(in, &once);
    check_password(in, &once, account_password_decode, account_password_encode);
    check_password(in, &once, account_delete_decode, account_delete_encode);
    check_answer(in, &once, &twice);
    check_error(in, &once);
    check_info(in, &once);
    check_bearer(in);
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
