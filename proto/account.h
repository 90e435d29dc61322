/* account.h - what is said over HTTP about accounts, both directions: the JSON bodies, and the Authorization header.
 *
 * Members not named here are ignored. `device` in a request is a name for people, in an answer its number.
 *   /v1/register, /v1/login   {"user", "password", "invite" (register), "device" (login)}
 *   /v1/password              {"password", "new_password", "log_out_others": bool}
 *   /v1/delete                {"password"}
 *   answer                    {"user"}, of login {"user", "device": 16 hex digits, "token": 64},
 *                             of password {"user", "logged_out": number}
 *   /v1/server answers        {"server", "protocol", "registration": "open" | "invite" | "closed"}
 *   error                     {"error": "NAME", "text": "...", "again": bool}
 * The export is in account_export.c. These two are the files of proto that know jansson (rejects duplicates, bad UTF-8,
 * deep nesting). */
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
struct account_password {                     /* of /v1/password; and of /v1/delete, with the first member alone */
    char password[PASSWORD_BYTES_MAX + 1];    /* the one that holds now */
    char new_password[PASSWORD_BYTES_MAX + 1];
    bool log_out_others;                      /* revoke all other devices; absent: false */
};
struct account_answer {
    struct user_id user;
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
    bool has_device;                          /* login: device and token are there */
    bool has_logged_out;                      /* password */
    uint64_t logged_out;                      /* devices that were revoked */
};
struct account_error {
    int err;                                  /* ERR_*; ERR_MALFORMED when its name is not known here */
    char text[160];
    bool again;
};

/* Who may register. */
enum registration { REGISTRATION_INVITE, REGISTRATION_OPEN, REGISTRATION_CLOSED };
struct server_info {
    char server[NAME_BYTES_MAX + 1];          /* program and version */
    uint64_t protocol;                        /* PROTOCOL_VERSION */
    enum registration registration;
};

/* 0, ERR_MALFORMED, ERR_TYPE, ERR_NAME, ERR_PASSWORD (length), ERR_TOO_BIG, ERR_NOMEM; *why_out a constant
 * clause, NULL with 0. On error `out` holds no password. */
int account_request_decode(struct bytes body, struct account_request *out, const char **why_out);
/* Every encode returns 0, ERR_NOMEM or buf's error; this one ERR_MALFORMED too, when a text is not UTF-8. */
int account_request_encode(const struct account_request *r, struct buf *to);
void account_request_wipe(struct account_request *r);
/* The same for /v1/password and /v1/delete: errors and clauses as account_request_decode(). */
int account_password_decode(struct bytes body, struct account_password *out, const char **why_out);
int account_password_encode(const struct account_password *r, struct buf *to);
int account_delete_decode(struct bytes body, struct account_password *out, const char **why_out);
int account_delete_encode(const struct account_password *r, struct buf *to);
void account_password_wipe(struct account_password *r);
/* Both: 0, ERR_MALFORMED, ERR_TYPE, ERR_NAME (a user), ERR_TOO_BIG (the body). */
int account_answer_decode(struct bytes body, struct account_answer *out);
int account_answer_encode(const struct account_answer *a, struct buf *to);
int account_error_decode(struct bytes body, struct account_error *out);
/* `err` as err_for_peer() tells it; `text` NULL: err_text() of that, but for ERR_STORAGE, whose text speaks of
 * sends. */
int account_error_encode(int err, const char *text, struct buf *to);
/* A registration of another name than the three is ERR_RANGE: a newer server's. */
int server_info_decode(struct bytes body, struct server_info *out);
int server_info_encode(const struct server_info *info, struct buf *to);
const char *registration_name(enum registration registration);      /* "open" */

/* The header `Authorization: Bearer USER.DEVICE.TOKEN` (RFC 6750): device and token in hex, read from the end, since a
 * user name may contain dots. */
struct bearer {
    struct user_id user;
    struct device_id device;
    uint8_t token[TOKEN_BYTES];
};
enum { BEARER_TEXT = sizeof "Bearer " + USER_ID_LEN_MAX + 1 + 16 + 1 + 2 * TOKEN_BYTES };    /* bytes, with the NUL */
int bearer_parse(struct bytes header, struct bearer *out);           /* 0 or ERR_MALFORMED; `out` untouched on error */
void bearer_print(const struct bearer *b, char out[static BEARER_TEXT]);

/* What the server has of one user, in pages: account and devices stand on the first one. */
struct export_account {
    struct user_id user;
    uint64_t created_ms;
    uint64_t list_version;
};
struct export_device {
    struct device_id device;
    char name[NAME_BYTES_MAX + 1];
    uint64_t created_ms;
    uint64_t live_ms;                         /* 0: never */
    bool revoked;
};
struct export_conv {
    struct conv_id conv;
    struct user_id peer;                      /* the user itself: notes to oneself */
    uint64_t created_ms;
    uint64_t head, counted;                   /* sequence of its last record; counting records so far */
    uint64_t last_ms;                         /* time of the head; 0: nothing yet */
    uint64_t read, read_ms;                   /* cursors of this user, and when they last moved; 0: never */
    uint64_t delivered, delivered_ms;
    uint64_t sent;                            /* sequence of the user's own last message; 0: none */
};
struct export;                                /* a page being made: a tree of JSON */
enum { EXPORT_AFTER_TEXT = CONV_ID_TEXT, EXPORT_BODY_BYTES_MAX = 256 * 1024 };

/* `account` NULL: a page behind the first. NULL: out of memory, here and, kept until the end, in what follows. */
struct export *export_new(const struct export_account *account);
void export_free(struct export *e);           /* NULL is allowed */
void export_add_device(struct export *e, const struct export_device *d);
void export_add_conv(struct export *e, const struct export_conv *c);
/* `more`: the conversation to go on behind; NULL: this is the last page. 0, ERR_NOMEM or buf's error. */
int export_encode(struct export *e, const struct conv_id *more, struct buf *to);
/* What a query asks for: `after=` a conversation's id, the last one of several; other fields are passed over. All zero:
 * from the first. ERR_MALFORMED: it is no id, and *after_out is all zero. */
int export_query_parse(const char *query, struct conv_id *after_out);

#endif
