/* cmd_contacts.c - link, add, contacts: who people are to this device. The one file that knows libqrencode. */
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

/* ---- link ---- */

enum { QUIET = 2 };                       /* light modules around the picture; readers ask for four, and manage with
                                           * two */

static bool is_dark(const QRcode *code, int x, int y)
{
    bool inside = x >= 0 && y >= 0 && x < code->width && y < code->width;
    return inside && (code->data[y * code->width + x] & 1);
}

/* Two rows in one of the terminal, by half blocks. Light is drawn and dark is left, so that it can be read on the dark
 * ground most terminals have; readers take it the other way round too. */
static void print_code(const QRcode *code)
{
    static const char *const blocks[] = { "█", "▄", "▀", " " };    /* by upper dark, and by lower dark */
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        for (int x = -QUIET; x < code->width + QUIET; x++) {
            bool upper = is_dark(code, x, y), lower = is_dark(code, x, y + 1);
            if (y + 1 >= code->width + QUIET) lower = true;    /* below the frame: nothing */
            fputs(blocks[upper + 2 * lower], stdout);
        }
        fputc('\n', stdout);
    }
}

int cmd_link(const struct options *o)
{
    struct client c;
    char link[PIPIT_LINK_MAX];
    int code = client_open(o, &c);
    if (code) return code;
    pipit_link(c.pipit, link);
    if (!o->plain && isatty(STDOUT_FILENO)) {
        QRcode *picture = QRcode_encodeString8bit(link, 0, QR_ECLEVEL_L);
        if (picture) print_code(picture);
        else fprintf(stderr, "pipit: there is no picture of a link as long as this\n");
        QRcode_free(picture);
    }
    printf("%s\n", link);
    client_close(&c);
    return output_flush() ? EXIT_DONE : EXIT_USAGE;
}

/* ---- contacts ---- */

static int fail(const struct client *c, int err, const char *what)
{
    bool mistake = err == ERR_MALFORMED || err == ERR_EXISTS || err == ERR_NOT_FOUND || err == ERR_UNSUPPORTED;
    if (!mistake) return client_fail(err, pipit_why(c->pipit));
    fprintf(stderr, "pipit: %s: %s\n", what, pipit_why(c->pipit));
    return EXIT_USAGE;
}

int cmd_add(const struct options *o)
{
    struct client c;
    struct pipit_contact added;
    int code = client_open(o, &c);
    if (code) return code;
    int err = pipit_contact_add(c.pipit, o->words[0], o->as, &added);
    if (err) {
        code = fail(&c, err, err == ERR_EXISTS && o->as ? o->as : o->words[0]);
    } else {
        fprintf(stderr, "pipit: %s is %s now; `pipit chat \"%s\"` talks with them\n", added.user.v, added.name,
                added.name);
    }
    client_close(&c);
    return code;
}

static int print_contact(void *arg, const struct pipit_contact *contact)
{
    const struct options *o = arg;
    if (o->json) {
        json_line(stdout, json_pack("{s:s, s:s, s:I}", "name", contact->name, "user", contact->user.v, "added",
                                    (json_int_t)contact->added_ms));
    } else {
        print_text(stdout, bytes_of_str(contact->name), false);
        printf("%s%s\n", strcmp(contact->name, contact->user.v) ? ": " : "",
               strcmp(contact->name, contact->user.v) ? contact->user.v : "");
    }
    return 0;
}

int cmd_contacts_list(const struct options *o)
{
    struct client c;
    struct options copy = *o;
    int code = client_open(o, &c);
    if (code) return code;
    int err = pipit_contacts(c.pipit, print_contact, &copy);
    if (err) code = client_fail(err, pipit_why(c.pipit));
    if (!output_flush()) code = EXIT_USAGE;
    client_close(&c);
    return code;
}

int cmd_contacts_rename(const struct options *o)
{
    struct client c;
    int code = client_open(o, &c);
    if (code) return code;
    int err = pipit_contact_rename(c.pipit, o->words[0], o->words[1]);
    if (err) code = fail(&c, err, err == ERR_NOT_FOUND ? o->words[0] : o->words[1]);
    client_close(&c);
    return code;
}

int cmd_contacts_remove(const struct options *o)
{
    struct client c;
    int code = client_open(o, &c);
    if (code) return code;
    int err = pipit_contact_remove(c.pipit, o->words[0]);
    if (err) code = fail(&c, err, o->words[0]);
    client_close(&c);
    return code;
}
