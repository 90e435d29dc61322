// test_frames.js - "How a frame is written": what is taken, what is refused and how, field by field.
import assert from 'node:assert/strict';
import { decode } from '@msgpack/msgpack';
import { encodeRaw, textBody } from './client/frames.js';
import { ask, say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const HELLO = 1, SEND = 2, DELIVERED = 4, READ = 5, HISTORY = 6, DEVICES = 11, DELETE = 15, INFO = 16, PING = 18;
const TIMER = 19;
const NO_ID = Buffer.alloc(16), BODY = textBody('x');

// The requests whose first field is a place, and fields that go with it.
const WITH_A_PLACE = [[SEND, 2, 2, BODY], [DELIVERED, 1], [READ, 1], [HISTORY, null, null, 1], [INFO, 1],
    [DELETE, 2, 2, [1]], [TIMER, 2, 2, 60]];

// alice, who has said one thing to bob.
async function alice(stage) {
    const [one, bob] = await stage.people('alice', 'bob');
    const session = await one.session();
    const { conv } = await say(session, bob.name, 'hello');
    return { session, conv, bob: bob.name, me: one.name };
}

// These bytes are answered by an ERROR with this ref, and the session goes on.
async function errorOf(session, bytes) {
    session.socket.send(bytes);
    const error = await session.ears.next('ERROR');
    await session.request('PING');
    return [error.name, error.ref];
}

const nested = depth => (depth === 0 ? 1 : [nested(depth - 1)]);

await tell({
    async what_is_no_frame_is_malformed_and_the_session_goes_on(stage) {
        const { session } = await alice(stage);
        // Nothing, 5, {a: 1}, "text", nil, a byte that MessagePack has not, arrays of 2 and of 2^32 - 1 cut short.
        for (const hex of ['', '05', '81a16101', 'a474657874', 'c0', 'c1', '92', 'ddffffffff1201']) {
            assert.equal((await errorOf(session, Buffer.from(hex, 'hex')))[0], 'MALFORMED', hex);
        }
    },

    async bytes_behind_the_frame_or_too_few_are_malformed(stage) {
        const { session, bob } = await alice(stage);
        const whole = encodeRaw([SEND, 500, bob, 2, 2, BODY]);
        assert.deepEqual(await errorOf(session, Buffer.concat([whole, Buffer.from([0xc0])])), ['MALFORMED', 500]);
        for (let length = 1; length < whole.length; length++) {
            const [name] = await errorOf(session, whole.subarray(0, length));
            assert.equal(name, 'MALFORMED', `${length} bytes`);
        }
    },

    async an_unknown_type_is_answered_with_UNKNOWN_TYPE_and_its_ref(stage) {
        const { session } = await alice(stage);
        for (const type of [0, 3, 7, 8, 9, 10, 12, 13, 14, 17, 20, 63, 106, 255, 256, 2n ** 40n, 2n ** 63n - 1n]) {
            assert.deepEqual(await errorOf(session, encodeRaw([type, 77])), ['UNKNOWN_TYPE', 77]);
        }
    },

    async frames_of_the_server_are_no_requests(stage) {
        const { session, conv, me } = await alice(stage);
        for (const frame of [[68, 500, 1], [65, 500, conv, 1, NO_ID, 1], [97, null, conv, me, 1, 1, 1], [103, null],
                             [104, null, 60, 'go', 0]]) {
            const [name] = await errorOf(session, encodeRaw(frame));
            assert.equal(name, 'UNKNOWN_TYPE', `type ${frame[0]}`);
        }
    },

    async a_type_or_a_ref_of_another_kind_is_refused(stage) {
        const { session } = await alice(stage);
        for (const frame of [[], ['PING', 1], [-1, 1], [null, 1], [[PING], 1], [PING], [PING, 'one'], [PING, -1],
                             [PING, [1]], [PING, Buffer.from([1])], [PING, true]]) {
            assert.deepEqual(await errorOf(session, encodeRaw(frame)), ['TYPE', null], JSON.stringify(frame));
        }
        // 18.0 and 1.0 as floats are no integers.
        assert.deepEqual(await errorOf(session, Buffer.from('92ca4190000001', 'hex')), ['TYPE', null]);
        assert.deepEqual(await errorOf(session, Buffer.from('9212cb3ff0000000000000', 'hex')), ['TYPE', null]);
    },

    async only_DELIVERED_and_READ_may_go_without_a_ref(stage) {
        const { session, conv, bob } = await alice(stage);
        for (const frame of [[HELLO, null, 1, bob, 1, Buffer.alloc(32), ''], [SEND, null, bob, 2, 2, BODY],
                             [HISTORY, null, conv, null, null, 1], [DEVICES, null, 0], [INFO, null, conv, 1],
                             [PING, null]]) {
            assert.deepEqual(await errorOf(session, encodeRaw(frame)), ['TYPE', null], `type ${frame[0]}`);
        }
        for (const type of [DELIVERED, READ]) {
            session.socket.send(encodeRaw([type, null, conv, 1]));
            assert.deepEqual(await errorOf(session, encodeRaw([type, null, conv, 2])), ['PAST_HEAD', null]);
        }
    },

    async a_ref_has_64_bits_and_comes_back_as_it_was(stage) {
        const { session } = await alice(stage);
        for (const ref of [0n, 1n, 2n ** 53n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
            const answer = new Promise(resolve => { session.socket.once('message', resolve); });
            session.socket.send(encodeRaw([PING, ref]));
            assert.equal(BigInt(decode(await answer, { useBigInt64: true })[1]), ref);
        }
    },

    async every_form_of_a_number_is_taken(stage) {
        const { session } = await alice(stage);
        const forms = hex => [hex, `cc${hex}`, `cd00${hex}`, `ce000000${hex}`, `cf00000000000000${hex}`,
                              `d0${hex}`, `d100${hex}`, `d2000000${hex}`, `d300000000000000${hex}`];
        for (const array of ['92', 'dc0002', 'dd00000002']) {
            for (const type of forms('12')) {
                for (const ref of forms('01')) {
                    const answer = new Promise(resolve => { session.socket.once('message', resolve); });
                    session.socket.send(Buffer.from(array + type + ref, 'hex'));
                    assert.deepEqual((await answer).subarray(0, 3), Buffer.from([0x93, 68, 1]));
                }
            }
        }
    },

    async fields_behind_the_known_ones_are_ignored(stage) {
        const { session, conv, bob } = await alice(stage);
        const newer = ['newer', { than: ['this', 1.5, null] }, Buffer.from('bytes')];
        assert.equal((await ask(session, PING, ...newer)).type, 'PONG');
        assert.equal((await ask(session, HISTORY, conv, null, null, 1, null, ...newer)).type, 'PAGE');
        assert.equal((await ask(session, INFO, conv, 1, ...newer)).type, 'INFO_ANSWER');
        assert.equal((await ask(session, DEVICES, 0, null, null, ...newer)).type, 'DEVICE_LIST');
        const nils = Array(6).fill(null);
        assert.equal((await ask(session, SEND, bob, 2, 2, BODY, ...nils, ...newer)).type, 'ACCEPTED');
    },

    async arrays_may_be_nested_6_deep_the_frame_included(stage) {
        const { session } = await alice(stage);
        assert.equal((await ask(session, PING, nested(5))).type, 'PONG');
        await assert.rejects(ask(session, PING, nested(6)), { name: 'MALFORMED' });
        await assert.rejects(ask(session, PING, { a: { b: { c: { d: { e: { f: 1 } } } } } }), { name: 'MALFORMED' });
        await assert.rejects(ask(session, PING, nested(90)), { name: 'MALFORMED' });
    },

    async a_place_is_a_user_or_16_bytes(stage) {
        const { session, conv, bob } = await alice(stage);
        assert.equal((await ask(session, INFO, bob, 1)).type, 'INFO_ANSWER');
        assert.equal((await ask(session, INFO, conv, 1)).type, 'INFO_ANSWER');
        for (const place of [5, null, [], conv.subarray(1), Buffer.concat([conv, conv]), Buffer.alloc(0), true]) {
            for (const [code, ...rest] of WITH_A_PLACE) {
                await assert.rejects(ask(session, code, place, ...rest), { name: 'TYPE', again: false });
            }
        }
        for (const name of ['', 'x', 'Bob', 'b b', '.bob', '-bob', '_bob', 'b'.repeat(33), 'bób', 'bob\0']) {
            await assert.rejects(ask(session, INFO, name, 1), { name: 'NAME' });
            await assert.rejects(ask(session, SEND, name, 2, 2, BODY), { name: 'NAME' });
        }
        await assert.rejects(ask(session, INFO, 'a.b_c-9', 1), { name: 'NOT_FOUND' });
    },

    async a_place_that_is_unknown_looks_like_one_that_is_not_yours(stage) {
        const { session } = await alice(stage);
        const [carol, dave] = await stage.people('carol', 'dave');
        const theirs = (await say(await carol.session(), dave.name, 'between us')).conv;
        for (const place of [NO_ID, theirs, 'nobody.at.all']) {
            for (const [code, ...rest] of WITH_A_PLACE) {
                const failure = await ask(session, code, place, ...rest).catch(error => error);
                assert.deepEqual([failure.name, failure.text, failure.again],
                    ['NOT_FOUND', 'no such conversation, message or user', false], `${code} ${place}`);
            }
        }
    },

    async every_field_of_SEND_has_its_type_and_bounds(stage) {
        const { session, bob } = await alice(stage);
        const send = (...fields) => ask(session, SEND, bob, ...fields);
        const most = 2n ** 63n - 1n;
        for (const [fields, name, word] of [
            [[], 'TYPE', 'client_seq'], [[2], 'TYPE', 'settled'], [[2, 2], 'TYPE', 'body'],
            [[null, 2, BODY], 'TYPE', 'client_seq'], [['2', 2, BODY], 'TYPE', 'client_seq'],
            [[-2, 0, BODY], 'TYPE', 'client_seq'], [[2.5, 2, BODY], 'TYPE', 'client_seq'],
            [[0, 0, BODY], 'RANGE', 'client_seq'], [[most + 1n, 2, BODY], 'RANGE', 'client_seq'],
            [[2, most + 1n, BODY], 'RANGE', 'settled'],
            [[2, null, BODY], 'TYPE', 'settled'], [[2, 3, BODY], 'SETTLED', 'settled'],
            [[2, 2, 'text'], 'TYPE', 'body'], [[2, 2, null], 'TYPE', 'body'], [[2, 2, [BODY]], 'TYPE', 'body'],
            [[2, 2, Buffer.alloc(0)], 'RANGE', 'body'], [[2, 2, Buffer.alloc(16385)], 'TOO_BIG', 'body'],
            [[2, 2, BODY, 'one'], 'TYPE', 'group_version'], [[2, 2, BODY, null, 5], 'TYPE', 'list_versions'],
            [[2, 2, BODY, null, []], 'TYPE', 'list_versions'], [[2, 2, BODY, null, null, []], 'TYPE', 'envelopes'],
            [[2, 2, BODY, null, null, null, {}], 'TYPE', 'media'],
            [[2, 2, BODY, null, null, null, null, {}], 'TYPE', 'wake'],
            [[2, 2, BODY, null, null, null, null, null, 'soon'], 'TYPE', 'expire_s'],
        ]) {
            const failure = await send(...fields).catch(error => error);
            assert.deepEqual([failure.name, failure.again], [name, false], `${word}: ${failure}`);
            assert.match(failure.text, new RegExp(word));
        }
        assert.equal((await send(2, 0, Buffer.alloc(1))).seq, 2);
        assert.equal((await send(3, 3, Buffer.alloc(16384))).seq, 3);
        assert.equal((await send(BigInt(Number.MAX_SAFE_INTEGER), 4, BODY)).seq, 4);
    },

    async what_SEND_does_not_support_yet_is_named(stage) {
        const { session, bob } = await alice(stage);
        const fields = ['group_version', 'list_versions', 'envelopes', 'media', 'wake'];
        const set = [7, { bob: 1 }, { 1: BODY }, ['reference'], [bob]];
        const empty = [0, {}, {}, [], []];
        for (const [i, field] of fields.entries()) {
            const nils = Array(i).fill(null);
            const refused = ask(session, SEND, bob, 2, 2, BODY, ...nils, set[i]);
            await assert.rejects(refused, { name: 'UNSUPPORTED', text: field });
            assert.equal((await ask(session, SEND, bob, 3 + i, 3, BODY, ...nils, empty[i])).type, 'ACCEPTED', field);
        }
    },

    async every_field_of_the_cursors_and_of_INFO_has_its_type_and_bounds(stage) {
        const { session, conv } = await alice(stage);
        for (const code of [DELIVERED, READ, INFO]) {
            await assert.rejects(ask(session, code), { name: 'TYPE', text: /^to / });
            for (const seq of [[], [null], ['one'], [-1], [1.5]]) {
                await assert.rejects(ask(session, code, conv, ...seq), { name: 'TYPE', text: /^seq / });
            }
            await assert.rejects(ask(session, code, conv, 2n ** 63n), { name: 'RANGE', text: /^seq / });
            await assert.rejects(ask(session, code, conv, 2), { name: code === INFO ? 'NOT_FOUND' : 'PAST_HEAD' });
        }
        await assert.rejects(ask(session, INFO, conv, 0), { name: 'NOT_FOUND' });
    },

    async every_field_of_HISTORY_has_its_type_and_bounds(stage) {
        const { session, conv } = await alice(stage);
        const history = (...fields) => ask(session, HISTORY, conv, ...fields);
        for (const [fields, name, word] of [
            [[], 'TYPE', 'limit'], [[null, null], 'TYPE', 'limit'], [['1', null, 1], 'TYPE', 'before'],
            [[null, '1', 1], 'TYPE', 'after'], [[null, null, null], 'TYPE', 'limit'],
            [[null, null, '1'], 'TYPE', 'limit'], [[null, null, 0], 'RANGE', 'limit'],
            [[null, null, 101], 'RANGE', 'limit'], [[null, null, 2n ** 63n], 'RANGE', 'limit'],
            [[2n ** 63n, null, 1], 'RANGE', 'before'], [[null, 2n ** 63n, 1], 'RANGE', 'after'],
            [[1, 1, 1], 'RANGE', 'before and after'], [[0, 0, 1], 'RANGE', 'before and after'],
        ]) {
            const failure = await history(...fields).catch(error => error);
            assert.equal(failure.name, name, `${fields}`);
            assert.match(failure.text, new RegExp(word));
        }
        assert.equal((await history(null, null, 1)).records.length, 1);
        assert.equal((await history(null, null, 100)).records.length, 1);
    },

    async every_field_of_DELETE_and_TIMER_has_its_type_and_bounds(stage) {
        const { session, bob } = await alice(stage);
        for (const [code, last] of [[DELETE, [1]], [TIMER, 60]]) {
            for (const [fields, name, word] of [
                [[], 'TYPE', 'client_seq'], [[2], 'TYPE', 'settled'], [['2', 2, last], 'TYPE', 'client_seq'],
                [[0, 0, last], 'RANGE', 'client_seq'], [[2, null, last], 'TYPE', 'settled'],
                [[2, 3, last], 'SETTLED', 'settled'], [[2, 2], 'TYPE', code === DELETE ? 'seqs' : 'expire_s'],
                [[2, 2, 'x'], 'TYPE', code === DELETE ? 'seqs' : 'expire_s'],
            ]) {
                const failure = await ask(session, code, bob, ...fields).catch(error => error);
                assert.deepEqual([failure.name, failure.again], [name, false], `${code} ${fields}: ${failure}`);
                assert.match(failure.text, new RegExp(word));
            }
        }
        for (const seqs of [[null], ['1'], [-1], [1.5], [[1]]]) {
            await assert.rejects(ask(session, DELETE, bob, 2, 2, seqs), { name: 'TYPE', text: /seqs/ });
        }
        for (const seqs of [[], [0], [1, 0], [2n ** 63n]]) {
            await assert.rejects(ask(session, DELETE, bob, 2, 2, seqs), { name: 'RANGE', text: /seqs/ });
        }
        for (const expireS of [1, 59, 31_536_001]) {
            await assert.rejects(ask(session, TIMER, bob, 2, 2, expireS), { name: 'RANGE', text: /expire_s/ });
        }
    },

    async every_field_of_DEVICES_has_its_type_and_bounds(stage) {
        const { session } = await alice(stage);
        const mine = BigInt(`0x${session.credentials.device}`);
        for (const [fields, name, word] of [
            [[], 'TYPE', 'action'], [['list'], 'TYPE', 'action'], [[3], 'UNSUPPORTED', 'action'],
            [[2n ** 63n], 'RANGE', 'action'], [[1], 'TYPE', 'device'], [[1, null, 'x'], 'TYPE', 'device'],
            [[1, 'phone', 'x'], 'TYPE', 'device'], [[1, 0, 'x'], 'RANGE', 'device'], [[1, mine], 'TYPE', 'name'],
            [[1, mine, null], 'TYPE', 'name'], [[1, mine, Buffer.from('x')], 'TYPE', 'name'],
            [[1, mine, 'x'.repeat(65)], 'TOO_BIG', 'name'], [[1, mine, 'two\nlines'], 'MALFORMED', 'name'],
            [[1, mine, 'bell\u0007'], 'MALFORMED', 'name'], [[2], 'TYPE', 'device'], [[2, null], 'TYPE', 'device'],
            [[1, 77, 'x'], 'NOT_FOUND', 'device'], [[2, 77], 'NOT_FOUND', 'device'],
            [[2, 2n ** 64n - 1n], 'NOT_FOUND', 'device'],
        ]) {
            const failure = await ask(session, DEVICES, ...fields).catch(error => error);
            assert.equal(failure.name, name, `${fields}: ${failure}`);
            assert.match(failure.text, new RegExp(word));
        }
        const { devices } = await ask(session, DEVICES, 1, mine, 'é'.repeat(32));
        assert.equal(devices[0].name, 'é'.repeat(32));
    },

    async text_that_is_no_UTF_8_is_malformed(stage) {
        const { session } = await alice(stage);
        const device = encodeRaw(BigInt(`0x${session.credentials.device}`));
        const frame = Buffer.concat([Buffer.from([0x95, DEVICES, 5, 1]), device, Buffer.from([0xa2, 0xc3, 0x28])]);
        assert.deepEqual(await errorOf(session, frame), ['MALFORMED', 5]);
    },
});
