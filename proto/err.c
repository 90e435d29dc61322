/* err.c - the list of err.h as functions.
 *
 * Each question is one switch made from ERR_LIST, so that a new error is one line in one place, and two
 * errors with one code do not compile. */
#include "proto/err.h"

#include <errno.h>
#include <string.h>

enum {
    ERR_CODE_INSIDE = 100,          /* from here on never sent to a peer */
    CLOSE_NORMAL = 1000,            /* RFC 6455, section 7.4.1 */
    CLOSE_NOT_ACCEPTED = 1003,      /* "a type of data it cannot accept": RFC 6455 has text and binary in mind */
    CLOSE_INTERNAL = 1011,
    CLOSE_PRIVATE = 4000,           /* the range that section 7.4.2 leaves to applications */
};

const char *err_name(int err)
{
    switch (err) {
    case ERR_OK: return "OK";
#define ERR_NAME_CASE(name, code, again, text) case -(code): return #name;
    ERR_LIST(ERR_NAME_CASE)
#undef ERR_NAME_CASE
    }
    return "UNKNOWN";
}

const char *err_text(int err)
{
    switch (err) {
    case ERR_OK: return "done";
#define ERR_TEXT_CASE(name, code, again, text) case -(code): return text;
    ERR_LIST(ERR_TEXT_CASE)
#undef ERR_TEXT_CASE
    }
    return "an error this version does not know";
}

bool err_may_retry(int err)
{
    switch (err) {
#define ERR_AGAIN_CASE(name, code, again, text) case -(code): return again;
    ERR_LIST(ERR_AGAIN_CASE)
#undef ERR_AGAIN_CASE
    }
    return false;
}

int err_from_name(const char *name)
{
#define ERR_NAME_TEST(known, code, again, text) if (strcmp(name, #known) == 0) return -(code);
    ERR_LIST(ERR_NAME_TEST)
#undef ERR_NAME_TEST
    return ERR_OK;
}

int err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:      return ERR_OK;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  return ERR_NO_SPACE;
    case ENOMEM: return ERR_NOMEM;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case EAGAIN: return ERR_AGAIN;
    default:     return ERR_IO;
    }
}

int err_for_peer(int err)
{
    if (err > -ERR_CODE_INSIDE) return err;
    switch (err) {
    case ERR_NOMEM:
    case ERR_FULL:
    case ERR_AGAIN: return ERR_BUSY;
    case ERR_GONE:
    case ERR_END:   return ERR_NOT_FOUND;
    default:        return ERR_STORAGE;
    }
}

int err_close_code(int err)
{
    if (err == ERR_OK) return CLOSE_NORMAL;
    if (err > 0 || err <= -ERR_CODE_INSIDE) return CLOSE_INTERNAL;
    if (err == ERR_NOT_BINARY) return CLOSE_NOT_ACCEPTED;
    return CLOSE_PRIVATE - err;
}
