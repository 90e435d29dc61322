/* certbox.c - see certbox.h. */
#include "tests/harness/certbox.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/ca.h"

static char folder[32];                          /* "": not made yet */
static struct ca *ca;

__attribute__((noreturn)) static void fail(const char *why)
{
    fprintf(stderr, "certbox: %s\n", why);
    abort();
}

static void empty(void)
{
    char path[512];
    struct dirent *e;
    ca_free(ca);
    DIR *d = opendir(folder);
    while (d && (e = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)unlink(path);
    }
    if (d) closedir(d);
    (void)rmdir(folder);
}

static void open_box(void)
{
    char why[CA_WHY_MAX];
    bool made;
    if (folder[0]) return;
    strcpy(folder, "/tmp/pipit-certs-XXXXXX");
    if (!mkdtemp(folder)) fail("no folder");
    if (ca_open(folder, &made, &ca, why)) fail(why);
    atexit(empty);
}

void certbox_path(const char *name, char out[static CERTBOX_PATH])
{
    open_box();
    snprintf(out, CERTBOX_PATH, "%s/%s", folder, name);
}

void certbox_issue(const char *base, const char *first, const char *second, int days)
{
    const char *names[] = { first, second };
    char why[CA_WHY_MAX];
    open_box();
    if (ca_issue(ca, names, second ? 2 : 1, 1, days, base, why)) fail(why);
}

void certbox_write(const char *name, const char *text)
{
    char path[CERTBOX_PATH];
    certbox_path(name, path);
    FILE *file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) fail(path);
}

struct certs *certbox_load(const char *base, uint8_t secret)
{
    uint8_t bytes[CERTS_SECRET_BYTES];
    char name[64], cert[CERTBOX_PATH], key[CERTBOX_PATH], why[CERTS_WHY_MAX];
    struct certs *certs;
    memset(bytes, secret, sizeof bytes);
    snprintf(name, sizeof name, "%s.pem", base);
    certbox_path(name, cert);
    snprintf(name, sizeof name, "%s.key", base);
    certbox_path(name, key);
    if (certs_load(cert, key, bytes, &certs, why)) fail(why);
    return certs;
}
