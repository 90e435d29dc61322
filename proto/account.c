/* account.c - accounts as JSON, which is what curl and a web page speak; and the Authorization header.
 *
 * A body is at most ACCOUNT_BODY_BYTES_MAX, so what jansson allocates for it is bounded by that. It refuses
 * double members, NUL characters and anything but UTF-8; what is left to check are types and lengths. The
 * password is in jansson's memory for the length of one call; account_request_wipe() is for the copy that
 * lives on until the hash is made. */
#include "proto/account.h"

#include <assert.h>
#include <jansson.h>
#include <sodium/utils.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/err.h"

enum { TOKEN_TEXT = 2 * TOKEN_BYTES + 1 };    /* hex digits and the NUL */

/* ---- reading ---- */

static json_t *parse_object(struct bytes body, int *err_out, const char **why_out)
{
    *why_out = "the body is larger than 2048 bytes";
    *err_out = ERR_TOO_BIG;
    if (body.len > ACCOUNT_BODY_BYTES_MAX) return NULL;
    *why_out = "the body is not JSON";
    *err_out = ERR_MALFORMED;
    if (body.len == 0) return NULL;    /* an empty view may be NULL, which jansson does not take */
    json_error_t error;
    json_t *root = json_loadb((const char *)body.at, body.len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        if (json_error_code(&error) == json_error_out_of_memory) *err_out = ERR_NOMEM;
        return NULL;
    }
    if (!json_is_object(root)) {
        *why_out = "the body is not a JSON object";
        json_decref(root);
        return NULL;
    }
    *why_out = NULL;
    *err_out = 0;
    return root;
}

/* One string member as a view, good as long as `root` is; ERR_NOT_FOUND when it is absent or null. */
static int get_str(const json_t *root, const char *name, struct bytes *out)
{
    const json_t *v = json_object_get(root, name);
    *out = BYTES_NONE;
    if (!v || json_is_null(v)) return ERR_NOT_FOUND;
    if (!json_is_string(v)) return ERR_TYPE;
    *out = bytes_of(json_string_value(v), json_string_length(v));
    return 0;
}

/* A string that may be absent, copied with its NUL; `size` counts that. */
static int get_optional(const json_t *root, const char *name, char *out, size_t size)
{
    struct bytes str;
    out[0] = '\0';
    int err = get_str(root, name, &str);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    if (str.len >= size) return ERR_TOO_BIG;
    memcpy(out, str.at, str.len);
    out[str.len] = '\0';
    return 0;
}

static int get_user(const json_t *root, struct user_id *out)
{
    struct bytes str;
    if (get_str(root, "user", &str) != 0) return ERR_TYPE;
    return user_id_parse(str, out);
}

static int get_password(const json_t *root, const char *name, char out[static PASSWORD_BYTES_MAX + 1])
{
    struct bytes str;
    if (get_str(root, name, &str) != 0) return ERR_TYPE;
    if (str.len < PASSWORD_BYTES_MIN || str.len > PASSWORD_BYTES_MAX) return ERR_PASSWORD;
    memcpy(out, str.at, str.len);
    out[str.len] = '\0';
    return 0;
}

static int request_from_json(const json_t *root, struct account_request *out, const char **why_out)
{
    int err = get_user(root, &out->user);
    *why_out = err == ERR_TYPE ? "user is not a string"
                               : "user is not 2 to 32 of a-z 0-9 . _ - (no upper case) beginning with a letter or digit";
    if (err) return err;
    err = get_password(root, "password", out->password);
    *why_out = err == ERR_TYPE ? "password is not a string" : "password is not 8 to 256 bytes";
    if (err) return err;
    err = get_optional(root, "invite", out->invite, sizeof out->invite);
    *why_out = err == ERR_TYPE ? "invite is not a string" : "invite is too long";
    if (err) return err;
    err = get_optional(root, "device", out->device_name, sizeof out->device_name);
    *why_out = err == ERR_TYPE ? "device is not a string" : "device is too long";
    if (err) return err;
    *why_out = "device has a control character";
    if (!bytes_is_line(bytes_of_str(out->device_name))) return ERR_MALFORMED;
    *why_out = NULL;
    return 0;
}

