/* ca.c - see ca.h. */
#include "tools/common/ca.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { CA_DAYS = 3652, SERIAL_BYTES = 16, NAME_TEXT_MAX = 254, NAMES_TEXT_MAX = CA_NAMES_MAX * (NAME_TEXT_MAX + 8) };

struct ca {
    char dir[PATH_MAX - 32];
    EVP_PKEY *key;
    X509 *cert;
};

static int fail(char why[static CA_WHY_MAX], const char *what, const char *text)
{
    snprintf(why, CA_WHY_MAX, "%.300s: %.200s", what, text);
    ERR_clear_error();
    return -1;
}

static int fail_ssl(char why[static CA_WHY_MAX], const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return fail(why, what, reason ? reason : "OpenSSL does not do it");
}

static void path_of(const struct ca *ca, const char *base, const char *end, char out[static PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%.24s.%s", ca->dir, base, end);
}

/* -- files -- */

/* Writes PATH.new and renames it: there is never half a file, nor one that others could read meanwhile. */
static int write_file(const char *path, mode_t mode, EVP_PKEY *key, X509 *cert, X509 *above,
                      char why[static CA_WHY_MAX])
{
    char part[PATH_MAX + 8];
    snprintf(part, sizeof part, "%s.new", path);
    (void)unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        int number = errno;
        if (fd >= 0) close(fd);
        return fail(why, part, strerror(number));
    }
    bool good = !key || PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    good = good && (!cert || PEM_write_X509(file, cert) == 1) && (!above || PEM_write_X509(file, above) == 1);
    good = fflush(file) == 0 && fsync(fd) == 0 && good;
    int number = errno;
    good = fclose(file) == 0 && good;
    if (good && rename(part, path) == 0) return 0;
    if (good) number = errno;
    (void)unlink(part);
    return fail(why, path, strerror(number));
}

/* -- certificates -- */

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);      /* positive, and always as long */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return good;
}

static bool set_subject(X509 *cert, const char *text)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

/* What both kinds have in common; `issuer` NULL: itself. NULL: OpenSSL tells why. */
static X509 *new_cert(EVP_PKEY *key, X509 *issuer, const char *subject, int days_ago, int days)
{
    X509 *cert = X509_new();
    bool good = cert && X509_set_version(cert, 2) && set_serial(cert) && set_subject(cert, subject) &&
                X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) &&
                X509_time_adj_ex(X509_getm_notBefore(cert), -days_ago, 0, NULL) &&
                X509_time_adj_ex(X509_getm_notAfter(cert), days - days_ago, 0, NULL) && X509_set_pubkey(cert, key);
    if (good) return cert;
    X509_free(cert);
    return NULL;
}

static int make(struct ca *ca, char why[static CA_WHY_MAX])
{
    char subject[64], host[32] = "", pem[PATH_MAX], key[PATH_MAX];
    uint8_t tag[2] = { 0 };
    if (gethostname(host, sizeof host - 1) != 0 || !host[0]) strcpy(host, "pipit");
    (void)RAND_bytes(tag, sizeof tag);                   /* two of one machine can be told apart in a phone's list */
    snprintf(subject, sizeof subject, "Pipit on %s (%02x%02x)", host, tag[0], tag[1]);
    ca->key = EVP_EC_gen("P-256");
    ca->cert = ca->key ? new_cert(ca->key, NULL, subject, 1, CA_DAYS) : NULL;
    bool good = ca->cert && add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                add_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") &&
                X509_sign(ca->cert, ca->key, EVP_sha256()) > 0;
    if (!good) return fail_ssl(why, "no certificate authority");
    path_of(ca, "ca", "key", key);
    path_of(ca, "ca", "pem", pem);
    if (write_file(key, 0600, ca->key, NULL, NULL, why)) return -1;
    return write_file(pem, 0644, NULL, ca->cert, NULL, why);
}

