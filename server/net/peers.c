/* peers.c - see peers.h. */
#include "server/net/peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void tell_v4(const struct in_addr *v4, char out[static PEER_TEXT], bool *loopback_out)
{
    inet_ntop(AF_INET, v4, out, PEER_TEXT);
    *loopback_out = ntohl(v4->s_addr) >> 24 == IN_LOOPBACKNET;
}

static void tell_v6(const struct in6_addr *v6, char out[static PEER_TEXT], bool *loopback_out)
{
    struct in_addr v4;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        memcpy(&v4, v6->s6_addr + 12, sizeof v4);
        tell_v4(&v4, out, loopback_out);
    } else {
        inet_ntop(AF_INET6, v6, out, PEER_TEXT);
        *loopback_out = IN6_IS_ADDR_LOOPBACK(v6);
    }
}

bool peer_of_address(const struct sockaddr *address, char out[static PEER_TEXT], bool *loopback_out)
{
    if (address->sa_family == AF_INET) {
        tell_v4(&((const struct sockaddr_in *)address)->sin_addr, out, loopback_out);
    } else if (address->sa_family == AF_INET6) {
        tell_v6(&((const struct sockaddr_in6 *)address)->sin6_addr, out, loopback_out);
    } else {
        return false;
    }
    return true;
}

/* -- what a proxy says -- */

struct span { const char *at; size_t len; };

static struct span trimmed(const char *at, size_t len)
{
    while (len && (*at == ' ' || *at == '\t')) at++, len--;
    while (len && (at[len - 1] == ' ' || at[len - 1] == '\t')) len--;
    return (struct span){ at, len };
}

/* The part behind the last `separator` that does not stand in quotes. */
static struct span last_part(struct span s, char separator)
{
    size_t from = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.at[i] == '\\') i++;
        else if (s.at[i] == '"') quoted = !quoted;
        else if (!quoted && s.at[i] == separator) from = i + 1;
    }
    return trimmed(s.at + from, s.len - from);
}

/* ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT */
static bool node_address(struct span node, char out[static PEER_TEXT], bool *loopback_out)
{
    char text[PEER_TEXT + 8];
    struct in_addr v4;
    struct in6_addr v6;
    if (node.len == 0 || node.len >= sizeof text) return false;
    memcpy(text, node.at, node.len);
    text[node.len] = '\0';
    char *host = text, *bracket = strchr(text, ']'), *colon = strchr(text, ':');
    if (text[0] == '[' && bracket) {
        if (bracket[1] && bracket[1] != ':') return false;
        *bracket = '\0';
        host++;
    } else if (colon && !strchr(colon + 1, ':')) {       /* one colon: a port; an IPv6 address has more */
        *colon = '\0';
    }
    if (inet_pton(AF_INET, host, &v4) == 1) tell_v4(&v4, out, loopback_out);
    else if (inet_pton(AF_INET6, host, &v6) == 1) tell_v6(&v6, out, loopback_out);
    else return false;
    return true;
}

/* for=… of one element: its pairs are separated by ';', a value may stand in quotes. */
static struct span for_of(struct span element)
{
    while (element.len) {
        struct span pair = last_part(element, ';');
        if (pair.len > 4 && strncasecmp(pair.at, "for=", 4) == 0) {
            struct span value = trimmed(pair.at + 4, pair.len - 4);
            if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"') value.at++, value.len -= 2;
            return value;
        }
        size_t before = (size_t)(pair.at - element.at);
        while (before && element.at[before - 1] != ';') before--;
        element.len = before ? before - 1 : 0;
    }
    return (struct span){ "", 0 };
}

bool peer_of_forwarded(const char *forwarded_for, const char *forwarded, char out[static PEER_TEXT], bool *loopback_out)
{
    struct span x = trimmed(forwarded_for, strlen(forwarded_for)), f = { forwarded, strlen(forwarded) };
    if (x.len) return node_address(last_part(x, ','), out, loopback_out);
    return node_address(for_of(last_part(f, ',')), out, loopback_out);
}

void peer_group(const char *peer, char out[static PEER_GROUP_TEXT])
{
    struct in6_addr v6;
    if (!strchr(peer, ':') || inet_pton(AF_INET6, peer, &v6) != 1) {
        snprintf(out, PEER_GROUP_TEXT, "%s", peer);
        return;
    }
    memset(v6.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &v6, out, PEER_GROUP_TEXT);
    size_t len = strlen(out);                            /* at most 21 bytes: four groups and "::" */
    snprintf(out + len, PEER_GROUP_TEXT - len, "/64");
}
