/* certs.c - see certs.h. Files to one SSL_CTX for each certificate; what a handshake asks of us. */
#include "server/net/certs_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "proto/bytes.h"
#include "proto/err.h"

enum {
    TICKET_NAME_BYTES = 16, TICKET_AES_BYTES = 32, TICKET_MAC_BYTES = 32,
    PATH_TEXT = 512,
};

struct certs {
    _Atomic uint32_t refs;
    uint32_t count;
    SSL_CTX *contexts[CERTS_MAX];
    uint8_t secret[CERTS_SECRET_BYTES];
};

static const char separators[] = ", \t";

/* -- tickets -- */

struct ticket_key {
    uint8_t name[TICKET_NAME_BYTES], aes[TICKET_AES_BYTES], mac[TICKET_MAC_BYTES];
};

static void ticket_key_make(const struct certs *certs, uint64_t period, struct ticket_key *key)
{
    uint8_t number[8];
    put_u64(number, period);
    crypto_generichash_state state;
    uint8_t all[crypto_generichash_BYTES_MAX];
    _Static_assert(TICKET_AES_BYTES + TICKET_MAC_BYTES == crypto_generichash_BYTES_MAX, "one hash is both");
    crypto_generichash_init(&state, certs->secret, sizeof certs->secret, sizeof all);
    crypto_generichash_update(&state, (const uint8_t *)"keys", 4);
    crypto_generichash_update(&state, number, sizeof number);
    crypto_generichash_final(&state, all, sizeof all);
    memcpy(key->aes, all, sizeof key->aes);
    memcpy(key->mac, all + sizeof key->aes, sizeof key->mac);
    crypto_generichash_init(&state, certs->secret, sizeof certs->secret, sizeof key->name);
    crypto_generichash_update(&state, (const uint8_t *)"name", 4);
    crypto_generichash_update(&state, number, sizeof number);
    crypto_generichash_final(&state, key->name, sizeof key->name);
    sodium_memzero(all, sizeof all);
}

static int ticket_set(const struct ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                      int encrypts)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    if (!EVP_MAC_CTX_set_params(mac, params)) return 0;
    return encrypts ? EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv)
                    : EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv);
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 done, 2 done and a new ticket is due, 0 unknown key, -1 failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypts)
{
    const struct tls_side *side = SSL_get_app_data(ssl);
    uint64_t period = side->wall_ms / 1000 / CERTS_TICKET_S;
    struct ticket_key key;
    int result = 0;
    if (SSL_version(ssl) < TLS1_3_VERSION) return 0;
    if (encrypts) {
        ticket_key_make(side->certs, period, &key);
        memcpy(name, key.name, sizeof key.name);
        result = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
                 ticket_set(&key, iv, cipher, mac, 1) ? 1 : -1;
    }
    for (uint64_t age = 0; !encrypts && !result && age <= 1 && age <= period; age++) {
        ticket_key_make(side->certs, period - age, &key);
        if (sodium_memcmp(name, key.name, sizeof key.name) != 0) continue;
        /* A new one is due each time: a ticket that is shown twice tells who looks on that both are one (C.4). */
        result = ticket_set(&key, iv, cipher, mac, 0) ? 2 : -1;
    }
    sodium_memzero(&key, sizeof key);
    return result;
}

/* -- what a client asks for -- */

static int on_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_side *side = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    (void)arg;
    for (uint32_t i = 0; name && i < side->certs->count; i++) {
        SSL_CTX *context = side->certs->contexts[i];
        if (X509_check_host(SSL_CTX_get0_certificate(context), name, 0, 0, NULL) != 1) continue;
        SSL_set_SSL_CTX(ssl, context);
        break;
    }
    return SSL_TLSEXT_ERR_OK;                    /* a name that is none of ours sees the first, and may judge it */
}

static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    int found = SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof ours - 1, in, in_len);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* -- files -- */

