/* fuzz_link.c - whatever people paste where a link belongs. A link that was taken must come back the same when it is
 * printed and read again, and hold a host, a port and a user that are whole strings. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client/contact_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct contact_link link, again;
    char why[WHY_MAX] = "", printed[CONTACT_LINK_MAX];
    int err = contact_link_parse(bytes_of(data, size), &link, why);
    assert(err == 0 || (err == ERR_MALFORMED && why[0]));
    if (err) return 0;
    assert(link.url.host[0] && strlen(link.url.host) < sizeof link.url.host);
    assert(atoi(link.url.port) > 0 && atoi(link.url.port) <= 65535);
    contact_link_print(&link, printed);
    assert(contact_link_parse(bytes_of_str(printed), &again, why) == 0);
    assert(url_is_same(&link.url, &again.url) && user_id_equal(&link.user, &again.user));
    return 0;
}
