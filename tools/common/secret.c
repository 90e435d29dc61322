/* secret.c - see secret.h. */
#include "tools/common/secret.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "proto/proto.h"

/* One line without its end. False: there was none. */
static bool read_line(FILE *from, char *out, size_t size)
{
    if (!fgets(out, (int)size, from)) return false;
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static bool ask(FILE *tty, const char *prompt, char *out, size_t size)
{
    struct termios before, quiet;
    bool had = tcgetattr(fileno(tty), &before) == 0;
    fputs(prompt, tty);
    fflush(tty);
    if (had) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    }
    bool got = read_line(tty, out, size);
    if (had) tcsetattr(fileno(tty), TCSAFLUSH, &before);
    fputs("\n", tty);
    return got;
}

enum { LINE_MAX_BYTES = PASSWORD_BYTES_MAX + 3 };    /* two more than a password: one that is too long shows */

static bool is_long_enough(const char *line)
{
    size_t len = strlen(line);
    return len >= PASSWORD_BYTES_MIN && len <= PASSWORD_BYTES_MAX;
}

/* Until it is a password, and was typed the same way twice; or nothing was typed. */
static int ask_terminal(const struct secret_source *from, char *out, size_t size)
{
    char again[LINE_MAX_BYTES], prompt[64];
    FILE *tty = fopen("/dev/tty", "r+");
    int err = ERR_MALFORMED;
    if (!tty) {
        fprintf(stderr, "no password: give a file or %s (there is no terminal to ask on)\n", from->variable);
        return ERR_END;
    }
    snprintf(prompt, sizeof prompt, "%s: ", from->prompt);
    while (err == ERR_MALFORMED) {
        if (!ask(tty, prompt, out, size) || !out[0]) {
            err = ERR_END;
        } else if (!is_long_enough(out)) {
            fprintf(tty, "%s\n", err_text(ERR_PASSWORD));
        } else if (from->twice && !ask(tty, "Once more: ", again, sizeof again)) {
            err = ERR_END;
        } else if (from->twice && strcmp(out, again) != 0) {
            fprintf(tty, "the two are not the same\n");
        } else {
            err = 0;
        }
    }
    sodium_memzero(again, sizeof again);
    fclose(tty);
    if (err) fprintf(stderr, "no password was given\n");
    return err;
}

int secret_take(const struct secret_source *from, char out[static PASSWORD_BYTES_MAX + 1])
{
    char line[LINE_MAX_BYTES] = "";
    const char *env = getenv(from->variable);
    int err = 0;
    if (from->file) {
        FILE *f = fopen(from->file, "r");
        bool got = f && read_line(f, line, sizeof line);
        if (f) fclose(f);
        if (!got) {
            fprintf(stderr, "%s: no password can be read from it\n", from->file);
            return ERR_NOT_FOUND;
        }
    } else if (env) {
        snprintf(line, sizeof line, "%s", env);
    } else {
        err = ask_terminal(from, line, sizeof line);
    }
    if (!err && !is_long_enough(line)) {
        fprintf(stderr, "%s\n", err_text(ERR_PASSWORD));
        err = ERR_PASSWORD;
    }
    if (!err) strcpy(out, line);
    sodium_memzero(line, sizeof line);
    return err;
}

int secret_read(const char *file, bool twice, char out[static PASSWORD_BYTES_MAX + 1])
{
    return secret_take(&(struct secret_source){ file, "PIPIT_PASSWORD", "Password", twice }, out);
}
