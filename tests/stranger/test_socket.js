// test_socket.js - the WebSocket below the frames of Pipit: the upgrade, and what of RFC 6455 is refused.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { decodeFrame, encodeRaw } from './client/frames.js';
import { helloOf } from './harness/stage.js';
import * as wire from './harness/wire.js';
import { tell } from './harness/tell.js';

const { BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT } = wire;

const upgrade = (stage, headers, path = '/v1/ws', method = 'GET') =>
    wire.exchange(stage.server, wire.request(method, path, { headers: { ...wire.upgradeHeaders(), ...headers } }));

async function refuses(answer, status, error) {
    const response = await answer;
    assert.deepEqual([response.status, JSON.parse(response.body).error], [status, error]);
    return response;
}

const closePayload = (code, reason = '') => {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    return payload;
};

// The next frame of Pipit.
async function nextMessage(socket) {
    const { opcode, payload, fin, rsv } = await socket.nextFrame();
    assert.deepEqual([opcode, fin, rsv], [BINARY, true, 0]);
    return decodeFrame(payload);
}

// A WebSocket whose device has said HELLO by hand.
async function session(stage) {
    const device = await (await stage.person('alice')).login();
    const socket = await wire.upgraded(stage.server);
    stage.onLeave(() => socket.end());
    socket.frame(BINARY, helloOf(device));
    assert.equal((await nextMessage(socket)).type, 'WELCOME');
    assert.equal((await nextMessage(socket)).type, 'SYNCED');
    return socket;
}

async function pongs(socket, ref) {
    const answer = await nextMessage(socket);
    assert.deepEqual([answer.type, answer.ref], ['PONG', ref]);
}

const ping = encodeRaw([18, 7]);

// What the story does with a fresh session is answered by a close with this code, and the connection ends.
async function closesWith(stage, code, provoke) {
    const socket = await session(stage);
    provoke(socket);
    assert.equal((await socket.closing()).code, code);
    socket.frame(CLOSE, closePayload(code));
    await socket.over();
}

