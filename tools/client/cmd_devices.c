/* cmd_devices.c - devices: where a user is logged in. */
#include <stdio.h>
#include <string.h>

#include "tools/client/commands.h"
#include "tools/client/output.h"

enum { ASK_MS_MAX = 30000 };

static int print_device(void *arg, const struct pipit_device *d)
{
    const struct options *o = arg;
    char id[DEVICE_ID_TEXT], created[32], live[32];
    device_id_print(d->device, id);
    if (o->json) {
        json_line(stdout, json_pack("{s:s, s:o, s:I, s:o, s:b}", "device", id, "name",
                                    json_stringn((const char *)d->name.at, d->name.len), "created",
                                    (json_int_t)d->created_ms, "live",
                                    d->live_ms ? json_integer((json_int_t)d->live_ms) : json_null(), "this",
                                    (int)d->is_this));
        return 0;
    }
    format_time(d->created_ms, created);
    format_time(d->live_ms, live);
    printf("%s  since %s, seen %s%s  ", id, created, d->live_ms ? live : "never", d->is_this ? "  (this one)" : "");
    print_text(stdout, d->name, false);
    fputc('\n', stdout);
    return 0;
}

static int end(struct client *c, int err)
{
    int code = EXIT_DONE;
    if (err == ERR_RANGE) {               /* the library's own word: nothing was asked */
        fprintf(stderr, "pipit: %s\n", pipit_why(c->pipit));
        code = EXIT_USAGE;
    } else if (err == ERR_NOT_FOUND) {
        fprintf(stderr, "pipit: you have no such device\n");
        code = EXIT_REFUSED;
    } else if (err) {
        code = client_fail(err, pipit_why(c->pipit));
    }
    client_close(c);
    return output_flush() ? code : EXIT_USAGE;
}

static int begin(const struct options *o, struct client *c)
{
    int code = client_open(o, c);
    if (!code) pipit_tell(c->pipit, &client_events, NULL);
    return code;
}

int cmd_devices_list(const struct options *o)
{
    struct client c;
    struct options copy = *o;
    int code = begin(o, &c);
    return code ? code : end(&c, pipit_devices(c.pipit, ASK_MS_MAX, print_device, &copy));
}

int cmd_devices_name(const struct options *o)
{
    struct client c;
    struct options copy = *o;
    struct device_id device;
    if (!take_device(o->words[0], &device)) return EXIT_USAGE;
    int code = begin(o, &c);
    return code ? code : end(&c, pipit_device_name(c.pipit, device, o->words[1], ASK_MS_MAX, print_device, &copy));
}

int cmd_devices_revoke(const struct options *o)
{
    struct client c;
    struct options copy = *o;
    struct device_id device;
    if (!take_device(o->words[0], &device)) return EXIT_USAGE;
    int code = begin(o, &c);
    return code ? code : end(&c, pipit_device_revoke(c.pipit, device, ASK_MS_MAX, print_device, &copy));
}