/* 1: there is none. */
static int load(struct ca *ca, char why[static CA_WHY_MAX])
{
    char pem[PATH_MAX], key[PATH_MAX];
    path_of(ca, "ca", "pem", pem);
    path_of(ca, "ca", "key", key);
    FILE *file = fopen(pem, "re");
    if (!file) return errno == ENOENT ? 1 : fail(why, pem, strerror(errno));
    ca->cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (!ca->cert) return fail(why, pem, "it is no certificate");
    file = fopen(key, "re");
    if (!file) return fail(why, key, strerror(errno));
    ca->key = PEM_read_PrivateKey(file, NULL, NULL, (void *)"");
    fclose(file);
    if (!ca->key) return fail(why, key, "it is no private key");
    if (X509_check_private_key(ca->cert, ca->key) != 1) return fail(why, key, "it is not the key of ca.pem beside it");
    if (X509_cmp_current_time(X509_get0_notAfter(ca->cert)) < 0)
        return fail(why, pem, "the authority has ended: remove ca.pem and ca.key, and trust the next one");
    return 0;
}

int ca_open(const char *dir, bool *made_out, struct ca **ca_out, char why[static CA_WHY_MAX])
{
    struct ca *ca = calloc(1, sizeof *ca);
    if (!ca) return fail(why, "ca", "out of memory");
    if (strlen(dir) >= sizeof ca->dir) {
        free(ca);
        return fail(why, dir, "the path is too long");
    }
    strcpy(ca->dir, dir);
    int rc = mkdir(dir, 0755) == 0 || errno == EEXIST ? load(ca, why) : fail(why, dir, strerror(errno));
    *made_out = rc > 0;
    if (rc > 0) rc = make(ca, why);
    if (rc == 0) *ca_out = ca;
    else ca_free(ca);
    return rc;
}

void ca_free(struct ca *ca)
{
    if (!ca) return;
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
    free(ca);
}

void ca_fingerprint(const struct ca *ca, char out[static CA_FINGERPRINT_TEXT])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    out[0] = '\0';
    if (X509_digest(ca->cert, EVP_sha256(), hash, &len) != 1) return;
    for (unsigned i = 0; i < len; i++) snprintf(out + 3 * i, 4, i + 1 < len ? "%02X:" : "%02X", hash[i]);
}

/* As the extension is written: "DNS:chat.lan,IP:192.168.1.5". A name is looked at here, since a comma in it would make
 * two of one. */
static int names_text(const char *const *names, int count, char out[static NAMES_TEXT_MAX], char why[static CA_WHY_MAX])
{
    size_t len = 0;
    if (count < 1 || count > CA_NAMES_MAX) return fail(why, "names", "there have to be 1 to 64");
    for (int i = 0; i < count; i++) {
        uint8_t address[16];
        const char *name = names[i];
        bool is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
        size_t stars = strncmp(name, "*.", 2) == 0 ? 2 : 0, n = strlen(name);
        bool good = n > stars && n < NAME_TEXT_MAX && name[stars] != '.' && name[stars] != '-' &&
                    strspn(name + stars, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == n - stars;
        if (!is_address && !good) return fail(why, name, "neither a host name nor an address");
        len += (size_t)snprintf(out + len, NAMES_TEXT_MAX - len, "%s%s:%s", i ? "," : "", is_address ? "IP" : "DNS", name);
    }
    return 0;
}

int ca_issue(const struct ca *ca, const char *const *names, int count, int days_ago, int days, const char *base,
             char why[static CA_WHY_MAX])
{
    static char san[NAMES_TEXT_MAX];
    char pem[PATH_MAX], key_path[PATH_MAX], subject[65];
    if (names_text(names, count, san, why)) return -1;
    snprintf(subject, sizeof subject, "%.64s", names[0]);        /* RFC 5280's bound; who checks looks at the others */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? new_cert(key, ca->cert, subject, days_ago, days) : NULL;
    bool good = cert && add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
                add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
                add_extension(cert, ca->cert, NID_ext_key_usage, "serverAuth") &&
                add_extension(cert, ca->cert, NID_subject_key_identifier, "hash") &&
                add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid") &&
                add_extension(cert, ca->cert, NID_subject_alt_name, san) && X509_sign(cert, ca->key, EVP_sha256()) > 0;
    int rc = good ? 0 : fail_ssl(why, names[0]);
    path_of(ca, base, "key", key_path);
    path_of(ca, base, "pem", pem);
    if (rc == 0) rc = write_file(key_path, 0600, key, NULL, NULL, why);
    if (rc == 0) rc = write_file(pem, 0644, NULL, cert, ca->cert, why);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}
