/* fuzz_tls.c - whatever a peer sends where TLS is spoken: before a handshake, and after one.
 *
 * The first byte: its lowest bit puts a real handshake before the rest, the others choose how that is cut into reads. It
 * is fed at once and cut, and both must come to the same verdict; nothing of it may be taken for the peer's words, since
 * no input here can know the session's keys. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proto/err.h"
#include "server/net/tls.h"
#include "tests/harness/certbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIRE_BYTES = 1 << 16, WALL_MS = 1700000000 };

static struct certs *certs;
static SSL_CTX *ctx;

static void begin(void)
{
    if (certs) return;
    certbox_issue("cert", "localhost", NULL, 30);
    certs = certbox_load("cert", 1);
    ctx = SSL_CTX_new(TLS_client_method());
    assert(ctx);
}

/* What the server says of these bytes; all that it makes of them is plain text, so none. */
static int feed(struct tls *t, const uint8_t *at, size_t len)
{
    uint8_t *plain = malloc(len + TLS_FEED_MORE);
    size_t plain_len = 0;
    assert(plain);
    int err = tls_feed(t, bytes_of(at, len), WALL_MS, plain, &plain_len);
    assert(plain_len == 0);
    assert(tls_out(t).len <= TLS_OUT_BYTES_MAX);
    free(plain);
    return err;
}

static void shake_hands(struct tls *t)
{
    static uint8_t wire[WIRE_BYTES];
    SSL *ssl = SSL_new(ctx);
    assert(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    for (int round = 0; round < 4; round++) {
        (void)SSL_do_handshake(ssl);
        int n = BIO_read(SSL_get_wbio(ssl), wire, sizeof wire);
        if (n > 0) (void)feed(t, wire, (size_t)n);
        struct bytes out = tls_out(t);
        if (out.len) BIO_write(SSL_get_rbio(ssl), out.at, (int)out.len);
        tls_took(t, out.len);
    }
    assert(tls_is_open(t));
    SSL_free(ssl);
    ERR_clear_error();
}

static int verdict(const uint8_t *at, size_t len, uint8_t how, bool cut)
{
    struct tls *t;
    uint32_t step = how;
    int err = tls_new(certs, &t);
    assert(err == 0);
    if (how & 1) shake_hands(t);
    while (len && !err) {
        size_t n = cut ? 1 + (step >> 1) % 200 : len;
        if (n > len) n = len;
        err = feed(t, at, n);
        at += n;
        len -= n;
        step = step * 1103515245 + 12345;
    }
    if (err) {
        assert(err == ERR_MALFORMED || err == ERR_END || err == ERR_NOMEM);
        if (err == ERR_MALFORMED) assert(tls_why(t)[0] && !tls_is_open(t));
    }
    tls_free(t);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    begin();
    int whole = verdict(data + 1, size - 1, data[0], false), cut = verdict(data + 1, size - 1, data[0], true);
    assert(whole == cut);
    return 0;
}
