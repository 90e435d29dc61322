/* client.c - what every command that speaks for a device begins and ends with. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/commands.h"

int client_open(const struct options *o, struct client *client)
{
    char why[WHY_MAX] = "";
    memset(client, 0, sizeof *client);
    client->ca_file = o->ca_file;
    int err = home_open(o->home, false, &client->home, why);
    if (!err) err = home_account_get(client->home, &client->account);
    if (err == ERR_NOT_FOUND) {
        fprintf(stderr, "pipit: nobody is logged in at %s: use `pipit login USER`, or `pipit register USER --invite CODE`\n",
                o->home);
        return EXIT_USAGE;
    }
    if (err) {
        fprintf(stderr, "pipit: %s: %s\n", o->home, why[0] ? why : err_text(err));
        return EXIT_USAGE;
    }
    err = url_parse(o->server ? o->server : client->account.server, &client->url, why);
    if (!err) return 0;
    fprintf(stderr, "pipit: --server: %s\n", why);
    return EXIT_USAGE;
}

void client_close(struct client *client)
{
    home_close(client->home);
    client->home = NULL;
}

int client_lock(struct client *c, const char *command)
{
    char holder[64];
    int err;
    while ((err = home_lock(c->home, command, holder)) == ERR_IN_USE) {
        if (strstr(holder, ", listen") || strstr(holder, ", chat")) {
            fprintf(stderr, "pipit: another pipit (%s) has the session of this home: end it, or log in with another --home\n",
                    holder);
            return EXIT_USAGE;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return err ? client_fail(err, NULL) : 0;
}

int client_fail(int err, const char *why)
{
    fprintf(stderr, "pipit: %s\n", why && why[0] ? why : err_text(err));
    switch (err) {
    case ERR_REPLACED:
        fprintf(stderr, "pipit: the same home is in use elsewhere; a second device needs a --home and a login of its own\n");
        return EXIT_REFUSED;
    case ERR_AUTH:
    case ERR_REVOKED:
        fprintf(stderr, "pipit: the server does not take this device any more: log in again with another --home\n");
        return EXIT_REFUSED;
    case ERR_NO_SPACE: case ERR_IO: case ERR_CORRUPT: case ERR_NOMEM: case ERR_IN_USE:
        fprintf(stderr, "pipit: the home could not be written; nothing that was accepted is lost\n");
        return EXIT_USAGE;
    case ERR_PEER:
    case ERR_IDLE: return EXIT_NO_LINK;
    default:       return EXIT_REFUSED;
    }
}

int client_peer(const struct client *c, const char *who, struct user_id *peer, struct conv_id *conv)
{
    if (user_id_parse(bytes_of_str(who), peer)) {
        fprintf(stderr, "pipit: %s: %s\n", who, err_text(ERR_NAME));
        return EXIT_USAGE;
    }
    *conv = conv_id_direct(&c->account.user, peer);
    return 0;
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