static int old_password_from_json(const json_t *root, struct account_password *out, const char **why_out)
{
    int err = get_password(root, "password", out->password);
    *why_out = err == ERR_TYPE ? "password is not a string" : err ? "password is not 8 to 256 bytes" : NULL;
    return err;
}

static int password_from_json(const json_t *root, struct account_password *out, const char **why_out)
{
    int err = old_password_from_json(root, out, why_out);
    if (err) return err;
    err = get_password(root, "new_password", out->new_password);
    *why_out = err == ERR_TYPE ? "new_password is not a string" : "new_password is not 8 to 256 bytes";
    if (err) return err;
    const json_t *others = json_object_get(root, "log_out_others");
    *why_out = "log_out_others is not a boolean";
    if (others && !json_is_null(others) && !json_is_boolean(others)) return ERR_TYPE;
    out->log_out_others = json_is_true(others);
    *why_out = NULL;
    return 0;
}
_Static_assert(PASSWORD_BYTES_MIN == 8 && PASSWORD_BYTES_MAX == 256, "the text above says so");
_Static_assert(ACCOUNT_BODY_BYTES_MAX == 2048, "the text of parse_object() says so");

/* ---- writing ---- */

/* Appends `root` as compact JSON and lets go of it. NULL is an object that could not be made. */
static int put_json(json_t *root, struct buf *to)
{
    if (!root) return ERR_NOMEM;
    size_t len = json_dumpb(root, NULL, 0, JSON_COMPACT);
    uint8_t *at = len > 0 ? buf_grow(to, len) : NULL;
    int err = len > 0 ? to->err : ERR_NOMEM;
    if (!err && json_dumpb(root, (char *)at, len, JSON_COMPACT) != len) err = ERR_NOMEM;
    json_decref(root);
    return err;
}

/* ---- the face ---- */

int account_request_decode(struct bytes body, struct account_request *out, const char **why_out)
{
    int err;
    memset(out, 0, sizeof *out);
    json_t *root = parse_object(body, &err, why_out);
    if (!root) return err;
    err = request_from_json(root, out, why_out);
    if (err) account_request_wipe(out);
    json_decref(root);
    return err;
}

static int decode_password(struct bytes body, struct account_password *out, const char **why_out,
                           int (*from_json)(const json_t *, struct account_password *, const char **))
{
    int err;
    memset(out, 0, sizeof *out);
    json_t *root = parse_object(body, &err, why_out);
    if (!root) return err;
    err = from_json(root, out, why_out);
    if (err) account_password_wipe(out);
    json_decref(root);
    return err;
}

int account_password_decode(struct bytes body, struct account_password *out, const char **why_out)
{
    return decode_password(body, out, why_out, password_from_json);
}

int account_delete_decode(struct bytes body, struct account_password *out, const char **why_out)
{
    return decode_password(body, out, why_out, old_password_from_json);
}

/* jansson makes no string of anything else. */
static bool is_utf8(const char *s)
{
    return bytes_is_utf8(bytes_of_str(s));
}

int account_request_encode(const struct account_request *r, struct buf *to)
{
    if (!is_utf8(r->password) || !is_utf8(r->invite) || !is_utf8(r->device_name)) return ERR_MALFORMED;
    json_t *root = json_pack("{s:s, s:s}", "user", r->user.v, "password", r->password);
    if (root && r->invite[0] != '\0' && json_object_set_new(root, "invite", json_string(r->invite)) != 0) goto fail;
    if (root && r->device_name[0] != '\0' && json_object_set_new(root, "device", json_string(r->device_name)) != 0)
        goto fail;
    return put_json(root, to);
fail:
    json_decref(root);
    return ERR_NOMEM;
}

