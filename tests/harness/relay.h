/* relay.h - a wire between clients and a server that can be cut after any byte.
 *
 * It listens on a port of its own and passes on what comes, both ways, counting. At the byte it was told both ends of
 * that connection are closed: nothing behind it arrives anywhere. After that it passes on again, or is gone: whoever
 * connects then is turned away. It runs on a thread of its own; a failure of it aborts. */
#ifndef PIPIT_TESTS_RELAY_H
#define PIPIT_TESTS_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;

struct relay *relay_open(uint16_t to_port);           /* on 127.0.0.1 */
void relay_close(struct relay *r);                    /* with all connections */
uint16_t relay_port(const struct relay *r);

#define RELAY_NEVER UINT64_MAX
/* From here on it counts from nothing, and cuts once so many bytes of that side have gone through. */
void relay_cut(struct relay *r, uint64_t client_bytes, uint64_t server_bytes, bool for_good);
/* Since relay_cut(), on all connections. */
uint64_t relay_client_bytes(struct relay *r);
uint64_t relay_server_bytes(struct relay *r);
bool relay_has_cut(struct relay *r);

#endif