await tell({
    async an_upgrade_is_answered_as_RFC_6455_wants(stage) {
        const { status, headers } = await upgrade(stage, { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' });
        assert.equal(status, 101);
        assert.equal(headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');    // the example of the RFC
        assert.equal(headers['sec-websocket-protocol'], 'pipit.v1');
        assert.equal(headers.upgrade.toLowerCase(), 'websocket');
        const key = randomBytes(16).toString('base64');
        const other = await upgrade(stage, { 'Sec-WebSocket-Key': key });
        assert.equal(other.headers['sec-websocket-accept'], wire.acceptOf(key));
    },

    async upgrades_in_other_words_are_understood(stage) {
        for (const headers of [{ Connection: 'keep-alive, Upgrade' }, { Connection: 'upgrade' },
                               { Upgrade: 'WebSocket' }, { 'Sec-WebSocket-Protocol': 'chat, pipit.v1' },
                               { 'Sec-WebSocket-Protocol': 'pipit.v9,pipit.v1' }]) {
            assert.equal((await upgrade(stage, headers)).status, 101, JSON.stringify(headers));
        }
    },

    async no_extension_is_taken(stage) {
        const { status, headers } = await upgrade(stage, { 'Sec-WebSocket-Extensions': 'permessage-deflate; foo=1' });
        assert.deepEqual([status, headers['sec-websocket-extensions']], [101, undefined]);
    },

    async without_the_subprotocol_there_is_no_WebSocket(stage) {
        await refuses(upgrade(stage, { 'Sec-WebSocket-Protocol': 'pipit.v2' }), 400, 'UNSUPPORTED');
        await refuses(upgrade(stage, { 'Sec-WebSocket-Protocol': 'PIPIT.V1' }), 400, 'UNSUPPORTED');
        await refuses(upgrade(stage, { 'Sec-WebSocket-Protocol': null }), 400, 'MALFORMED');
    },

    async what_is_no_upgrade_or_of_another_version_is_told_what_would_be_one(stage) {
        for (const [answer, error] of [[upgrade(stage, { Upgrade: 'h2c' }), 'UNSUPPORTED'],
                                       [upgrade(stage, { 'Sec-WebSocket-Version': 8 }), 'VERSION']]) {
            const { headers } = await refuses(answer, 426, error);
            assert.deepEqual([headers['sec-websocket-version'], headers.upgrade], ['13', 'websocket']);
        }
        await refuses(upgrade(stage, {}, '/v1/ws', 'POST'), 405, 'UNSUPPORTED');
        await refuses(upgrade(stage, {}, '/v1/socket'), 404, 'NOT_FOUND');
    },

    async an_upgrade_with_half_of_its_headers_is_malformed(stage) {
        await refuses(upgrade(stage, { Connection: 'close' }), 400, 'MALFORMED');
        await refuses(upgrade(stage, { Connection: null }), 400, 'MALFORMED');
        await refuses(upgrade(stage, { 'Sec-WebSocket-Key': null }), 400, 'MALFORMED');
    },

    async a_key_that_is_not_16_bytes_of_base64_is_malformed(stage) {
        const keyOf = size => randomBytes(size).toString('base64');
        for (const key of ['', 'abc', keyOf(15), keyOf(17), '!'.repeat(24)]) {
            await refuses(upgrade(stage, { 'Sec-WebSocket-Key': key }), 400, 'MALFORMED');
        }
    },

    async pages_of_other_origins_get_no_WebSocket(stage) {
        await refuses(upgrade(stage, { Origin: 'http://evil.example' }), 403, 'DENIED');
        assert.equal((await upgrade(stage, { Origin: 'http://pipit.example' })).status, 101);
    },

    async frames_may_come_in_the_same_packet_as_the_upgrade(stage) {
        const device = await (await stage.person('alice')).login();
        const socket = new wire.Wire(stage.server);
        stage.onLeave(() => socket.end());
        socket.socket.cork();
        socket.write(wire.request('GET', '/v1/ws', { headers: wire.upgradeHeaders() }));
        socket.frame(BINARY, helloOf(device));
        socket.frame(BINARY, ping);
        socket.socket.uncork();
        assert.equal((await socket.response()).status, 101);
        assert.equal((await nextMessage(socket)).type, 'WELCOME');
        const others = [(await nextMessage(socket)).type, (await nextMessage(socket)).type];
        assert.deepEqual(others.sort(), ['PONG', 'SYNCED']);
    },

    async frames_may_come_a_byte_at_a_time(stage) {
        const socket = await session(stage);
        const bytes = [];
        const { write } = socket;
        socket.write = data => bytes.push(...data);
        socket.frame(BINARY, ping);
        socket.write = write;
        for (const byte of bytes) await new Promise(resolve => { socket.socket.write(Buffer.from([byte]), resolve); });
        await pongs(socket, 7);
    },

    async a_message_may_come_in_pieces_with_control_frames_between(stage) {
        const socket = await session(stage);
        socket.frame(BINARY, ping.subarray(0, 1), { fin: false });
        socket.frame(PING, 'still here');
        socket.frame(CONTINUATION, '', { fin: false });
        socket.frame(CONTINUATION, ping.subarray(1));
        const answers = [await socket.nextFrame(), await socket.nextFrame()];    // which of the two comes first is open
        assert.equal(answers.find(({ opcode }) => opcode === PONG).payload.toString(), 'still here');
        assert.equal(decodeFrame(answers.find(({ opcode }) => opcode === BINARY).payload).type, 'PONG');
    },

    async a_message_may_have_1024_pieces_and_no_more(stage) {
        const socket = await session(stage);
        socket.frame(BINARY, ping, { fin: false });
        for (let i = 0; i < 1022; i++) socket.frame(CONTINUATION, '', { fin: false });
        socket.frame(CONTINUATION);
        await pongs(socket, 7);
        await closesWith(stage, 1009, other => {
            other.frame(BINARY, ping, { fin: false });
            for (let i = 0; i < 1024; i++) other.frame(CONTINUATION, '', { fin: false });
        });
    },

    async a_message_may_have_65536_bytes_and_no_more(stage) {
        const filled = size => encodeRaw([18, 7, Buffer.alloc(size - 6)]);
        assert.equal(filled(65536).length, 65536);
        const socket = await session(stage);
        socket.frame(BINARY, filled(65536));
        await pongs(socket, 7);
        await closesWith(stage, 1009, other => other.frame(BINARY, filled(65537)));
        await closesWith(stage, 1009, other => {
            other.frame(BINARY, filled(65536), { fin: false });
            other.frame(CONTINUATION, 'x');
        });
        await closesWith(stage, 1009, other => other.frame(BINARY, 'the first of them', { length: 2 ** 40 }));
    },

    async a_text_message_ends_the_connection(stage) {
        const socket = await session(stage);
        socket.frame(TEXT, '{"type":"HELLO"}');
        const [error, goodbye] = [await nextMessage(socket), await nextMessage(socket)];
        assert.deepEqual([error.type, error.name, error.ref], ['ERROR', 'NOT_BINARY', null]);
        assert.deepEqual([goodbye.type, goodbye.code], ['GOODBYE', 5]);
        assert.equal((await socket.closing()).code, 1003);
        await closesWith(stage, 1007, other => other.frame(TEXT, Buffer.from([0xff, 0xfe])));
    },

    async frames_that_break_the_RFC_end_the_connection(stage) {
        for (const provoke of [
            socket => socket.frame(BINARY, ping, { masked: false }),
            socket => socket.frame(BINARY, ping, { rsv: 1 }),
            socket => socket.frame(BINARY, ping, { rsv: 4 }),
            socket => socket.frame(3, 'a reserved opcode'),
            socket => socket.frame(11, 'a reserved control'),
            socket => socket.frame(CONTINUATION, 'of nothing'),
            socket => { socket.frame(BINARY, 'x', { fin: false }); socket.frame(BINARY, ping); },
            socket => socket.frame(PING, 'x'.repeat(126)),
            socket => socket.frame(PING, 'x', { fin: false }),
            socket => socket.frame(CLOSE, closePayload(1000, 'x'.repeat(124))),
        ]) await closesWith(stage, 1002, provoke);
    },

    async a_close_is_answered_with_its_own_code(stage) {
        for (const code of [1000, 1001, 1002, 1003, 1007, 1009, 1011, 3000, 4000, 4999]) {
            await closesWith(stage, code, socket => socket.frame(CLOSE, closePayload(code, 'until later')));
        }
        const socket = await session(stage);
        socket.frame(CLOSE);
        assert.equal((await socket.closing()).code, 1000);
        await socket.over();
    },

    async a_close_that_is_none_is_answered_with_1002_or_1007(stage) {
        const codes = [0, 999, 1004, 1005, 1006, 1015, 2000, 5000];
        for (const payload of [Buffer.from([3]), ...codes.map(code => closePayload(code))]) {
            await closesWith(stage, 1002, socket => socket.frame(CLOSE, payload));
        }
        const notText = Buffer.concat([closePayload(1000), Buffer.from([0xff])]);
        await closesWith(stage, 1007, socket => socket.frame(CLOSE, notText));
    },

    async pings_are_answered_with_their_own_bytes_and_pongs_are_not(stage) {
        const socket = await session(stage);
        socket.frame(PONG, 'nobody asked');
        for (const text of ['', 'a', 'x'.repeat(125)]) {
            socket.frame(PING, text);
            const { opcode, payload } = await socket.nextFrame();
            assert.deepEqual([opcode, payload.toString()], [PONG, text]);
        }
        socket.frame(BINARY, ping);
        await pongs(socket, 7);
    },

    async a_first_frame_that_does_not_come_ends_the_connection(stage) {
        const socket = await wire.upgraded((await stage.elsewhere({ http_request_s: 1 })).server);
        const { code } = await socket.closing();
        assert.equal(code, 4065);
        await socket.over();
    },

    async a_message_that_does_not_become_whole_ends_the_connection(stage) {
        const socket = await session(await stage.elsewhere({ message_s: 1 }));
        socket.frame(BINARY, ping, { fin: false });
        assert.equal((await socket.closing()).code, 4065);
        await socket.over();
    },

    async a_connection_cut_at_any_moment_does_no_harm(stage) {
        const whole = [];
        const recorder = Object.assign(Object.create(wire.Wire.prototype), { write: data => whole.push(...data) });
        recorder.write(wire.request('GET', '/v1/ws', { headers: wire.upgradeHeaders() }));
        recorder.frame(BINARY, encodeRaw([1, 1, 1, 'nobody', 5n, Buffer.alloc(32), 'cut']));
        for (let cut = 0; cut <= whole.length; cut += 7) {
            const socket = new wire.Wire(stage.server);
            await new Promise(resolve => { socket.socket.write(Buffer.from(whole.slice(0, cut)), resolve); });
            socket.end();
        }
        const socket = await session(stage);
        socket.frame(BINARY, ping);
        await pongs(socket, 7);
    },
});