void account_request_wipe(struct account_request *r)
{
    sodium_memzero(r, sizeof *r);
}

int account_password_encode(const struct account_password *r, struct buf *to)
{
    if (!is_utf8(r->password) || !is_utf8(r->new_password)) return ERR_MALFORMED;
    return put_json(json_pack("{s:s, s:s, s:b}", "password", r->password, "new_password", r->new_password,
                              "log_out_others", r->log_out_others ? 1 : 0), to);
}

int account_delete_encode(const struct account_password *r, struct buf *to)
{
    if (!is_utf8(r->password)) return ERR_MALFORMED;
    return put_json(json_pack("{s:s}", "password", r->password), to);
}

void account_password_wipe(struct account_password *r)
{
    sodium_memzero(r, sizeof *r);
}

int account_answer_decode(struct bytes body, struct account_answer *out)
{
    const char *why;
    int err;
    struct bytes device, token;
    memset(out, 0, sizeof *out);
    json_t *root = parse_object(body, &err, &why);
    if (!root) return err;
    err = get_user(root, &out->user);
    int no_device = get_str(root, "device", &device);
    int no_token = get_str(root, "token", &token);
    if (!err && no_device == 0 && no_token == 0) {
        size_t len = 0;
        err = device_id_parse(device, &out->device);
        if (sodium_hex2bin(out->token, sizeof out->token, (const char *)token.at, token.len, NULL, &len, NULL) != 0 ||
            len != sizeof out->token)
            err = ERR_MALFORMED;
        out->has_device = !err;
    } else if (!err && (no_device != ERR_NOT_FOUND || no_token != ERR_NOT_FOUND)) {
        err = ERR_TYPE;    /* one without the other, or not strings */
    }
    const json_t *logged_out = json_object_get(root, "logged_out");
    if (!err && logged_out) {
        if (!json_is_integer(logged_out) || json_integer_value(logged_out) < 0) err = ERR_TYPE;
        else out->logged_out = (uint64_t)json_integer_value(logged_out);
        out->has_logged_out = !err;
    }
    json_decref(root);
    return err;
}

int account_answer_encode(const struct account_answer *a, struct buf *to)
{
    if (a->has_logged_out)
        return put_json(json_pack("{s:s, s:I}", "user", a->user.v, "logged_out", (json_int_t)a->logged_out), to);
    if (!a->has_device) return put_json(json_pack("{s:s}", "user", a->user.v), to);
    char device[DEVICE_ID_TEXT], token[TOKEN_TEXT];
    device_id_print(a->device, device);
    sodium_bin2hex(token, sizeof token, a->token, sizeof a->token);
    int err = put_json(json_pack("{s:s, s:s, s:s}", "user", a->user.v, "device", device, "token", token), to);
    sodium_memzero(token, sizeof token);
    return err;
}

int account_error_decode(struct bytes body, struct account_error *out)
{
    const char *why;
    int err;
    struct bytes name, text;
    memset(out, 0, sizeof *out);
    json_t *root = parse_object(body, &err, &why);
    if (!root) return err;
    const json_t *again = json_object_get(root, "again");
    if (get_str(root, "error", &name) != 0 || get_str(root, "text", &text) != 0 || !json_is_boolean(again)) {
        err = ERR_TYPE;
    } else {
        size_t len = text.len < sizeof out->text ? text.len : sizeof out->text - 1;
        while (len < text.len && len > 0 && (text.at[len] & 0xC0) == 0x80) len--;    /* cut between characters */
        memcpy(out->text, text.at, len);
        out->err = err_from_name((const char *)name.at);    /* jansson ends its strings with a NUL */
        if (out->err == 0) out->err = ERR_MALFORMED;
        out->again = json_is_true(again);
    }
    json_decref(root);
    return err;
}

int account_error_encode(int err, const char *text, struct buf *to)
{
    int told = err_for_peer(err);
    assert(told < 0);
    if (!text) text = told == ERR_STORAGE ? "it could not be written; try again later" : err_text(told);
    return put_json(json_pack("{s:s, s:s, s:b}", "error", err_name(told), "text", text, "again",
                              err_may_retry(told) ? 1 : 0), to);
}

