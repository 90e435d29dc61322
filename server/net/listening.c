/* listening.c - see listening.h. Names become addresses first, then all are bound: whether [::] may take IPv4 depends
 * on what else is in the list.
 *
 * TCP: SO_REUSEPORT lets each shard have a socket of its own on the same port, and the kernel spreads connections over
 * them. Unix sockets have no such thing; see listening_unix.c.
 *
 * Socket options are set on the listening socket: Linux hands them down to what it accepts, which saves three calls for
 * each connection. */
#include "server/net/listening.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/inside.h"

enum {
    /* Bytes not sent yet above which the socket says "full": so that the queue, and with it falling behind, is felt
     * here and not hidden in the kernel. */
    LISTENING_NOTSENT_BYTES = 64 * 1024,
    /* A free port of one address may be taken on the name's other: then another one is tried. */
    PORT_TRIES = 16,
    HOST_TEXT = 256, PORT_TEXT = 8, PLACE_TEXT = 300,
    PORT_PRIVILEGED = 1024,
};

static const char separators[] = ", \t";
static const char unix_prefix[] = "unix:";
static const char plain_prefix[] = "plain:";
static const struct { const char *text; enum door_kind kind; } prefixes[] = {
    { plain_prefix, DOOR_PLAIN }, { "redirect:", DOOR_REDIRECT },
};

/* One of the list, as it was written. */
struct place {
    char text[PLACE_TEXT];
    char host[HOST_TEXT];             /* "": everywhere */
    char port[PORT_TEXT];
    enum door_kind kind;              /* a Unix socket's path is behind text's prefix */
};

/* One address. */
struct spot {
    uint16_t place;                   /* of which it is one */
    bool is_unix;
    struct sockaddr_storage at;
    socklen_t at_len;
    struct unix_file file;
    int fds[SHARDS_MAX];              /* -1: taken, or not bound yet */
};

struct listening {
    struct listening_options options;
    uint16_t places_count, count;
    struct place places[LISTENING_PLACES_MAX];
    struct spot spots[LISTENING_PLACES_MAX];
    char text[LISTENING_TEXT_MAX];
    char tcp[PLACE_TEXT];
    uint16_t port, tls_port;
};

static int refuse(int err, char why[static LISTENING_WHY_MAX], const char *place, const char *text)
{
    snprintf(why, LISTENING_WHY_MAX, "%.100s: %s", place, text);
    return err;
}

/* -- the list -- */

static int place_parse(const char *at, size_t len, struct place *p, char why[static LISTENING_WHY_MAX])
{
    *p = (struct place){ .text = "" };
    if (len >= sizeof p->text) return refuse(ERR_CONFIG, why, at, "longer than an address can be");
    memcpy(p->text, at, len);
    if (strncmp(p->text, unix_prefix, sizeof unix_prefix - 1) == 0) {
        p->kind = DOOR_UNIX;
        return unix_check(p->text + sizeof unix_prefix - 1, why);
    }
    const char *from = p->text;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t prefix_len = strlen(prefixes[i].text);
        if (strncmp(from, prefixes[i].text, prefix_len) != 0) continue;
        p->kind = prefixes[i].kind;
        from += prefix_len;
        break;
    }
    const char *colon = strrchr(from, ':');
    if (!colon) return refuse(ERR_CONFIG, why, p->text, "no port; write HOST:PORT");
    size_t host_len = (size_t)(colon - from);
    if (host_len >= 2 && from[0] == '[' && from[host_len - 1] == ']') {
        from++;
        host_len -= 2;
    } else if (memchr(from, ':', host_len)) {
        return refuse(ERR_CONFIG, why, p->text, "an IPv6 address is written [ADDRESS]:PORT");
    }
    if (host_len >= sizeof p->host) return refuse(ERR_CONFIG, why, p->text, "the host name is too long");
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] || atoi(colon + 1) > UINT16_MAX) {
        return refuse(ERR_CONFIG, why, p->text, "the port is not 0 to 65535");
    }
    memcpy(p->host, from, host_len);
    memcpy(p->port, colon + 1, digits);
    return 0;
}

/* The next place of the list: 1, or 0 at its end, or ERR_CONFIG. */
static int place_next(const char **list, struct place *p, char why[static LISTENING_WHY_MAX])
{
    const char *at = *list + strspn(*list, separators);
    size_t len = strcspn(at, separators);
    *list = at + len;
    if (len == 0) return 0;
    int err = place_parse(at, len, p, why);
    return err ? err : 1;
}

