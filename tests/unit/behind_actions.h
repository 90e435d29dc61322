/* behind_actions.h - what can happen next in the world of behind_world.h, and letting it happen.
 *
 * Inputs are what a world may do or not do: a message, a stall, a failure; each has a budget in struct plan. All other
 * actions are duties: a fair world does each of them some day, in any order. */
#ifndef PIPIT_TESTS_BEHIND_ACTIONS_H
#define PIPIT_TESTS_BEHIND_ACTIONS_H

#include "tests/unit/behind_world.h"

enum { ACTIONS_MAX = 256 };

#define ACTION_LIST(X)                                                                                    \
    X(COMMIT) X(COMMIT_OWN) X(CREATE) X(MARK) X(FAN_NEWS) X(STALL) X(NOT_NOW) X(NO_MEMORY) X(SLICE_FAILS) \
    X(FETCH_FAILS) X(DROP_PAGE) X(RECONNECT)                                                              \
    X(REGISTER) X(START) X(ARRIVE) X(FAN) X(RECEIPT) X(SNAPSHOT) X(HEADS) X(FETCH) X(PAGE) X(DRAIN) X(ACK) \
    X(ACK_ARRIVES) X(STEP)
#define ACTION_ENUM(name) A_##name,
#define ACTION_NAME(name) #name,
enum action_kind { ACTION_LIST(ACTION_ENUM) ACTION_KINDS, ACTION_FIRST_DUTY = A_REGISTER };
static const char *const action_names[] = { ACTION_LIST(ACTION_NAME) };

struct action { uint8_t kind, at, n; };    /* at: conversation or home */

static bool action_is_input(struct action a)
{
    return a.kind < ACTION_FIRST_DUTY;
}

static size_t conv_actions(uint8_t i, struct action *out)
{
    const struct conv_state *c = &now.conv[i];
    const struct stream *s = &now.stream[plan->home[i]];
    struct action *to = out;
    if (!c->exists) {
        *to++ = (struct action){ A_CREATE, i, 0 };
        return 1;
    }
    bool room = s->count < STREAM_PUSH_MAX;
    if (c->committed < plan->messages[i]) {
        *to++ = (struct action){ A_COMMIT, i, 0 };
        if (now.started && now.used.own < plan->own && room) *to++ = (struct action){ A_COMMIT_OWN, i, 0 };
    }
    if (c->marked < plan->marks[i]) *to++ = (struct action){ A_MARK, i, 0 };
    if (c->fanned < c->committed && room) {
        *to++ = (struct action){ A_FAN, i, 0 };
        if (now.used.news < plan->news) {
            *to++ = (struct action){ A_FAN_NEWS, i, (uint8_t)(c->fanned + 1) };
            if (c->fanned + 1 < c->committed) *to++ = (struct action){ A_FAN_NEWS, i, c->committed };
        }
    }
    if (c->told_out < c->marked && room) *to++ = (struct action){ A_RECEIPT, i, 0 };
    /* Any part of what it has, as far as it makes a difference to the window. */
    for (uint8_t n = 1; n <= c->high && c->unacked; n++) {
        if (n == c->high || c->unacked & bit(n)) *to++ = (struct action){ A_ACK, i, n };
    }
    if (c->ack_under_way) *to++ = (struct action){ A_ACK_ARRIVES, i, 0 };
    return (size_t)(to - out);
}

static size_t session_actions(struct action *out)
{
    struct action *to = out;
    if (!now.b) {
        *to++ = (struct action){ A_REGISTER, 0, 0 };
        return 1;
    }
    if (!now.started) {
        *to++ = (struct action){ A_START, 0, 0 };
        return 1;
    }
    if (now.socket == SOCKET_OPEN && now.used.stalls < plan->stalls) {
        *to++ = (struct action){ A_STALL, 0, 0 };
        *to++ = (struct action){ A_STALL, 0, 1 };
    }
    if (now.socket != SOCKET_OPEN) *to++ = (struct action){ A_DRAIN, 0, 0 };
    if (!now.say_not_now && now.used.not_now < plan->not_now) *to++ = (struct action){ A_NOT_NOW, 0, 0 };
    if (!now.lack_memory && now.used.no_memory < plan->no_memory) *to++ = (struct action){ A_NO_MEMORY, 0, 0 };
    if (now.b->page && now.used.drops < plan->drops) *to++ = (struct action){ A_DROP_PAGE, 0, 0 };
    if (now.b->waits) *to++ = (struct action){ A_STEP, 0, 0 };
    if (now.used.reconnects < plan->reconnects) {
        *to++ = (struct action){ A_RECONNECT, 0, 0 };
        *to++ = (struct action){ A_RECONNECT, 0, 1 };
    }
    if (now.slice.stage == SLICE_ASKED) {
        *to++ = (struct action){ A_SNAPSHOT, 0, 0 };
        if (now.used.slice_failures < plan->slice_failures) *to++ = (struct action){ A_SLICE_FAILS, 0, 0 };
    }
    for (uint8_t h = 0; h < HOMES_MAX; h++) {
        if (now.slice.homes & bit(h)) *to++ = (struct action){ A_HEADS, h, 0 };
    }
    if (now.fetch.stage == FETCH_ASKED) *to++ = (struct action){ A_FETCH, 0, 0 };
    if (now.fetch.stage == FETCH_READING) {
        *to++ = (struct action){ A_PAGE, 0, 0 };
        if (now.used.fetch_failures < plan->fetch_failures) *to++ = (struct action){ A_FETCH_FAILS, 0, 0 };
    }
    return (size_t)(to - out);
}

