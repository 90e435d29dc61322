/* tls.c - see tls.h. The one file here that drives an SSL; certs.c makes what it begins with.
 *
 * OpenSSL reads and writes through a BIO of ours: reading takes from the bytes that are being fed, writing adds to
 * `out`. With SSL_MODE_RELEASE_BUFFERS (certs.c) it keeps no buffer between records, and neither do we: `out` is
 * allocated by the first byte and freed with the last. */
#include "server/net/tls.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proto/err.h"
#include "server/net/certs_impl.h"

enum { OUT_BYTES_FIRST = 4096 };                 /* a handshake's answer with a short chain */

struct tls {
    struct tls_side side;                        /* what certs.c's callbacks know of it; first */
    SSL *ssl;
    struct bytes in;                             /* while feeding: not read yet */
    uint8_t *out, *lent;
    uint32_t out_at, out_len, out_cap;           /* of out: taken, all, room */
    bool open, over, ended;
    const char *why;
};

/* -- the BIO -- */

static int bio_read(BIO *bio, char *to, size_t room, size_t *got_out)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t n = room < t->in.len ? room : t->in.len;
    memcpy(to, t->in.at, n);
    t->in = bytes_of(t->in.at + n, t->in.len - n);
    *got_out = n;
    return 1;
}

static bool out_make_room(struct tls *t, size_t len)
{
    size_t need = t->out_len + len;
    if (need <= t->out_cap) return true;
    if (need > TLS_OUT_BYTES_MAX) return false;
    size_t cap = t->out_cap ? t->out_cap : OUT_BYTES_FIRST;
    while (cap < need) cap *= 2;
    uint8_t *out = realloc(t->out, cap);
    if (!out) return false;
    t->out = out;
    t->out_cap = (uint32_t)cap;
    return true;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *took_out)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!out_make_room(t, len)) return 0;
    memcpy(t->out + t->out_len, from, len);
    t->out_len += (uint32_t)len;
    *took_out = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_kind;                     /* made once, then only read */

static void make_bio_kind(void)
{
    BIO_METHOD *kind = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pipit");
    if (kind && BIO_meth_set_read_ex(kind, bio_read) && BIO_meth_set_write_ex(kind, bio_write) &&
        BIO_meth_set_ctrl(kind, bio_ctrl) && BIO_meth_set_create(kind, bio_create)) bio_kind = kind;
    else BIO_meth_free(kind);
}

/* -- life -- */

int tls_new(struct certs *certs, struct tls **tls_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_kind);
    struct tls *t = calloc(1, sizeof *t);
    BIO *bio = t && bio_kind ? BIO_new(bio_kind) : NULL;
    SSL *ssl = bio ? SSL_new(certs_context(certs)) : NULL;
    if (!ssl) {
        BIO_free(bio);
        free(t);
        ERR_clear_error();
        return ERR_NOMEM;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    SSL_set_app_data(ssl, &t->side);
    t->side.certs = certs_ref(certs);
    t->ssl = ssl;
    t->why = "";
    *tls_out = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t) return;
    SSL_free(t->ssl);
    certs_unref(t->side.certs);
    free(t->out);
    free(t->lent);
    free(t);
}

/* -- what OpenSSL says -- */

/* After a call that did not succeed: 0 is "later". */
static int result_of(struct tls *t, int rc)
{
    int what = SSL_get_error(t->ssl, rc);
    if (what == SSL_ERROR_WANT_READ) return 0;
    if (what == SSL_ERROR_ZERO_RETURN) return ERR_END;
    unsigned long error = ERR_peek_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    t->over = true;
    t->why = reason ? reason : "TLS failed";
    bool no_memory = error && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return no_memory ? ERR_NOMEM : ERR_MALFORMED;
}

int tls_feed(struct tls *t, struct bytes in, uint64_t wall_ms, uint8_t *plain, size_t *plain_len_out)
{
    size_t room = in.len + TLS_FEED_MORE, len = 0, got = 0;
    int err = 0, rc = 1;
    *plain_len_out = 0;
    if (t->over) return ERR_MALFORMED;
    t->in = in;
    t->side.wall_ms = wall_ms;
    ERR_clear_error();
    if (!t->open) {
        rc = SSL_do_handshake(t->ssl);
        t->open = rc == 1;
    }
    if (rc == 1) {
        while ((rc = SSL_read_ex(t->ssl, plain + len, room - len, &got)) == 1) {
            len += got;
            assert(len < room);                  /* or there would be nowhere to put what is still to come */
        }
    }
    err = result_of(t, rc);
    assert(err || t->in.len == 0);
    t->in = BYTES_NONE;
    *plain_len_out = len;
    return err;
}

bool tls_is_open(const struct tls *t)
{
    return t->open && !t->over;
}

bool tls_is_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

/* -- output -- */

int tls_seal(struct tls *t, struct bytes plain)
{
    size_t took = 0;
    assert(tls_is_open(t) && !t->ended);
    if (plain.len == 0) return 0;
    ERR_clear_error();
    /* The BIO takes everything or fails, so it is all or the end. */
    if (SSL_write_ex(t->ssl, plain.at, plain.len, &took) == 1) {
        assert(took == plain.len);
        return 0;
    }
    t->over = true;
    t->why = "no memory to encrypt with";
    ERR_clear_error();
    return ERR_NOMEM;
}

void tls_end(struct tls *t)
{
    if (t->ended || !tls_is_open(t)) return;
    t->ended = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);                  /* 0: the peer has not said it yet, and need not */
    ERR_clear_error();
}

struct bytes tls_out(const struct tls *t)
{
    return t->out ? bytes_of(t->out + t->out_at, t->out_len - t->out_at) : BYTES_NONE;
}

static void out_reset(struct tls *t)
{
    t->out = NULL;
    t->out_at = t->out_len = t->out_cap = 0;
}

void tls_took(struct tls *t, size_t bytes)
{
    assert(bytes <= t->out_len - t->out_at);
    t->out_at += (uint32_t)bytes;
    if (t->out_at < t->out_len) return;
    free(t->out);
    out_reset(t);
}

struct bytes tls_lend(struct tls *t)
{
    struct bytes all = tls_out(t);
    assert(!t->lent && all.len);
    t->lent = t->out;
    out_reset(t);
    return all;
}

void tls_give_back(struct tls *t)
{
    free(t->lent);
    t->lent = NULL;
}
