/* cert.c - pipitctl cert: a certificate for a server in a local network, and how it is trusted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/common/ca.h"
#include "tools/ctl/ctl.h"

enum { DIR_TEXT = 1024 };

static void print_trust(const char *dir, const struct ca *ca)
{
    char fingerprint[CA_FINGERPRINT_TEXT];
    ca_fingerprint(ca, fingerprint);
    printf("\n"
           "Who connects has to trust %s/ca.pem once; its SHA-256 is\n"
           "  %s\n"
           "Compare it there. Send the file by a way nobody can change it on, never ca.key.\n"
           "\n"
           "  pipit      pipit --ca ca.pem --server wss://NAME ...\n"
           "  iPhone     open ca.pem (AirDrop, mail), then Settings > General > VPN & Device Management > install it, and\n"
           "             Settings > General > About > Certificate Trust Settings > switch it on\n"
           "  Android    Settings > Security > Encryption & credentials > Install a certificate > CA certificate\n"
           "  Debian     sudo cp ca.pem /usr/local/share/ca-certificates/pipit.crt && sudo update-ca-certificates\n"
           "  Firefox    Settings > Certificates > View Certificates > Authorities > Import\n"
           "\n"
           "Whoever has ca.key can pretend to be any website to those who trust it: keep it off the server if you can.\n",
           dir, fingerprint);
}

int ctl_cert(const struct arguments *a)
{
    char why[CA_WHY_MAX], dir[DIR_TEXT], full[4096];
    long days = CA_DAYS_DEFAULT;
    char *end;
    if (GIVEN(a, days)) {
        days = strtol(GIVEN(a, days), &end, 10);
        if (*end || end == GIVEN(a, days) || days < 1 || days > CA_DAYS_MAX)
            return ctl_usage(a, "--days %s: 1 to %d days, since phones refuse more", GIVEN(a, days), CA_DAYS_MAX);
    }
    int len = GIVEN(a, to) ? snprintf(dir, sizeof dir, "%s", GIVEN(a, to)) : snprintf(dir, sizeof dir, "%s/tls", a->data);
    if (len < 0 || (size_t)len >= sizeof dir) return ctl_usage(a, "the folder's path is too long");
    if (!GIVEN(a, to)) (void)mkdir(a->data, 0700);
    struct ca *ca;
    bool made;
    if (ca_open(dir, &made, &ca, why)) {
        fprintf(stderr, "pipitctl: %s\n", why);
        return EXIT_REFUSED;
    }
    int rc = ca_issue(ca, (const char *const *)a->words, a->count, 1, (int)days + 1, "cert", why);
    if (rc) {
        fprintf(stderr, "pipitctl: %s\n", why);
        ca_free(ca);
        return EXIT_REFUSED;
    }
    const char *path = realpath(dir, full) ? full : dir;
    printf("%s\n"
           "a certificate for %s%s, good for %ld days\n"
           "\n"
           "In the server's settings, and `pipitctl reload` when it had some before:\n"
           "  tls_cert = %s/cert.pem\n"
           "  tls_key = %s/cert.key\n"
           "  listen = :8700\n",
           made ? "a certificate authority of your own was made" : "by the certificate authority that is there",
           a->words[0], a->count > 1 ? " and others" : "", days, path, path);
    print_trust(path, ca);
    ca_free(ca);
    return EXIT_DONE;
}