int listening_check(const char *places, char why[static LISTENING_WHY_MAX])
{
    struct place p;
    int got, count = 0;
    while ((got = place_next(&places, &p, why)) > 0) {
        if (++count > LISTENING_PLACES_MAX) return refuse(ERR_CONFIG, why, p.text, "more than 16 addresses");
    }
    if (got == 0 && count == 0) return refuse(ERR_CONFIG, why, "\"\"", "no address; write HOST:PORT");
    return got;
}

bool listening_is_local(const char *places)
{
    char why[LISTENING_WHY_MAX];
    struct place p;
    while (place_next(&places, &p, why) > 0) {
        struct in_addr v4;
        bool loopback = inet_pton(AF_INET, p.host, &v4) == 1 ? ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET
                                                             : strcmp(p.host, "::1") == 0;
        if (p.kind != DOOR_UNIX && !loopback && strcasecmp(p.host, "localhost") != 0) return false;
    }
    return true;
}

bool listening_leads_nowhere(const char *places, bool has_certs)
{
    char why[LISTENING_WHY_MAX];
    bool redirects = false, speaks_tls = false;
    struct place p;
    while (place_next(&places, &p, why) > 0) {
        redirects |= p.kind == DOOR_REDIRECT;
        speaks_tls |= p.kind == DOOR_TCP && has_certs;
    }
    return redirects && !speaks_tls;
}

/* -- from names to addresses -- */

static in_port_t *port_at(struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)a)->sin6_port : &((struct sockaddr_in *)a)->sin_port;
}

static struct spot *spot_new(struct listening *l, uint16_t place)
{
    if (l->count == LISTENING_PLACES_MAX) return NULL;
    struct spot *s = &l->spots[l->count++];
    s->place = place;
    for (uint16_t i = 0; i < l->options.shards; i++) s->fds[i] = -1;
    return s;
}

/* A name may have an address twice (hosts files do); a list must not. Port 0 is another one each time. */
static int spot_is_twice(struct listening *l, uint16_t place, struct sockaddr_storage *a, socklen_t len)
{
    for (uint16_t i = 0; i < l->count; i++) {
        const struct spot *s = &l->spots[i];
        if (s->is_unix || s->at_len != len || memcmp(&s->at, a, len) != 0) continue;
        if (s->place == place) return 1;
        if (*port_at(a) != 0) return ERR_CONFIG;
    }
    return 0;
}

static int resolve_tcp(struct listening *l, uint16_t place, const char *host, char why[static LISTENING_WHY_MAX])
{
    const struct place *p = &l->places[place];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *list = NULL;
    int gai = getaddrinfo(host, p->port, &hints, &list), err = 0;
    if (gai != 0) return refuse(ERR_CONFIG, why, p->text, gai_strerror(gai));
    for (struct addrinfo *a = list; a && !err; a = a->ai_next) {
        struct sockaddr_storage at = { 0 };
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        memcpy(&at, a->ai_addr, a->ai_addrlen);
        int twice = spot_is_twice(l, place, &at, a->ai_addrlen);
        if (twice < 0) err = refuse(twice, why, p->text, "it stands in the list twice");
        if (twice) continue;
        struct spot *s = spot_new(l, place);
        if (!s) {
            err = refuse(ERR_CONFIG, why, p->text, "more than 16 addresses");
        } else {
            s->at = at;
            s->at_len = a->ai_addrlen;
        }
    }
    freeaddrinfo(list);
    return err;
}

static int resolve(struct listening *l, uint16_t place, char why[static LISTENING_WHY_MAX])
{
    struct place *p = &l->places[place];
    if (p->kind != DOOR_UNIX) return resolve_tcp(l, place, p->host[0] ? p->host : "::", why);
    struct spot *s = spot_new(l, place);
    if (!s) return refuse(ERR_CONFIG, why, p->text, "more than 16 addresses");
    s->is_unix = true;
    return 0;
}

/* -- from addresses to sockets -- */

static int err_of_bind(int errno_value, const char *place, in_port_t port, char why[static LISTENING_WHY_MAX])
{
    if (errno_value == EADDRINUSE) return refuse(ERR_IN_USE, why, place, "another program listens there");
    if (errno_value == EACCES && ntohs(port) < PORT_PRIVILEGED) {
        return refuse(ERR_CONFIG, why, place,
                      "a port below 1024 needs the capability net_bind_service (setcap, or systemd's "
                      "AmbientCapabilities), or a proxy that has it");
    }
    bool config = errno_value == EADDRNOTAVAIL || errno_value == EACCES || errno_value == EAFNOSUPPORT;
    return refuse(config ? ERR_CONFIG : ERR_IO, why, place,
                  errno_value == EADDRNOTAVAIL ? "no address of this machine" : strerror(errno_value));
}