static size_t world_actions(struct action out[static ACTIONS_MAX])
{
    size_t count = session_actions(out);
    for (uint8_t i = 0; i < plan->convs; i++) count += conv_actions(i, out + count);
    for (uint8_t h = 0; h < HOMES_MAX; h++) {
        if (now.stream[h].count) out[count++] = (struct action){ A_ARRIVE, h, 0 };
    }
    return count;
}

static void fan_out(struct conv_state *c, uint8_t conv, uint8_t kind, uint8_t seq)
{
    c->fanned = seq;
    stream_put(plan->home[conv], (struct in_stream){ .kind = kind, .conv = conv, .n = seq });
}

static void acknowledge(struct conv_state *c, uint8_t conv, uint8_t seq)
{
    struct conv_id id = conv_id_of(conv);
    if (seq > c->ack_under_way && seq > c->cursor) c->ack_under_way = seq;
    if (plan->reconnects && seq > c->acked) c->acked = seq;
    c->unacked &= ~(bit((uint8_t)(seq + 1)) - 1);
    behind_on_ack(now.b, &id, seq);
}

static void world_do(struct action a)
{
    struct conv_state *c = &now.conv[a.at];
    switch ((enum action_kind)a.kind) {
    case A_COMMIT:
        c->committed++;
        break;
    case A_COMMIT_OWN:
        now.used.own++;
        c->committed++;
        c->own |= bit(c->committed);
        stream_put(plan->home[a.at], (struct in_stream){ .kind = P_ACCEPTED, .conv = a.at, .n = c->committed });
        break;
    case A_CREATE: c->exists = true; break;
    case A_MARK: c->marked++; break;
    case A_FAN_NEWS:
        now.used.news++;
        fan_out(c, a.at, P_NEWS, a.n);
        break;
    case A_STALL:
        now.used.stalls++;
        now.socket = a.n;
        break;
    case A_NOT_NOW:
        now.used.not_now++;
        now.say_not_now = true;
        break;
    case A_NO_MEMORY:
        now.used.no_memory++;
        now.lack_memory = true;
        break;
    case A_SLICE_FAILS:
        now.used.slice_failures++;
        slice_snapshot(true);
        break;
    case A_FETCH_FAILS:
        now.used.fetch_failures++;
        home_sends_page(true);
        break;
    case A_DROP_PAGE:
        now.used.drops++;
        met.dropped = true;
        behind_drop_page(now.b);
        break;
    case A_RECONNECT:
        now.used.reconnects++;
        session_end(a.n);
        break;
    case A_REGISTER: session_register(); break;
    case A_START:
        now.started = true;
        behind_start(now.b);
        break;
    case A_ARRIVE: stream_take(a.at); break;
    case A_FAN: fan_out(c, a.at, P_MESSAGE, (uint8_t)(c->fanned + 1)); break;
    case A_RECEIPT:
        c->told_out = c->marked;
        stream_put(plan->home[a.at], (struct in_stream){ .kind = P_RECEIPT, .conv = a.at, .n = c->marked });
        break;
    case A_SNAPSHOT: slice_snapshot(false); break;
    case A_HEADS: home_heads(a.at); break;
    case A_FETCH: home_takes_fetch(); break;
    case A_PAGE: home_sends_page(false); break;
    case A_DRAIN:
        now.socket = SOCKET_OPEN;
        behind_on_drained(now.b);
        break;
    case A_ACK: acknowledge(c, a.at, a.n); break;
    case A_ACK_ARRIVES:
        c->cursor = c->ack_under_way;
        c->ack_under_way = 0;
        break;
    case A_STEP: behind_step(now.b); break;
    case ACTION_KINDS: break;
    }
}

#endif
