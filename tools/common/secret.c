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

static int ask_terminal(bool twice, char *out, size_t size)
{
    char again[PASSWORD_BYTES_MAX + 3];
    FILE *tty = fopen("/dev/tty", "r+");
    int err = 0;
    if (!tty) {
        fprintf(stderr, "no password: give --password-file or PIPIT_PASSWORD (there is no terminal to ask on)\n");
        return ERR_END;
    }
    if (!ask(tty, "Password: ", out, size)) err = ERR_END;
    if (!err && twice && (!ask(tty, "Once more: ", again, sizeof again) || strcmp(out, again) != 0)) {
        fprintf(stderr, "the two passwords are not the same\n");
        err = ERR_MALFORMED;
    }
    sodium_memzero(again, sizeof again);
    fclose(tty);
    return err;
}

int secret_read(const char *file, bool twice, char out[static PASSWORD_BYTES_MAX + 1])
{
    char line[PASSWORD_BYTES_MAX + 3];        /* two more than a password: one that is too long shows */
    const char *env = getenv("PIPIT_PASSWORD");
    int err = 0;
    if (file) {
        FILE *f = fopen(file, "r");
        bool got = f && read_line(f, line, sizeof line);
        if (f) fclose(f);
        if (!got) {
            fprintf(stderr, "%s: no password can be read from it\n", file);
            return ERR_NOT_FOUND;
        }
    } else if (env) {
        snprintf(line, sizeof line, "%s", env);
    } else {
        err = ask_terminal(twice, line, sizeof line);
    }
    size_t len = err ? 0 : strlen(line);
    if (!err && (len < PASSWORD_BYTES_MIN || len > PASSWORD_BYTES_MAX)) {
        fprintf(stderr, "%s\n", err_text(ERR_PASSWORD));
        err = ERR_PASSWORD;
    }
    if (!err) memcpy(out, line, len + 1);
    sodium_memzero(line, sizeof line);
    return err;
}
