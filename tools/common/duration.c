/* duration.c - how long, as people write and read it (see duration.h). */
#include "tools/common/duration.h"

#include <stdio.h>
#include <string.h>

static const struct { char letter; uint32_t seconds; const char *name; } units[] = {
    { 'w', 7 * 86400, NULL },     /* "7 days" says as much as "1 week" */
    { 'd', 86400, "day" },
    { 'h', 3600, "hour" },
    { 'm', 60, "minute" },
    { 's', 1, "second" },
};
enum { UNITS = sizeof units / sizeof units[0] };

bool duration_parse(const char *text, uint64_t *seconds_out)
{
    uint64_t number = 0;
    const char *at = text;
    if (strcmp(text, "off") == 0) {
        *seconds_out = 0;
        return true;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (number > (UINT64_MAX - 9) / 10) return false;
        number = number * 10 + (uint64_t)(*at - '0');
    }
    for (int i = 0; number > 0 && i < UNITS; i++) {
        if (at[0] != units[i].letter || at[1]) continue;
        if (number > UINT64_MAX / units[i].seconds) return false;
        *seconds_out = number * units[i].seconds;
        return true;
    }
    return false;
}

void duration_print(uint64_t seconds, char out[static DURATION_TEXT_MAX])
{
    int i = 1;
    if (seconds == 0) {
        snprintf(out, DURATION_TEXT_MAX, "off");
        return;
    }
    while (seconds % units[i].seconds != 0) i++;    /* a second divides all */
    seconds /= units[i].seconds;
    snprintf(out, DURATION_TEXT_MAX, "%llu %s%s", (unsigned long long)seconds, units[i].name, seconds == 1 ? "" : "s");
}