static int refuse(char why[static CERTS_WHY_MAX], const char *path, const char *text)
{
    snprintf(why, CERTS_WHY_MAX, "%.200s: %.180s", path, text);
    ERR_clear_error();
    return ERR_CONFIG;
}

static int refuse_ssl(char why[static CERTS_WHY_MAX], const char *path, const char *what)
{
    unsigned long error = ERR_peek_error();      /* the first is the nearest to the cause */
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    char text[CERTS_WHY_MAX];
    bool unknown = ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER || ERR_GET_REASON(error) == ERR_R_UNSUPPORTED;
    if (unknown || (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)) reason = "there is no PEM block of that kind in it";
    snprintf(text, sizeof text, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    return refuse(why, path, text);
}

static int can_read(const char *path, char why[static CERTS_WHY_MAX])
{
    FILE *file = fopen(path, "re");
    if (!file) return refuse(why, path, strerror(errno));
    int c = getc(file);                          /* a folder opens, and cannot be read */
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed) return refuse(why, path, strerror(failed));
    return c == EOF ? refuse(why, path, "the file is empty") : 0;
}

/* By default OpenSSL would ask at the terminal. */
static int no_password(char *to, int room, int writes, void *asked)
{
    (void)to;
    (void)room;
    (void)writes;
    *(bool *)asked = true;
    return 0;
}

static int context_set(SSL_CTX *context)
{
    static const unsigned char session_context[] = "pipit";
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);         /* tickets are kept by clients */
    SSL_CTX_set_timeout(context, CERTS_TICKET_S);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") &&
           SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) &&
           SSL_CTX_set_num_tickets(context, 1) && SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}

static int context_load(SSL_CTX *context, const char *cert, const char *key, char why[static CERTS_WHY_MAX])
{
    bool asked = false;
    if (can_read(cert, why) || can_read(key, why)) return ERR_CONFIG;
    if (!context_set(context)) return refuse_ssl(why, cert, "OpenSSL does not do what is needed");
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) return refuse_ssl(why, cert, "no certificate");
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
    bool good = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (asked) return refuse(why, key, "the key has a password, and nobody is there to type it: write it without one");
    unsigned long error = ERR_peek_error();
    bool differs = !good && ERR_GET_LIB(error) == ERR_LIB_X509 && ERR_GET_REASON(error) == X509_R_KEY_VALUES_MISMATCH;
    if (!good && !differs) return refuse_ssl(why, key, "no private key");
    if (differs || SSL_CTX_check_private_key(context) != 1) {
        char text[CERTS_WHY_MAX];
        snprintf(text, sizeof text, "it is not the key of %.200s", cert);
        return refuse(why, key, text);
    }
    return 0;
}

/* The next of a list: false at its end. What is too long to be a path is cut, and will not be found. */
static bool path_next(const char **list, char path[static PATH_TEXT])
{
    const char *at = *list + strspn(*list, separators);
    size_t len = strcspn(at, separators);
    *list = at + len;
    snprintf(path, PATH_TEXT, "%.*s", (int)(len < PATH_TEXT ? len : PATH_TEXT - 1), at);
    return len > 0;
}

static int load_all(struct certs *certs, const char *cert_files, const char *key_files, char why[static CERTS_WHY_MAX])
{
    char cert[PATH_TEXT], key[PATH_TEXT];
    for (;;) {
        bool more = path_next(&cert_files, cert);
        if (path_next(&key_files, key) != more) {
            return more ? refuse(why, cert, "it has no key: there are fewer keys than certificates")
                        : refuse(why, key, "it has no certificate: there are fewer certificates than keys");
        }
        if (!more) return 0;
        if (certs->count == CERTS_MAX) return refuse(why, cert, "more than 16 certificates");
        SSL_CTX *context = SSL_CTX_new(TLS_server_method());
        if (!context) return ERR_NOMEM;
        certs->contexts[certs->count++] = context;
        int err = context_load(context, cert, key, why);
        if (err) return err;
    }
}