/* ---- /v1/server ---- */

static const char *const registrations[] = {
    [REGISTRATION_INVITE] = "invite", [REGISTRATION_OPEN] = "open", [REGISTRATION_CLOSED] = "closed",
};
enum { REGISTRATIONS = sizeof registrations / sizeof registrations[0] };

const char *registration_name(enum registration registration)
{
    assert((size_t)registration < REGISTRATIONS);
    return registrations[registration];
}

int server_info_encode(const struct server_info *info, struct buf *to)
{
    return put_json(json_pack("{s:s, s:I, s:s}", "server", info->server, "protocol", (json_int_t)info->protocol,
                              "registration", registration_name(info->registration)), to);
}

int server_info_decode(struct bytes body, struct server_info *out)
{
    const char *why;
    int err;
    struct bytes name;
    memset(out, 0, sizeof *out);
    json_t *root = parse_object(body, &err, &why);
    if (!root) return err;
    err = get_optional(root, "server", out->server, sizeof out->server);
    const json_t *protocol = json_object_get(root, "protocol");
    if (!err && (!json_is_integer(protocol) || json_integer_value(protocol) < 0)) err = ERR_TYPE;
    if (!err) out->protocol = (uint64_t)json_integer_value(protocol);
    if (!err && get_str(root, "registration", &name) != 0) err = ERR_TYPE;
    size_t i = 0;
    while (!err && i < REGISTRATIONS && !bytes_equal(name, bytes_of_str(registrations[i]))) i++;
    if (i == REGISTRATIONS) err = ERR_RANGE;
    else out->registration = (enum registration)i;
    json_decref(root);
    return err;
}

/* ---- Authorization ---- */

/* The last `digits` of `text` and the dot before them, which are taken off it. False: they are not there. */
static bool take_last(struct bytes *text, size_t digits, struct bytes *out)
{
    if (text->len < digits + 1 || text->at[text->len - digits - 1] != '.') return false;
    *out = bytes_of(text->at + text->len - digits, digits);
    text->len -= digits + 1;
    return true;
}

int bearer_parse(struct bytes header, struct bearer *out)
{
    static const char scheme[] = "bearer ";
    struct bearer b;
    struct bytes device, token;
    size_t len = 0;
    memset(&b, 0, sizeof b);
    if (header.len < sizeof scheme - 1) return ERR_MALFORMED;
    if (strncasecmp((const char *)header.at, scheme, sizeof scheme - 1) != 0) return ERR_MALFORMED;
    struct bytes rest = bytes_of(header.at + sizeof scheme - 1, header.len - (sizeof scheme - 1));
    while (rest.len > 0 && rest.at[0] == ' ') rest = bytes_of(rest.at + 1, rest.len - 1);
    if (!take_last(&rest, TOKEN_TEXT - 1, &token) || !take_last(&rest, DEVICE_ID_TEXT - 1, &device))
        return ERR_MALFORMED;
    if (device_id_parse(device, &b.device) != 0 || user_id_parse(rest, &b.user) != 0) return ERR_MALFORMED;
    if (sodium_hex2bin(b.token, sizeof b.token, (const char *)token.at, token.len, NULL, &len, NULL) != 0 ||
        len != sizeof b.token)
        return ERR_MALFORMED;
    *out = b;
    sodium_memzero(&b, sizeof b);
    return 0;
}

void bearer_print(const struct bearer *b, char out[static BEARER_TEXT])
{
    char device[DEVICE_ID_TEXT], token[TOKEN_TEXT];
    device_id_print(b->device, device);
    sodium_bin2hex(token, sizeof token, b->token, sizeof b->token);
    snprintf(out, BEARER_TEXT, "Bearer %s.%s.%s", b->user.v, device, token);
    sodium_memzero(token, sizeof token);
}
