// test_session.js - HELLO and WELCOME, and every way in which a session ends.
import assert from 'node:assert/strict';
import { logout } from './client/account.js';
import { decodeFrame, encodeRaw, textBody } from './client/frames.js';
import { Session } from './client/session.js';
import { LinkLost } from './client/error.js';
import { ask, helloOf, say } from './harness/stage.js';
import { tell } from './harness/tell.js';
import * as wire from './harness/wire.js';

const HELLO = 1, PING = 18;

// A connection on which these frames are the first: what is answered, and how it ends.
async function firstFrames(stage, ...frames) {
    const socket = await wire.upgraded(stage.server);
    stage.onLeave(() => socket.end());
    for (const frame of frames) socket.frame(wire.BINARY, frame);
    const answers = [];
    for (;;) {
        const { opcode, payload } = await socket.nextFrame();
        if (opcode === wire.BINARY) answers.push(decodeFrame(payload));
        if (opcode === wire.CLOSE) return { answers, code: payload.readUInt16BE(0) };
    }
}

// Such a HELLO is answered by this ERROR and nothing else, and the connection ends with its code.
async function assertRefused(stage, frame, name, code, text = /./) {
    const { answers, code: closed } = await firstFrames(stage, frame);
    assert.deepEqual(answers.map(answer => [answer.type, answer.name]), [['ERROR', name]]);
    assert.match(answers[0].text, text);
    assert.deepEqual([answers[0].code, closed], [code, 4000 + code]);
    return answers[0];
}

