/* pipit_account.c - accounts over HTTP: register, log in (see pipit.h).
 *
 * A password is in memory only while its request is made, and wiped wherever it was copied to. The token goes from the
 * answer into the home, and nowhere else. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/pipit_impl.h"

enum { HTTP_MS_MAX = 30000 };             /* a busy server hashes one password after the other */

/* What the server says of a request that it did not do. */
static int refused(int status, struct bytes answer, char why[static WHY_MAX])
{
    struct account_error e;
    if (account_error_decode(answer, &e) == 0) {
        snprintf(why, WHY_MAX, "%s", e.text);
        return e.err;
    }
    snprintf(why, WHY_MAX, "the server answers %d (is it a Pipit server?)", status);
    return ERR_MALFORMED;
}

/* 0: done, and `answer` has its body. */
static int post(const struct pipit_server *server, const char *path, struct bytes body, struct buf *answer,
                char why[static WHY_MAX])
{
    struct url url;
    int status = 0;
    int err = url_parse(server->url, &url, why);
    if (!err) err = link_post(&url, server->ca_file, path, body, HTTP_MS_MAX, &status, answer, why);
    if (err || status / 100 == 2) return err;
    return refused(status, buf_bytes(answer), why);
}

static int post_request(const struct pipit_server *server, const char *path, const struct account_request *request,
                        struct buf *answer, char why[static WHY_MAX])
{
    struct buf body;
    why[0] = '\0';
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    int err = account_request_encode(request, &body);
    if (!err) err = post(server, path, buf_bytes(&body), answer, why);
    if (body.at) sodium_memzero(body.at, body.len);
    buf_fini(&body);
    if (err && !why[0]) snprintf(why, WHY_MAX, "%s", err_text(err));
    return err;
}

/* ERR_TOO_BIG: a text is longer than any server takes. */
static int fill_in(struct account_request *r, const struct user_id *user, const char *password, const char *invite,
                   const char *device_name, char why[static WHY_MAX])
{
    memset(r, 0, sizeof *r);
    r->user = *user;
    if (strlen(password) < PASSWORD_BYTES_MIN || strlen(password) > PASSWORD_BYTES_MAX) {
        snprintf(why, WHY_MAX, "%s", err_text(ERR_PASSWORD));
        return ERR_PASSWORD;
    }
    if (strlen(invite) > INVITE_TEXT_MAX || strlen(device_name) > NAME_BYTES_MAX) {
        bool is_invite = strlen(invite) > INVITE_TEXT_MAX;
        snprintf(why, WHY_MAX, "%s at most %d bytes", is_invite ? "an invite's code has" : "the name of a device has",
                 is_invite ? (int)INVITE_TEXT_MAX : (int)NAME_BYTES_MAX);
        return ERR_TOO_BIG;
    }
    strcpy(r->password, password);
    strcpy(r->invite, invite);
    strcpy(r->device_name, device_name);
    return 0;
}

int pipit_register(const struct pipit_server *server, const struct user_id *user, const char *password,
                   const char *invite, char why[static PIPIT_WHY_MAX])
{
    struct account_request request;
    struct buf answer;
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = fill_in(&request, user, password, invite ? invite : "", "", why);
    if (!err) err = post_request(server, "/v1/register", &request, &answer, why);
    account_request_wipe(&request);
    buf_fini(&answer);
    return err;
}

/* Is there a home at `dir`? ERR_NOT_FOUND: none. */
static int look_for_home(const char *dir, char why[static WHY_MAX])
{
    struct home *home = NULL;
    struct account account;
    int err = home_open(dir, false, &home, why);
    if (!err) err = home_account_get(home, &account);
    home_close(home);
    if (err) return err;
    snprintf(why, WHY_MAX, "it belongs to %s at %.180s", account.user.v, account.server);
    sodium_memzero(&account, sizeof account);
    return ERR_EXISTS;
}

static int make_home(const char *dir, const char *url, const struct account_answer *a, char why[static WHY_MAX])
{
    struct home *home = NULL;
    struct account account = { .user = a->user, .device = a->device };
    strcpy(account.server, url);
    memcpy(account.token, a->token, sizeof account.token);
    int err = home_open(dir, true, &home, why);
    if (!err) err = home_account_put(home, &account);
    home_close(home);
    sodium_memzero(&account, sizeof account);
    return err;
}

int pipit_login(const char *dir, const struct pipit_server *server, const struct user_id *user, const char *password,
                const char *device_name, char why[static PIPIT_WHY_MAX])
{
    struct account_request request;
    struct account_answer a = { .has_device = false };
    struct buf answer;
    int err = look_for_home(dir, why);
    if (err != ERR_NOT_FOUND) return err;
    if (strlen(server->url) >= SERVER_URL_MAX) {
        snprintf(why, PIPIT_WHY_MAX, "the URL is too long");
        return ERR_CONFIG;
    }
    buf_init(&answer, HTTP_ANSWER_MAX);
    err = fill_in(&request, user, password, "", device_name, why);
    if (!err) err = post_request(server, "/v1/login", &request, &answer, why);
    if (!err && (account_answer_decode(buf_bytes(&answer), &a) || !a.has_device)) {
        snprintf(why, PIPIT_WHY_MAX, "the answer to the login cannot be read");
        err = ERR_MALFORMED;
    }
    if (!err) {
        why[0] = '\0';
        err = make_home(dir, server->url, &a, why);
        if (err && !why[0]) snprintf(why, PIPIT_WHY_MAX, "%s", err_text(err));
    }
    account_request_wipe(&request);
    if (answer.at) sodium_memzero(answer.at, answer.len);
    sodium_memzero(&a, sizeof a);
    buf_fini(&answer);
    return err;
}
