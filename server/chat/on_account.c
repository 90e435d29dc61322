/* on_account.c - what register, login, password, logout and delete do in each of their steps.
 *
 * A wrong password and a user who does not exist take the same time and get the same answer. Who has no invite learns
 * no names. What was checked before the rows are written may not hold any more when they are: the rows check it again,
 * in their transaction. */
#include <sodium.h>
#include <string.h>

#include "server/chat/session.h"
#include "server/chat/task.h"

/* -- passwords --------------------------------------------------------------------------------------------------- */

static int hash_password(struct http_task *t, const char *password, char out[static PASSWORD_HASH_MAX])
{
    t->hashed = true;
    return account_hash_password(password, &t->cost, out);
}

/* Is it the password of the account? Keeps the hash it was checked against. Done as well when there is no such user, so
 * that the time tells nothing. */
static int check_password(struct http_task *t, struct facts *facts, const char *password)
{
    struct user_row row;
    int err = facts_user_get(facts, &t->user, &row);
    if (err == ERR_NOT_FOUND) {
        (void)hash_password(t, password, t->new_hash);
        return ERR_AUTH;
    }
    if (err) return err;
    t->hashed = true;
    if (crypto_pwhash_str_verify(row.password_hash, password, strlen(password)) != 0) return ERR_AUTH;
    strcpy(t->old_hash, row.password_hash);
    return row.disabled ? ERR_AUTH : 0;
}

/* As a device, whose token was right: the password is another matter. */
static int check_own_password(struct http_task *t, struct facts *facts)
{
    int err = check_password(t, facts, t->u.password.password);
    if (err != ERR_AUTH) return err;
    t->why = "this is not the password of this account";
    return ERR_DENIED;
}

/* In the transaction: is the account still as it was when the password was checked? */
static int account_unchanged(struct http_task *t, struct facts *facts, struct user_row *row)
{
    int err = facts_user_get(facts, &t->user, row);
    if (err) return err == ERR_NOT_FOUND ? ERR_AUTH : err;
    return row->disabled || strcmp(row->password_hash, t->old_hash) != 0 ? ERR_AUTH : 0;
}

/* In the transaction: does the device live still? */
static int device_unchanged(struct http_task *t, struct facts *facts)
{
    struct device_row row;
    return account_check_device(facts, &t->user, t->device, t->token_hash, &row);
}

static int answer_user(struct http_task *t, struct buf *to)
{
    struct account_answer a = { .user = t->user };
    return account_answer_encode(&a, to);
}

/* -- register ---------------------------------------------------------------------------------------------------- */

static int request_begin(struct http_task *t, const struct http_request *request)
{
    int err = account_request_decode(request->body, &t->u.request, &t->why);
    if (!err) t->user = t->u.request.user;
    return err;
}

static int register_begin(struct http_task *t, const struct http_request *request)
{
    if (t->registration == REGISTRATION_CLOSED) return ERR_CLOSED_DOOR;
    int err = request_begin(t, request);
    if (err) return err;
    /* Otherwise whoever may register could do so without end. */
    t->always_spent = t->registration == REGISTRATION_OPEN;
    if (t->registration == REGISTRATION_OPEN) return 0;
    t->why = "registration needs an invite";
    if (!t->u.request.invite[0]) return ERR_INVITE;
    t->why = NULL;
    account_secret_hash(bytes_of_str(t->u.request.invite), t->invite_hash);
    return 0;
}

static int check_name(struct http_task *t, struct facts *facts)
{
    char skeleton[USER_ID_LEN_MAX + 1];
    bool alike;
    int err = facts_skeleton(facts, t->user.v, skeleton);
    if (err) return err;
    if (account_is_reserved(skeleton)) {
        t->why = "this name, or one it looks like, is kept for who runs the server";
        return ERR_NAME;
    }
    err = facts_name_check(facts, &t->user, &alike);
    if (err == ERR_EXISTS && alike) t->why = "this name looks like one that is taken";
    return err;
}

static int register_hash(struct http_task *t, struct facts *facts)
{
    int err = t->registration == REGISTRATION_INVITE ? facts_invite_check(facts, t->invite_hash, t->now_ms) : 0;
    if (!err) err = check_name(t, facts);
    return err ? err : hash_password(t, t->u.request.password, t->new_hash);
}

static int register_key(struct http_task *t, struct vault *vault)
{
    return account_make_key(vault, &t->user, t->now_ms);
}

static int register_rows(struct http_task *t, struct facts *facts)
{
    int err = t->registration == REGISTRATION_INVITE ? facts_invite_use(facts, t->invite_hash, t->now_ms) : 0;
    if (!err) err = check_name(t, facts);
    return err ? err : account_add(facts, &t->user, t->new_hash, t->now_ms);
}

const struct route route_register = {
    .path = "/v1/register", .method = "POST", .done = "registered", .refused = "register_refused", .status = 201,
    .steps = { STEP_LIMIT, STEP_HASH, STEP_ROWS },
    .begin = register_begin, .hash = register_hash, .key = register_key, .rows = register_rows, .answer = answer_user,
};