await tell({
    async HELLO_is_answered_by_WELCOME_and_then_SYNCED(stage) {
        const before = Date.now();
        const alice = await stage.person('alice');
        const session = await alice.sessionAtWelcome(await alice.login());
        const { welcome } = session;
        assert.match(welcome.server, /^pipitd /);
        assert.ok(welcome.nowMs >= before && welcome.nowMs <= Date.now());
        assert.deepEqual([welcome.heartbeatMs, welcome.clientSeqMax], [30000, 0]);
        assert.equal(welcome.generation.length, 16);
        assert.ok(welcome.listVersion > 0);
        await session.ears.next('SYNCED');
    },

    async the_generation_is_the_same_for_all_and_survives_a_kill(stage) {
        const there = await stage.elsewhere({});
        const [alice, bob] = await there.people('alice', 'bob');
        const { generation } = (await alice.session()).welcome;
        assert.deepEqual((await bob.session()).welcome.generation, generation);
        await there.server.kill();
        await there.server.restart();
        assert.deepEqual((await alice.session()).welcome.generation, generation);
    },

    async WELCOME_knows_the_highest_number_the_device_has_sent(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const first = await alice.session(phone);
        first.clientSeq = 40;
        await say(first, bob.name, 'the 41st');
        assert.equal((await alice.session(phone)).welcome.clientSeqMax, 41);
        assert.equal((await alice.session()).welcome.clientSeqMax, 0);    // another device counts for itself
    },

    async anything_but_HELLO_first_is_refused(stage) {
        for (const frame of [encodeRaw([PING, 5]), encodeRaw([2, 5, 'bob', 1, 1, textBody('x')])]) {
            await assertRefused(stage, frame, 'HELLO_FIRST', 6);
        }
        await assertRefused(stage, encodeRaw([77, 5]), 'UNKNOWN_TYPE', 3);
        await assertRefused(stage, encodeRaw('hello'), 'MALFORMED', 1);
        await assertRefused(stage, Buffer.alloc(0), 'MALFORMED', 1);
    },

    async a_HELLO_of_another_version_is_refused_by_that_name(stage) {
        const device = await (await stage.person('alice')).login();
        for (const version of [0, 2, 1000]) await assertRefused(stage, helloOf(device, { version }), 'VERSION', 8);
        // A later HELLO may have more fields: the first five say enough to refuse it.
        const later = [HELLO, 5, 2, device.user, BigInt(`0x${device.device}`), Buffer.from(device.token, 'hex'), 'x'];
        await assertRefused(stage, encodeRaw([...later, { a: 1 }]), 'VERSION', 8);
    },

    async every_field_of_HELLO_has_its_type_and_bounds(stage) {
        const { user, device, token } = await (await stage.person('alice')).login();
        const good = [1, user, BigInt(`0x${device}`), Buffer.from(token, 'hex'), 'a story'];
        const names = ['version', 'user', 'device', 'token', 'agent'];
        const bad = {
            version: ['one', null, -1], user: [5, null, Buffer.from(user)], device: ['x', null, -5],
            token: ['x'.repeat(32), null, Buffer.alloc(31), Buffer.alloc(33)], agent: [5, null, Buffer.from('x')],
        };
        for (const [i, field] of names.entries()) {
            await assertRefused(stage, encodeRaw([HELLO, 5, ...good.slice(0, i)]), 'TYPE', 2, new RegExp(field));
            for (const value of bad[field]) {
                const fields = [...good.slice(0, i), value, ...good.slice(i + 1)];
                await assertRefused(stage, encodeRaw([HELLO, 5, ...fields]), 'TYPE', 2, new RegExp(field));
            }
        }
        await assertRefused(stage, helloOf({ user, device, token }, { agent: 'x'.repeat(65) }), 'TOO_BIG', 4, /agent/);
        await assertRefused(stage, helloOf({ user: 'Alice!', device, token }), 'NAME', 21, /user/);
        await assertRefused(stage, helloOf({ user, device: '0'.repeat(16), token }), 'RANGE', 10, /device/);
        const session = new Session(stage.server.url, { user, device, token }, { agent: 'x'.repeat(64) });
        await session.open();
        await session.close();
    },

    async who_has_not_the_token_looks_like_who_has_not_the_device(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [phone, other] = [await alice.login(), await bob.login()];
        const wrong = [
            { ...phone, token: other.token }, { ...phone, token: '0'.repeat(64) }, { ...phone, device: other.device },
            { ...phone, device: 'f'.repeat(16) }, { ...phone, user: bob.name }, { ...phone, user: 'nobody.at.all' },
        ];
        const texts = new Set();
        for (const credentials of wrong) texts.add((await assertRefused(stage, helloOf(credentials), 'AUTH', 20)).text);
        assert.equal(texts.size, 1);
    },

    async a_device_that_logged_out_is_told_REVOKED(stage) {
        const phone = await (await stage.person('alice')).login();
        await logout(stage.server.url, phone);
        await assertRefused(stage, helloOf(phone), 'REVOKED', 25);
    },

    async a_refused_HELLO_carries_its_ref_and_no_GOODBYE(stage) {
        const phone = await (await stage.person('alice')).login();
        const { answers } = await firstFrames(stage, helloOf({ ...phone, token: '0'.repeat(64) }));
        assert.deepEqual(answers.map(({ type, ref, again }) => [type, ref, again]), [['ERROR', 5, false]]);
    },

    async a_second_HELLO_in_a_session_is_refused_and_the_session_goes_on(stage) {
        const session = await (await stage.person('alice')).session();
        const { user, device, token } = session.credentials;
        await assert.rejects(ask(session, HELLO, 1, user, BigInt(`0x${device}`), Buffer.from(token, 'hex'), 'again'),
            { name: 'HELLO_TWICE', again: false });
        await session.request('PING');
    },

    async a_second_session_of_a_device_ends_the_first(stage) {
        const alice = await stage.person('alice');
        const phone = await alice.login();
        const first = await alice.session(phone);
        const second = await alice.session(phone);
        const { code, goodbye } = await first.ended;
        assert.deepEqual([code, goodbye.code, goodbye.type], [4026, 26, 'GOODBYE']);
        await second.request('PING');
    },

    async a_device_that_is_not_let_in_ends_nobodys_session(stage) {
        const alice = await stage.person('alice');
        const phone = await alice.login();
        const session = await alice.session(phone);
        await assertRefused(stage, helloOf({ ...phone, token: '0'.repeat(64) }), 'AUTH', 20);
        await assertRefused(stage, helloOf(phone, { version: 2 }), 'VERSION', 8);
        await session.request('PING');
    },

    async sessions_of_two_devices_live_side_by_side(stage) {
        const alice = await stage.person('alice');
        const [one, two] = [await alice.session(), await alice.session()];
        await Promise.all([one.request('PING'), two.request('PING')]);
    },

    async PING_is_answered_by_PONG_with_the_time(stage) {
        const session = await (await stage.person('alice')).session();
        const { nowMs } = await session.request('PING');
        assert.ok(nowMs >= session.welcome.nowMs && nowMs <= Date.now());
    },

    async a_silent_session_is_asked_and_stays_as_long_as_it_answers(stage) {
        const there = await stage.elsewhere({ heartbeat_s: 1 });
        const session = await (await there.person('alice')).session();
        assert.equal(session.welcome.heartbeatMs, 1000);
        for (let i = 0; i < 3; i++) await new Promise(resolve => { session.socket.once('ping', resolve); });
        await session.request('PING');
    },

    async who_does_not_answer_for_two_heartbeats_is_told_IDLE(stage) {
        const there = await stage.elsewhere({ heartbeat_s: 1 });
        const phone = await (await there.person('alice')).login();
        const { answers, code } = await firstFrames(there, helloOf(phone));    // answers no ping
        assert.deepEqual(answers.map(({ type }) => type), ['WELCOME', 'SYNCED', 'GOODBYE']);
        assert.deepEqual([answers[2].code, code], [65, 4065]);
    },

    async any_frame_is_a_sign_of_life(stage) {
        const there = await stage.elsewhere({ heartbeat_s: 1 });
        const socket = await wire.upgraded(there.server);
        stage.onLeave(() => socket.end());
        socket.frame(wire.BINARY, helloOf(await (await there.person('alice')).login()));
        // Pings are not answered; each of the server's frames, its pings too, is answered with a PING of ours.
        for (let pings = 0; pings < 3;) {
            const { opcode } = await socket.nextFrame();
            assert.notEqual(opcode, wire.CLOSE);
            if (opcode === wire.PING) pings += 1;
            if (opcode === wire.PING) socket.frame(wire.BINARY, encodeRaw([PING, pings]));
        }
    },

    async a_client_that_hears_nothing_for_two_heartbeats_gives_up(stage) {
        const there = await stage.elsewhere({ heartbeat_s: 1 });
        const session = await (await there.person('alice')).session();
        there.server.freeze();
        try {
            assert.equal((await session.ended).code, 1006);    // nobody said why
        } finally {
            there.server.thaw();
        }
    },

    async a_server_that_stops_says_GOODBYE_and_when_to_come_back(stage) {
        const there = await stage.elsewhere({});
        const session = await (await there.person('alice')).session();
        await there.server.signal('SIGTERM');
        const { code, goodbye } = await session.ended;
        assert.deepEqual([code, goodbye.code], [4064, 64]);
        assert.ok(goodbye.backInMs >= 0);
        await there.server.restart();
    },

    async a_close_of_ours_is_answered_and_ends_the_session(stage) {
        const session = await (await stage.person('alice')).session();
        assert.deepEqual(await session.close(), { code: 1000, goodbye: null });
        await assert.rejects(session.request('PING'), LinkLost);
    },

    async a_server_that_is_killed_leaves_requests_without_an_answer(stage) {
        const there = await stage.elsewhere({});
        const [alice, bob] = await there.people('alice', 'bob');
        const session = await alice.session();
        there.server.freeze();
        const lost = assert.rejects(say(session, bob.name, 'did it arrive?'), LinkLost);
        await there.server.kill();
        await lost;
        await there.server.restart();
    },
});
