/* client.c - what every command that speaks for a device begins and ends with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/authority.h"
#include "tools/client/commands.h"
#include "tools/client/output.h"

int client_open(const struct options *o, struct client *client)
{
    memset(client, 0, sizeof *client);
    const char *kept = authority_kept(o->home, client->authority);
    const struct pipit_server server = { o->server, o->ca_file ? o->ca_file : kept };
    char why[PIPIT_WHY_MAX];
    int err = pipit_open(o->home, &server, &client->pipit, why);
    if (err == ERR_NOT_FOUND) {
        fprintf(stderr, "pipit: nobody is logged in at %s: use `pipit login USER`, or `pipit register USER`\n",
                o->home);
    } else if (err) {
        fprintf(stderr, "pipit: %s: %s\n", err == ERR_CONFIG ? "--server" : o->home, why);
    }
    if (err) return err == ERR_IN_USE ? EXIT_IN_USE : EXIT_USAGE;
    client->home = client->pipit->home;
    client->account = client->pipit->account;
    client->url = client->pipit->url;
    client->ca_file = server.ca_file;
    return 0;
}

void client_close(struct client *client)
{
    pipit_close(client->pipit);
    client->pipit = NULL;
    client->home = NULL;
}

int client_lock(struct client *c, const char *command)
{
    int err = pipit_lock(c->pipit, command);
    return err ? client_fail(err, pipit_why(c->pipit)) : 0;
}

int client_fail(int err, const char *why)
{
    fprintf(stderr, "pipit: %s\n", why && why[0] ? why : err_text(err));
    switch (err) {
    case ERR_REPLACED:
        fprintf(stderr,
                "pipit: the same home is in use elsewhere; a second device needs a --home and a login of its own\n");
        return EXIT_REFUSED;
    case ERR_AUTH:
    case ERR_REVOKED:
        fprintf(stderr, "pipit: the server does not take this device any more: log in again with another --home\n");
        return EXIT_REFUSED;
    case ERR_IN_USE:
        fprintf(stderr, "pipit: end it, or log in with another --home\n");
        return EXIT_IN_USE;
    case ERR_NO_SPACE: case ERR_IO: case ERR_CORRUPT: case ERR_NOMEM:
        fprintf(stderr, "pipit: the home could not be written; nothing that was accepted is lost\n");
        return EXIT_USAGE;
    case ERR_PEER:
    case ERR_IDLE: return EXIT_NO_LINK;
    default:       return EXIT_REFUSED;
    }
}

int client_peer(const struct client *c, const char *who, struct user_id *peer, struct conv_id *conv)
{
    if (pipit_who(c->pipit, who, peer)) {
        fprintf(stderr, "pipit: %s: %s\n", who, pipit_why(c->pipit));
        return EXIT_USAGE;
    }
    *conv = conv_id_direct(pipit_user(c->pipit), peer);
    return 0;
}

/* ---- what is told ---- */

void client_on_link(void *arg, bool online, const char *why)
{
    (void)arg;
    if (!online) fprintf(stderr, "pipit: no connection (%s): trying again\n", why);
}

void client_on_later(void *arg, const struct user_id *to, int err, const char *text)
{
    (void)arg;
    fputs("pipit: ", stderr);
    print_later(stderr, to, err, text);
    fputc('\n', stderr);
}

void client_on_notice(void *arg, const char *text)
{
    (void)arg;
    fputs("pipit: ", stderr);
    print_text(stderr, bytes_of_str(text), false);
    fputc('\n', stderr);
}

void client_on_device(void *arg, enum pipit_device_change what, struct device_id device, const char *name)
{
    (void)arg;
    fputs("pipit: ", stderr);
    print_device_change(stderr, what, device, name);
    fputc('\n', stderr);
}

const struct pipit_events client_events = { .on_link = client_on_link, .on_later = client_on_later,
                                            .on_notice = client_on_notice, .on_device = client_on_device };

bool take_device(const char *text, struct device_id *out)
{
    if (device_id_parse(bytes_of_str(text), out) == 0) return true;
    fprintf(stderr, "pipit: %s: a device is 16 hex digits, as `pipit devices` shows them\n", text);
    return false;
}

bool take_message(const char *text, struct msg_id *out)
{
    if (msg_id_parse(bytes_of_str(text), out) == 0) return true;
    fprintf(stderr, "pipit: %s: a message is known by its id, as `pipit send` and `--json` print it\n", text);
    return false;
}

void client_warn_plain(void)
{
    fprintf(stderr, "pipit: messages are not yet end-to-end encrypted: whoever runs the server can read them\n");
}

bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *end || text[0] == '-' || v == 0 || v > max) return false;
    *out = v;
    return true;
}
