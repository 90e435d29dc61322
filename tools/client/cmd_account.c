/* cmd_account.c - register and login: HTTP, then a home that knows who it is. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/common/secret.h"

#define SERVER_DEFAULT "ws://127.0.0.1:8700"
enum { HTTP_MS_MAX = 30000 };             /* a busy server hashes one password after the other */

struct door {                             /* one request to the server, ready to be made */
    struct url url;
    const char *ca_file;
    char server[SERVER_URL_MAX];
    struct account_request request;
};

/* 0 or an exit code. */
static int prepare(const struct options *o, struct door *d)
{
    char why[WHY_MAX];
    const char *server = o->server ? o->server : SERVER_DEFAULT;
    memset(d, 0, sizeof *d);
    d->ca_file = o->ca_file;
    if (o->word_count != 1) {
        fprintf(stderr, "pipit: which user? one name is wanted\n");
        return EXIT_USAGE;
    }
    if (user_id_parse(bytes_of_str(o->words[0]), &d->request.user)) {
        fprintf(stderr, "pipit: %s: %s\n", o->words[0], err_text(ERR_NAME));
        return EXIT_USAGE;
    }
    if (strlen(server) >= sizeof d->server || url_parse(server, &d->url, why)) {
        fprintf(stderr, "pipit: --server %s: %s\n", server, strlen(server) >= sizeof d->server ? "too long" : why);
        return EXIT_USAGE;
    }
    strcpy(d->server, server);
    if (gethostname(d->request.device_name, sizeof d->request.device_name - 1) || !d->request.device_name[0]) {
        strcpy(d->request.device_name, "pipit");
    }
    return 0;
}

static int post(struct door *d, const char *path, struct buf *answer)
{
    struct buf body;
    char why[WHY_MAX] = "";
    int status = 0;
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    buf_init(answer, HTTP_ANSWER_MAX);
    int err = account_request_encode(&d->request, &body);
    if (!err) err = link_post(&d->url, d->ca_file, path, buf_bytes(&body), HTTP_MS_MAX, &status, answer, why);
    if (body.at) sodium_memzero(body.at, body.len);
    buf_fini(&body);
    if (err) {
        fprintf(stderr, "pipit: %s: %s\n", d->server, why[0] ? why : err_text(err));
        return err == ERR_AUTH || err == ERR_MALFORMED ? EXIT_REFUSED : EXIT_NO_LINK;
    }
    if (status / 100 == 2) return 0;
    struct account_error e;
    if (account_error_decode(buf_bytes(answer), &e)) {
        fprintf(stderr, "pipit: %s answers %d: is it a Pipit server?\n", d->server, status);
    } else {
        fprintf(stderr, "pipit: refused: %s\n", e.text);
    }
    return EXIT_REFUSED;
}

static int log_in(const struct options *o, struct door *d)
{
    struct account_answer a;
    struct buf answer;
    struct home *home = NULL;
    char why[WHY_MAX] = "";
    int code = post(d, "/v1/login", &answer);
    if (!code && (account_answer_decode(buf_bytes(&answer), &a) || !a.has_device)) {
        fprintf(stderr, "pipit: %s: the answer to the login cannot be read\n", d->server);
        code = EXIT_REFUSED;
    }
    if (answer.at) sodium_memzero(answer.at, answer.len);
    buf_fini(&answer);
    if (code) return code;
    struct account account = { .user = a.user, .device = a.device };
    strcpy(account.server, d->server);
    memcpy(account.token, a.token, sizeof account.token);
    int err = home_open(o->home, true, &home, why);
    if (!err) err = home_account_put(home, &account);
    home_close(home);
    sodium_memzero(&a, sizeof a);
    sodium_memzero(&account, sizeof account);
    if (!err) return 0;
    fprintf(stderr, "pipit: %s: %s\n", o->home, why[0] ? why : err_text(err));
    return EXIT_REFUSED;
}

/* Does this home belong to someone already? 0: it is free; EXIT_DONE + 1 via *same: to the same one. */
static int look_at_home(const struct options *o, const struct door *d, bool *same)
{
    struct home *home = NULL;
    struct account account;
    char why[WHY_MAX];
    *same = false;
    int err = home_open(o->home, false, &home, why);
    if (!err) err = home_account_get(home, &account);
    home_close(home);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) {
        fprintf(stderr, "pipit: %s: %s\n", o->home, why[0] ? why : err_text(err));
        return EXIT_USAGE;
    }
    *same = user_id_equal(&account.user, &d->request.user) && (!o->server || strcmp(account.server, d->server) == 0);
    if (*same) return 0;
    fprintf(stderr, "pipit: %s belongs to %s at %s: give another --home\n", o->home, account.user.v, account.server);
    return EXIT_USAGE;
}

int cmd_login(const struct options *o)
{
    struct door d;
    bool same;
    int code = prepare(o, &d);
    if (!code) code = look_at_home(o, &d, &same);
    if (code) return code;
    if (same) {
        fprintf(stderr, "pipit: already logged in as %s\n", d.request.user.v);
        return EXIT_DONE;
    }
    if (secret_read(o->password_file, false, d.request.password)) return EXIT_USAGE;
    code = log_in(o, &d);
    account_request_wipe(&d.request);
    if (!code) fprintf(stderr, "pipit: logged in as %s; `pipit chat WHO` or `pipit listen` go on from here\n", o->words[0]);
    return code;
}

int cmd_register(const struct options *o)
{
    struct door d;
    struct buf answer;
    bool same;
    int code = prepare(o, &d);
    if (code) return code;
    if (!o->invite) {
        fprintf(stderr, "pipit: register wants --invite CODE; who runs the server makes one with `pipitctl invite`\n");
        return EXIT_USAGE;
    }
    if (strlen(o->invite) > INVITE_TEXT_MAX) {
        fprintf(stderr, "pipit: --invite: a code is at most %d characters\n", INVITE_TEXT_MAX);
        return EXIT_USAGE;
    }
    code = look_at_home(o, &d, &same);
    if (!code && same) {
        fprintf(stderr, "pipit: %s is registered and logged in here already\n", d.request.user.v);
        code = EXIT_USAGE;
    }
    if (code) return code;
    strcpy(d.request.invite, o->invite);
    if (secret_read(o->password_file, true, d.request.password)) return EXIT_USAGE;
    code = post(&d, "/v1/register", &answer);
    buf_fini(&answer);
    d.request.invite[0] = '\0';
    if (!code) code = log_in(o, &d);
    account_request_wipe(&d.request);
    if (!code) fprintf(stderr, "pipit: registered %s and logged in\n", o->words[0]);
    return code;
}
