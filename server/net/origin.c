/* origin.c - see origin.h. An origin is SCHEME://HOST or SCHEME://HOST:PORT, without the scheme's own port; its
 * letters' case does not matter. "null" (a page from a file, a sandbox) is nobody, and only "*" lets it in. */
#include "server/net/origin.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/err.h"

static const char separators[] = ", \t";

static const struct { const char *scheme, *port; } schemes[] = { { "http://", ":80" }, { "https://", ":443" } };
enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

/* "://" behind a scheme; NULL: it is no origin. */
static const char *authority_of(const char *origin)
{
    const char *at = strstr(origin, "://");
    return at && at > origin && at[3] ? at + 3 : NULL;
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* Browsers leave a scheme's own port out of both headers; other programs write it into Host. */
static bool is_same_host(const char *origin, const char *host)
{
    const char *authority = authority_of(origin);
    size_t len = strlen(host);
    if (!authority || len == 0) return false;
    if (same(authority, strlen(authority), host, len)) return true;
    for (size_t i = 0; i < SCHEMES; i++) {
        size_t port_len = strlen(schemes[i].port);
        if (strncasecmp(origin, schemes[i].scheme, strlen(schemes[i].scheme)) != 0 || len <= port_len) continue;
        if (strcmp(host + len - port_len, schemes[i].port) != 0) continue;
        return same(authority, strlen(authority), host, len - port_len);
    }
    return false;
}

bool origin_is_allowed(const char *list, const char *origin, const char *host)
{
    size_t len = strlen(origin);
    if (len > ORIGIN_BYTES_MAX) return false;
    if (is_same_host(origin, host)) return true;
    for (const char *at = list + strspn(list, separators); *at; at += strspn(at, separators)) {
        size_t item = strcspn(at, separators);
        if (same(at, item, "*", 1) || same(at, item, origin, len)) return true;
        at += item;
    }
    return false;
}

static int wrong(char why[static 128], const char *item, const char *text)
{
    snprintf(why, 128, "%.50s: %s", item, text);
    return ERR_CONFIG;
}

int origins_check(const char *list, char why[static 128])
{
    for (const char *at = list + strspn(list, separators); *at; at += strspn(at, separators)) {
        char item[ORIGIN_BYTES_MAX + 1];
        size_t len = strcspn(at, separators);
        if (len > ORIGIN_BYTES_MAX) return wrong(why, at, "longer than 256 bytes");
        memcpy(item, at, len);
        item[len] = '\0';
        at += len;
        if (strcmp(item, "*") == 0) continue;
        const char *authority = authority_of(item);
        if (!authority) return wrong(why, item, "write SCHEME://HOST or SCHEME://HOST:PORT, or * for all");
        if (strpbrk(authority, "/?#@")) return wrong(why, item, "nothing may stand behind host and port");
        for (size_t i = 0; i < SCHEMES; i++) {
            size_t port = strlen(schemes[i].port), scheme = strlen(schemes[i].scheme);
            if (len > scheme + port && strncasecmp(item, schemes[i].scheme, scheme) == 0 &&
                strcmp(item + len - port, schemes[i].port) == 0) {
                return wrong(why, item, "browsers leave that port out; so must this");
            }
        }
    }
    return 0;
}
