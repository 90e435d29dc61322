/* contact_link.c - reads and writes links (see contact_link.h). Strict: a link is shown to people and typed by them, so
 * what does not look exactly like one must not pass for another server or another person. */
#include "tools/client/contact_link.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct scheme {
    const char *text, *path;
    bool tls;
};
static const struct scheme schemes[] = {
    { "https://", "/u/", true }, { "http://", "/u/", false }, { "pipit://", "/", true },
};

static const struct scheme *scheme_of(struct bytes text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i].text);
        if (text.len > len && strncasecmp((const char *)text.at, schemes[i].text, len) == 0) return &schemes[i];
    }
    return NULL;
}

/* Letters, digits, dots and hyphens, or in brackets an IPv6 address. Names in other scripts travel as xn--. */
static bool host_is_proper(const char *host, bool bracketed)
{
    struct in6_addr address;
    if (bracketed) return inet_pton(AF_INET6, host, &address) == 1;
    return host[0] && strspn(host, "0123456789abcdefghijklmnopqrstuvwxyz-.") == strlen(host) && host[0] != '.' &&
           host[0] != '-';
}

static bool port_is_proper(const char *port)
{
    unsigned value = 0;
    if (strspn(port, "0123456789") != strlen(port) || port[0] == '0' || !port[0]) return false;
    for (const char *at = port; *at; at++) value = value * 10 + (unsigned)(*at - '0');
    return value <= 65535;                /* five digits at most: url.port holds no more */
}

/* HOST or HOST:PORT, [HOST] or [HOST]:PORT. */
static bool take_place(struct bytes place, struct url *url)
{
    bool bracketed = place.len > 0 && place.at[0] == '[';
    const uint8_t *end = place.len ? memchr(place.at, bracketed ? ']' : ':', place.len) : NULL;
    if (bracketed && !end) return false;
    size_t from = bracketed ? 1 : 0, host_len = end ? (size_t)(end - place.at) - from : place.len;
    size_t at = from + host_len + (bracketed ? 1 : 0);
    if (host_len == 0 || host_len >= sizeof url->host || memchr(place.at, '\0', place.len)) return false;
    for (size_t i = 0; i < host_len; i++) {
        uint8_t c = place.at[from + i];
        url->host[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    snprintf(url->port, sizeof url->port, "%s", url->tls ? "443" : "80");
    if (at == place.len) return host_is_proper(url->host, bracketed);
    size_t port_len = place.len - at - 1;
    if (place.at[at] != ':' || port_len >= sizeof url->port) return false;
    memcpy(url->port, place.at + at + 1, port_len);
    url->port[port_len] = '\0';
    return host_is_proper(url->host, bracketed) && port_is_proper(url->port);
}

int contact_link_parse(struct bytes text, struct contact_link *out, char why[static WHY_MAX])
{
    struct contact_link link = { .url.tls = false };
    const struct scheme *scheme = scheme_of(text);
    if (!scheme) {
        snprintf(why, WHY_MAX, "a link begins with https://, http:// or pipit://");
        return ERR_MALFORMED;
    }
    struct bytes rest = bytes_of(text.at + strlen(scheme->text), text.len - strlen(scheme->text));
    const uint8_t *slash = memchr(rest.at, '/', rest.len);
    struct bytes place = slash ? bytes_of(rest.at, (size_t)(slash - rest.at)) : rest;
    link.url.tls = scheme->tls;
    if (!take_place(place, &link.url)) {
        snprintf(why, WHY_MAX, "the server in it is not HOST or HOST:PORT");
        return ERR_MALFORMED;
    }
    struct bytes path = bytes_of(rest.at + place.len, rest.len - place.len);
    size_t before = strlen(scheme->path);
    if (path.len <= before || memcmp(path.at, scheme->path, before) != 0 ||
        user_id_parse(bytes_of(path.at + before, path.len - before), &link.user)) {
        snprintf(why, WHY_MAX, "behind the server stands %sUSER, and nothing behind that", scheme->path);
        return ERR_MALFORMED;
    }
    *out = link;
    return 0;
}

void contact_link_print(const struct contact_link *link, char out[static CONTACT_LINK_MAX])
{
    const struct url *u = &link->url;
    bool v6 = strchr(u->host, ':') != NULL;
    bool usual = strcmp(u->port, u->tls ? "443" : "80") == 0;
    snprintf(out, CONTACT_LINK_MAX, "%s://%s%s%s%s%s/u/%s", u->tls ? "https" : "http", v6 ? "[" : "", u->host,
             v6 ? "]" : "", usual ? "" : ":", usual ? "" : u->port, link->user.v);
}

bool url_is_same(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && strcasecmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}
