/* pipit_account.c - accounts over HTTP: register, log in, and what a device does with its account (see pipit.h).
 *
 * A password is in memory only while its request is made, and wiped wherever it was copied to. The token goes from the
 * answer into the home, and nowhere else. */
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/pipit_impl.h"
#include "tools/common/utf8.h"

enum {
    HTTP_MS_MAX = 30000,                  /* a busy server hashes one password after the other */
    LEAVE_MS_MAX = 10000,                 /* a program whose session was closed goes on tidying up that long at most */
};

/* What the server says of a request that it did not do. */
static int refused(int status, struct bytes answer, char why[static WHY_MAX])
{
    struct account_error e;
    if (account_error_decode(answer, &e) == 0) {
        utf8_line(bytes_of_str(e.text), why, WHY_MAX);
        return e.err;
    }
    snprintf(why, WHY_MAX, "the server answers %d (is it a Pipit server?)", status);
    return ERR_MALFORMED;
}

/* 0: done, and `answer` has its body. */
static int ask(const struct pipit_server *server, const struct http_request *request, struct buf *answer,
               char why[static WHY_MAX])
{
    struct url url;
    int status = 0;
    why[0] = '\0';
    int err = url_parse(server->url, &url, why);
    if (!err) err = link_http(&url, server->ca_file, request, HTTP_MS_MAX, &status, answer, why);
    if (err == ERR_MALFORMED) err = ERR_PEER;    /* what answers there is no server of ours */
    if (!err && status / 100 != 2) err = refused(status, buf_bytes(answer), why);
    if (err && !why[0]) snprintf(why, WHY_MAX, "%s", err_text(err));
    return err;
}

static void wipe(struct buf *secret)
{
    if (secret->at) sodium_memzero(secret->at, secret->len);
    buf_fini(secret);
}

static int post_request(const struct pipit_server *server, const char *path, const struct account_request *request,
                        struct buf *answer, char why[static WHY_MAX])
{
    struct buf body;
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    int err = account_request_encode(request, &body);
    if (err) snprintf(why, WHY_MAX, "%s", err_text(err));
    else err = ask(server, &(struct http_request){ "POST", path, NULL, buf_bytes(&body) }, answer, why);
    wipe(&body);
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
    sodium_memzero(&a, sizeof a);
    wipe(&answer);
    return err;
}

int pipit_server_ask(const struct pipit_server *server, struct pipit_server_info *out, char why[static PIPIT_WHY_MAX])
{
    struct server_info info;
    struct buf answer;
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = ask(server, &(struct http_request){ "GET", "/v1/server", NULL, BYTES_NONE }, &answer, why);
    if (!err && (err = server_info_decode(buf_bytes(&answer), &info)))
        snprintf(why, PIPIT_WHY_MAX, "what it says of itself cannot be read");
    buf_fini(&answer);
    if (err) return err;
    memset(out, 0, sizeof *out);
    utf8_line(bytes_of_str(info.server), out->program, sizeof out->program);
    out->is_open = info.registration == REGISTRATION_OPEN;
    out->is_closed = info.registration == REGISTRATION_CLOSED;
    return 0;
}

/* ---- as a device ---- */

static int ask_as_device(struct pipit *p, const char *method, const char *path, struct bytes body, struct buf *answer)
{
    const struct pipit_server server = { p->server, p->ca_file[0] ? p->ca_file : NULL };
    struct bearer bearer = { .user = p->account.user, .device = p->account.device };
    char header[BEARER_TEXT], why[WHY_MAX];
    memcpy(bearer.token, p->account.token, sizeof bearer.token);
    bearer_print(&bearer, header);
    int err = ask(&server, &(struct http_request){ method, path, header, body }, answer, why);
    sodium_memzero(header, sizeof header);
    sodium_memzero(&bearer, sizeof bearer);
    return err ? pipit_fail(p, err, why) : 0;
}

static bool is_password(const char *text)
{
    return strlen(text) >= PASSWORD_BYTES_MIN && strlen(text) <= PASSWORD_BYTES_MAX;
}

int pipit_password(struct pipit *p, const char *password, const char *new_password, bool log_out_others,
                   uint64_t *logged_out)
{
    struct account_password request = { .log_out_others = log_out_others };
    struct account_answer a = { .has_device = false };
    struct buf body, answer;
    if (!is_password(password) || !is_password(new_password)) return pipit_fail(p, ERR_PASSWORD, NULL);
    strcpy(request.password, password);
    strcpy(request.new_password, new_password);
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = account_password_encode(&request, &body);
    if (err) pipit_fail(p, err, NULL);
    else err = ask_as_device(p, "POST", "/v1/password", buf_bytes(&body), &answer);
    if (!err) account_answer_decode(buf_bytes(&answer), &a);    /* a count for people: none is no failure */
    *logged_out = a.logged_out;
    account_password_wipe(&request);
    wipe(&body);
    buf_fini(&answer);
    return err;
}

int pipit_delete_account(struct pipit *p, const char *password)
{
    struct account_password request = { .log_out_others = false };
    struct buf body, answer;
    if (!is_password(password)) return pipit_fail(p, ERR_PASSWORD, NULL);
    strcpy(request.password, password);
    buf_init(&body, ACCOUNT_BODY_BYTES_MAX);
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = account_delete_encode(&request, &body);
    if (err) pipit_fail(p, err, NULL);
    else err = ask_as_device(p, "POST", "/v1/delete", buf_bytes(&body), &answer);
    account_password_wipe(&request);
    wipe(&body);
    buf_fini(&answer);
    return err;
}

int pipit_logout(struct pipit *p)
{
    struct buf answer;
    buf_init(&answer, HTTP_ANSWER_MAX);
    int err = ask_as_device(p, "POST", "/v1/logout", BYTES_NONE, &answer);
    buf_fini(&answer);
    return err == ERR_REVOKED ? 0 : err;    /* it was done before */
}

int pipit_forget(struct pipit *p)
{
    char holder[64], why[WHY_MAX];
    uint64_t until = mono_ms() + LEAVE_MS_MAX;
    int err;
    online_free(p->online);
    p->online = NULL;
    p->keeps = false;
    while ((err = home_lock(p->home, "forget", holder)) == ERR_IN_USE && mono_ms() < until) poll(NULL, 0, LOOK_MS);
    if (err == ERR_IN_USE) {
        snprintf(why, sizeof why, "another program (%s) still has this home", holder);
        return pipit_fail(p, err, why);
    }
    if (!err) err = home_erase(p->home);
    sodium_memzero(p->account.token, sizeof p->account.token);
    return err ? pipit_fail(p, err, NULL) : 0;
}

int pipit_export_account(struct pipit *p, const char *after, char **json_out)
{
    char path[32 + EXPORT_AFTER_TEXT];
    struct buf answer;
    size_t len;
    snprintf(path, sizeof path, "/v1/export%s%.32s", after ? "?after=" : "", after ? after : "");
    buf_init(&answer, HTTP_ANSWER_MAX + 1);
    int err = ask_as_device(p, "GET", path, BYTES_NONE, &answer);
    if (!err) {
        buf_put_u8(&answer, 0);
        *json_out = (char *)buf_take(&answer, &len);
        if (!*json_out) err = pipit_fail(p, ERR_NOMEM, NULL);
    }
    buf_fini(&answer);
    return err;
}