/* [::] takes IPv4 too, unless that is asked for apart; what /proc/sys has as default does not count. */
static bool is_v6_alone(const struct listening *l, const struct spot *s)
{
    for (uint16_t i = 0; i < l->count; i++) {
        struct sockaddr_storage a = l->spots[i].at, b = s->at;
        if (!l->spots[i].is_unix && a.ss_family == AF_INET && *port_at(&a) == *port_at(&b) && *port_at(&b) != 0)
            return true;
    }
    return false;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* -1: errno tells. `backlog` 0: only try. */
static int socket_open(const struct listening *l, const struct spot *s, int backlog)
{
    int fd = socket(s->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    bool good = set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && (!backlog || set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
                set(fd, SOL_SOCKET, SO_SNDBUF, l->options.sndbuf_bytes) && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
                set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LISTENING_NOTSENT_BYTES);
    if (good && s->at.ss_family == AF_INET6) good = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_v6_alone(l, s));
    if (good && bind(fd, (const struct sockaddr *)&s->at, s->at_len) == 0 && (!backlog || listen(fd, backlog) == 0))
        return fd;
    int keep = errno;
    close(fd);
    errno = keep;
    return -1;
}

static void spot_close(struct listening *l, struct spot *s)
{
    for (uint16_t i = 0; i < l->options.shards; i++) {
        if (s->fds[i] >= 0) close(s->fds[i]);
        s->fds[i] = -1;
    }
}

/* 0, or an errno value. */
static int spot_bind(struct listening *l, struct spot *s)
{
    /* SO_REUSEPORT would let a second server of the same user share the port in silence, half of the connections each.
     * A first socket without it finds one that listens already, which is why ours listen from here on and not only when
     * their shards run. */
    int probe = socket_open(l, s, 0);
    if (probe < 0) return errno;
    close(probe);
    for (uint16_t i = 0; i < l->options.shards; i++) {
        s->fds[i] = socket_open(l, s, l->options.backlog);
        if (s->fds[i] < 0) return errno;
        /* The port the kernel gave for port 0, also for the sockets still to be bound. */
        if (i == 0 && getsockname(s->fds[0], (struct sockaddr *)&s->at, &s->at_len) != 0) return errno;
    }
    return 0;
}

/* All spots of one place, on one port. An address of a name that this machine does not have (a hosts file's ::1 where
 * there is no IPv6) is left out as long as another one can be had. */
static int place_bind_once(struct listening *l, uint16_t place, char why[static LISTENING_WHY_MAX])
{
    const struct place *p = &l->places[place];
    in_port_t port = htons((uint16_t)atoi(p->port));
    uint32_t bound = 0;
    int err = 0;
    for (uint16_t i = 0; i < l->count; i++) {
        struct spot *s = &l->spots[i];
        if (s->place != place) continue;
        *port_at(&s->at) = port;
        int number = spot_bind(l, s);
        if (number) spot_close(l, s);
        if (number == EADDRNOTAVAIL || number == EAFNOSUPPORT) {
            err = err_of_bind(number, p->text, port, why);
        } else if (number) {
            return err_of_bind(number, p->text, port, why);
        } else {
            port = *port_at(&s->at);
            bound++;
        }
    }
    return bound ? 0 : err;
}

static int place_bind(struct listening *l, uint16_t place, char why[static LISTENING_WHY_MAX])
{
    bool any_port = atoi(l->places[place].port) == 0;
    int err, tries = 0;
    do {
        err = place_bind_once(l, place, why);
        for (uint16_t i = 0; err && i < l->count; i++) {
            if (l->spots[i].place == place) spot_close(l, &l->spots[i]);
        }
    } while (err == ERR_IN_USE && any_port && ++tries < PORT_TRIES);
    return err;
}

static int everywhere_bind(struct listening *l, uint16_t place, char why[static LISTENING_WHY_MAX])
{
    int err = place_bind(l, place, why);
    if (!err || err == ERR_IN_USE || l->places[place].host[0]) return err;
    /* ":PORT" where there is no IPv6 */
    for (uint16_t i = 0; i < l->count; i++) {
        struct spot *s = &l->spots[i];
        if (s->place != place) continue;
        struct sockaddr_in v4 = { .sin_family = AF_INET };
        memset(&s->at, 0, sizeof s->at);
        memcpy(&s->at, &v4, sizeof v4);
        s->at_len = sizeof v4;
    }
    return place_bind(l, place, why);
}

static int unix_spot_bind(struct listening *l, struct spot *s, char why[static LISTENING_WHY_MAX])
{
    const char *path = l->places[s->place].text + sizeof unix_prefix - 1;
    int err = unix_bind(path, l->options.unix_mode, l->options.backlog, &s->file, &s->fds[0], why);
    for (uint16_t i = 1; !err && i < l->options.shards; i++) {
        s->fds[i] = fcntl(s->fds[0], F_DUPFD_CLOEXEC, 0);
        if (s->fds[i] < 0) err = refuse(ERR_IO, why, path, strerror(errno));
    }
    return err;
}

/* -- as text -- */

static void spot_text(const struct listening *l, const struct spot *s, char out[static PLACE_TEXT])
{
    char host[INET6_ADDRSTRLEN + 32], port[PORT_TEXT];
    if (s->is_unix) {
        strcpy(out, l->places[s->place].text);
    } else if (getnameinfo((const struct sockaddr *)&s->at, s->at_len, host, sizeof host, port, sizeof port,
                           NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        strcpy(out, "?");
    } else {
        const char *prefix = "";
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            if (prefixes[i].kind == l->places[s->place].kind) prefix = prefixes[i].text;
        }
        snprintf(out, PLACE_TEXT, s->at.ss_family == AF_INET6 ? "%s[%s]:%s" : "%s%s:%s", prefix, host, port);
    }
}

static void tell(struct listening *l)
{
    size_t len = 0;
    for (uint16_t i = 0; i < l->count; i++) {
        struct spot *s = &l->spots[i];
        char text[PLACE_TEXT];
        if (s->fds[0] < 0) continue;
        spot_text(l, s, text);
        int n = snprintf(l->text + len, sizeof l->text - len, "%s%s", len ? " " : "", text);
        if (n > 0 && (size_t)n < sizeof l->text - len) len += (size_t)n;
        enum door_kind kind = l->places[s->place].kind;
        if (kind == DOOR_TCP && !l->tls_port) l->tls_port = ntohs(*port_at(&s->at));
        if (kind == DOOR_UNIX || kind == DOOR_REDIRECT || l->port) continue;
        l->port = ntohs(*port_at(&s->at));
        strcpy(l->tcp, text + (kind == DOOR_PLAIN ? sizeof plain_prefix - 1 : 0));
    }
}

/* -- the whole -- */

int listening_open(const char *places, const struct listening_options *options, struct listening **listening_out,
                   char why[static LISTENING_WHY_MAX])
{
    assert(options->backlog > 0 && options->sndbuf_bytes > 0 && options->shards > 0 && options->shards <= SHARDS_MAX);
    int err = listening_check(places, why);
    if (err) return err;
    struct listening *l = calloc(1, sizeof *l);
    if (!l) return refuse(ERR_NOMEM, why, "listen", "out of memory");
    l->options = *options;
    while (!err && place_next(&places, &l->places[l->places_count], why) > 0) err = resolve(l, l->places_count++, why);
    for (uint16_t i = 0; !err && i < l->places_count; i++) {
        if (l->places[i].kind != DOOR_UNIX) err = everywhere_bind(l, i, why);
    }
    for (uint16_t i = 0; !err && i < l->count; i++) {
        if (l->spots[i].is_unix) err = unix_spot_bind(l, &l->spots[i], why);
    }
    if (err) {
        listening_close(l);
        return err;
    }
    tell(l);
    *listening_out = l;
    return 0;
}

void listening_close(struct listening *l)
{
    if (!l) return;
    for (uint16_t i = 0; i < l->count; i++) {
        spot_close(l, &l->spots[i]);
        unix_remove(&l->spots[i].file);
    }
    free(l);
}

uint16_t listening_count(const struct listening *l)
{
    return l->count;
}

int listening_take(struct listening *l, uint16_t i, uint16_t shard, enum door_kind *kind_out)
{
    struct spot *s = &l->spots[i];
    int fd = s->fds[shard];
    s->fds[shard] = -1;
    *kind_out = l->places[s->place].kind;
    return fd;
}

const char *listening_text(const struct listening *l)
{
    return l->text;
}

const char *listening_tcp(const struct listening *l)
{
    return l->tcp;
}

uint16_t listening_port(const struct listening *l)
{
    return l->port;
}

uint16_t listening_tls_port(const struct listening *l)
{
    return l->tls_port;
}