/* -- login ------------------------------------------------------------------------------------------------------- */

static int login_hash(struct http_task *t, struct facts *facts)
{
    return check_password(t, facts, t->u.request.password);
}

static int login_rows(struct http_task *t, struct facts *facts)
{
    struct user_row row;
    /* A password that was changed meanwhile, perhaps to keep this one out, opens nothing any more. */
    int err = account_unchanged(t, facts, &row);
    if (err) return err;
    account_new_device(&t->user, t->u.request.device_name, t->now_ms, &t->made, t->token);
    err = facts_device_add(facts, &t->made);
    if (err == ERR_TOO_MANY) t->why = "this user has as many devices as a user may have: revoke one";
    if (err) return err;
    t->change->list_version = row.list_version + 1;
    change_tell(t->change, DEVICE_ADDED, t->made.device, t->made.name);
    return 0;
}

static int login_answer(struct http_task *t, struct buf *to)
{
    struct account_answer a = { .user = t->user, .device = t->made.device, .has_device = true };
    memcpy(a.token, t->token, sizeof a.token);
    int err = account_answer_encode(&a, to);
    sodium_memzero(&a, sizeof a);
    return err;
}

const struct route route_login = {
    .path = "/v1/login", .method = "POST", .done = "login", .refused = "login_refused", .status = 200,
    .steps = { STEP_LIMIT, STEP_HASH, STEP_ROWS, STEP_TELL },
    .begin = request_begin, .hash = login_hash, .rows = login_rows, .answer = login_answer,
};

/* -- password ---------------------------------------------------------------------------------------------------- */

static int password_begin(struct http_task *t, const struct http_request *request)
{
    return account_password_decode(request->body, &t->u.password, &t->why);
}

static int password_hash(struct http_task *t, struct facts *facts)
{
    int err = check_own_password(t, facts);
    return err ? err : hash_password(t, t->u.password.new_password, t->new_hash);
}

static int password_rows(struct http_task *t, struct facts *facts)
{
    struct device_row rows[DEVICES_PER_USER_MAX];
    struct device_choice others = { .except = t->device };
    uint64_t version = 0;
    size_t count = 0;
    int err = device_unchanged(t, facts);
    if (err) return err;
    err = facts_user_password(facts, &t->user, t->old_hash, t->new_hash);
    if (err == ERR_AUTH) {
        t->why = "the password was changed meanwhile";
        return ERR_DENIED;
    }
    if (err || !t->u.password.log_out_others) return err;
    err = facts_device_revoke(facts, &t->user, others, rows, &count, &version);
    if (err) return err;
    t->logged_out = count;
    change_revoked(t->change, others, rows, count, version);
    return 0;
}

static int password_answer(struct http_task *t, struct buf *to)
{
    struct account_answer a = { .user = t->user, .has_logged_out = true, .logged_out = t->logged_out };
    return account_answer_encode(&a, to);
}

const struct route route_password = {
    .path = "/v1/password", .method = "POST", .done = "password_changed", .refused = "password_refused", .status = 200,
    .steps = { STEP_DEVICE, STEP_LIMIT, STEP_HASH, STEP_ROWS, STEP_TELL },
    .begin = password_begin, .hash = password_hash, .rows = password_rows, .answer = password_answer,
};

/* -- logout, delete ------------------------------------------------------------------------------------------------ */

static int logout_rows(struct http_task *t, struct facts *facts)
{
    struct device_choice own = { .only = t->device };
    struct device_row row[DEVICES_PER_USER_MAX];
    uint64_t version;
    size_t count;
    int err = facts_device_revoke(facts, &t->user, own, row, &count, &version);
    if (err) return err == ERR_NOT_FOUND ? ERR_REVOKED : err;
    change_revoked(t->change, own, row, count, version);
    return 0;
}

const struct route route_logout = {
    .path = "/v1/logout", .method = "POST", .done = "logout", .refused = "logout_refused", .status = 200,
    .steps = { STEP_DEVICE, STEP_ROWS, STEP_TELL },
    .rows = logout_rows, .answer = answer_user,
};

static int delete_begin(struct http_task *t, const struct http_request *request)
{
    return account_delete_decode(request->body, &t->u.password, &t->why);
}

static int delete_rows(struct http_task *t, struct facts *facts)
{
    struct user_row row;
    int err = device_unchanged(t, facts);
    if (!err) err = account_unchanged(t, facts, &row);
    if (!err) err = facts_user_delete(facts, &t->user, t->now_ms);
    if (err) return err;
    t->change->close = ERR_REVOKED;           /* all of the user's: they are gone */
    return 0;
}

const struct route route_delete = {
    .path = "/v1/delete", .method = "POST", .done = "account_deleted", .refused = "delete_refused", .status = 200,
    .steps = { STEP_DEVICE, STEP_LIMIT, STEP_HASH, STEP_ROWS, STEP_TELL },
    .begin = delete_begin, .hash = check_own_password, .rows = delete_rows, .answer = answer_user,
};