int certs_load(const char *cert_files, const char *key_files, const uint8_t secret[static CERTS_SECRET_BYTES],
               struct certs **certs_out, char why[static CERTS_WHY_MAX])
{
    *certs_out = NULL;
    snprintf(why, CERTS_WHY_MAX, "out of memory");
    struct certs *certs = calloc(1, sizeof *certs);
    if (!certs) return ERR_NOMEM;
    atomic_init(&certs->refs, 1);
    memcpy(certs->secret, secret, sizeof certs->secret);
    int err = load_all(certs, cert_files, key_files, why);
    if (err || certs->count == 0) certs_unref(certs);
    else *certs_out = certs;
    return err;
}

/* -- the counted thing -- */

struct certs *certs_ref(struct certs *certs)
{
    if (certs) atomic_fetch_add_explicit(&certs->refs, 1, memory_order_relaxed);
    return certs;
}

void certs_unref(struct certs *certs)
{
    if (!certs || atomic_fetch_sub_explicit(&certs->refs, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < certs->count; i++) SSL_CTX_free(certs->contexts[i]);
    sodium_memzero(certs->secret, sizeof certs->secret);
    free(certs);
}

SSL_CTX *certs_context(struct certs *certs)
{
    return certs->contexts[0];
}

static X509 *certificate(const struct certs *certs, uint32_t i)
{
    assert(i < certs->count);
    return SSL_CTX_get0_certificate(certs->contexts[i]);
}

bool certs_same(const struct certs *a, const struct certs *b)
{
    uint32_t count = certs_count(a);
    if (count != certs_count(b)) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (X509_cmp(certificate(a, i), certificate(b, i)) != 0) return false;
    }
    return true;
}

uint32_t certs_count(const struct certs *certs)
{
    return certs ? certs->count : 0;
}

/* -- as text -- */

static void add(char out[static CERTS_TEXT_MAX], const char *before, struct bytes text)
{
    size_t len = strlen(out);
    snprintf(out + len, CERTS_TEXT_MAX - len, "%s%.*s", before, (int)text.len, (const char *)text.at);
}

static struct bytes bytes_of_asn1(const ASN1_STRING *s)
{
    return bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static void add_names(X509 *x, char out[static CERTS_TEXT_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        const char *before = out[0] ? ", " : "";
        if (n->type == GEN_DNS) {
            add(out, before, bytes_of_asn1(n->d.dNSName));
        } else if (n->type == GEN_IPADD) {
            struct bytes a = bytes_of_asn1(n->d.iPAddress);
            char text[INET6_ADDRSTRLEN];
            if (inet_ntop(a.len == 4 ? AF_INET : AF_INET6, a.at, text, sizeof text)) add(out, before, bytes_of_str(text));
        }
    }
    GENERAL_NAMES_free(names);
    if (!out[0]) add(out, "", bytes_of_str("no name"));
}

static int64_t ends_at(X509 *x)
{
    struct tm tm;
    return ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

void certs_text(const struct certs *certs, uint32_t i, char out[static CERTS_TEXT_MAX])
{
    X509 *x = certificate(certs, i);
    char day[32] = "?";
    time_t end = (time_t)ends_at(x);
    struct tm tm;
    out[0] = '\0';
    add_names(x, out);
    if (gmtime_r(&end, &tm)) strftime(day, sizeof day, "%Y-%m-%d", &tm);
    /* The day must not be what many names leave no room for. */
    enum { DAY_BYTES = sizeof " until 2027-01-31" };
    if (strlen(out) > CERTS_TEXT_MAX - DAY_BYTES - 4) strcpy(out + CERTS_TEXT_MAX - DAY_BYTES - 4, " …");
    add(out, " until ", bytes_of_str(day));
}

int64_t certs_until(const struct certs *certs)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < certs_count(certs); i++) {
        int64_t end = ends_at(certificate(certs, i));
        if (end < first) first = end;
    }
    return first;
}
