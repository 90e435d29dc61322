/* account.h - the JSON bodies of /v1/register and /v1/login, both directions.
 *
 * Members not named here are ignored. `device` in a request is a name for people, in an answer its number.
 * Request:  {"user": "...", "password": "...", "invite": "...", "device": "..."}  (invite for register only)
 * Answer:   {"user": "...", "device": "16 hex digits", "token": "64 hex digits"}   (login; register: {"user"})
 * Error:    {"error": "NAME", "text": "...", "again": bool}
 * The one file of proto that knows jansson (rejects duplicates, bad UTF-8, deep nesting). */
#ifndef PIPIT_PROTO_ACCOUNT_H
#define PIPIT_PROTO_ACCOUNT_H

#include "proto/id.h"
#include "proto/limits.h"

enum { ACCOUNT_BODY_BYTES_MAX = 2048, INVITE_TEXT_MAX = 64 };

struct account_request {
    struct user_id user;
    char password[PASSWORD_BYTES_MAX + 1];    /* wipe with account_request_wipe() */
    char invite[INVITE_TEXT_MAX + 1];         /* "" when absent */
    char device_name[NAME_BYTES_MAX + 1];     /* "" when absent */
};
struct account_answer {
    struct user_id user;
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    bool has_device;                          /* login: device and token are there */
};
struct account_error {
    int err;                                  /* ERR_*; ERR_MALFORMED when its name is not known here */
    char text[160];
    bool again;
};

/* 0, ERR_MALFORMED, ERR_TYPE, ERR_NAME, ERR_PASSWORD (length), ERR_TOO_BIG, ERR_NOMEM; *why_out a constant
 * clause, NULL with 0. On error `out` holds no password. */
int account_request_decode(struct bytes body, struct account_request *out, const char **why_out);
/* Every encode returns 0, ERR_NOMEM or buf's error; this one ERR_MALFORMED too, when a text is not UTF-8. */
int account_request_encode(const struct account_request *r, struct buf *to);
void account_request_wipe(struct account_request *r);
/* Both: 0, ERR_MALFORMED, ERR_TYPE, ERR_NAME (a user), ERR_TOO_BIG (the body). */
int account_answer_decode(struct bytes body, struct account_answer *out);
int account_answer_encode(const struct account_answer *a, struct buf *to);
int account_error_decode(struct bytes body, struct account_error *out);
/* `err` as err_for_peer() tells it; `text` NULL: err_text() of that. */
int account_error_encode(int err, const char *text, struct buf *to);

#endif
