// test_page.js - docs/protocol.md itself: its tables against this client's, its worked exchange read and written here,
// and the server's words against its list of limits and errors.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { blake2b, directConversation } from './client/conversation.js';
import { bodyText, decodeFrame, encodeFrame, FRAMES, textBody } from './client/frames.js';
import { parseLink } from './client/link.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

const camel = name => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

// The rows of the first table below a heading, each an array of its cells.
function tableBelow(heading) {
    const from = page.indexOf(`\n${heading}`);
    assert.ok(from >= 0, `the page has no "${heading}"`);
    const section = page.slice(from + 1).split(/\n#+ /)[0];
    const rows = section.split('\n').filter(line => line.startsWith('|'));
    return rows.slice(2).map(row => row.split('|').slice(1, -1).map(cell => cell.trim()));
}

// The worked exchange: [{ name, bytes }].
const exchange = /```exchange\n([^`]*)```/.exec(page)[1].trim().split('\n').map(line => {
    const [, name, hex] = line.split(' ');
    return { name, bytes: Buffer.from(hex, 'hex') };
});

await tell({
    async every_frame_has_the_number_and_the_fields_of_the_page(stage) {
        const headings = [...page.matchAll(/^### ([A-Z_]+) \((\d+)\), from the (client|server)$/gm)];
        assert.deepEqual(headings.map(([, name]) => name).sort(), Object.keys(FRAMES).sort());
        for (const [heading, name, code] of headings) {
            const ours = FRAMES[name];
            assert.equal(ours.code, Number(code), name);
            const fields = Object.entries(ours.fields).map(([field, kind]) => [field, kind.optional ?? false]);
            const rows = tableBelow(heading).map(([field, type]) => [camel(field), / or nil/.test(type)]);
            assert.deepEqual(fields, rows);
        }
    },

    async the_worked_exchange_is_read_and_written_to_the_same_bytes(stage) {
        assert.equal(exchange.length, 9);
        for (const { name, bytes } of exchange) {
            const frame = decodeFrame(bytes);
            assert.equal(frame.type, name);
            // Maps have no order of their own; all else is written in one way only.
            if (name !== 'WELCOME') assert.deepEqual(encodeFrame(frame), bytes);
        }
    },

    async the_worked_exchange_means_what_the_page_says(stage) {
        const frames = exchange.map(({ bytes }) => decodeFrame(bytes));
        const [hello, welcome, send, accepted, message, delivered, receipt] = frames;
        const conv = Buffer.from('1932b259dc82a37a99a92662f9be860c', 'hex');
        assert.deepEqual([hello.user, hello.device, hello.agent], ['alice', '0123456789abcdef', 'example 1.0']);
        assert.deepEqual([...hello.token], Array.from({ length: 32 }, (_, i) => i));
        assert.deepEqual([welcome.nowMs, welcome.heartbeatMs, welcome.clientSeqMax], [1700000000000, 30000, 40]);
        assert.deepEqual([send.to, send.clientSeq, send.settled, bodyText(send.body)], ['bob', 41, 41, 'hello']);
        assert.deepEqual([accepted.conv, accepted.seq, accepted.clientSeq], [conv, 7, 41]);
        assert.equal(accepted.id.readUIntBE(0, 6), 1700000000250);
        assert.deepEqual([message.from, message.device, message.members], ['alice', hello.device, ['alice', 'bob']]);
        assert.deepEqual([delivered.to, delivered.seq, delivered.ref], [conv, 7, null]);
        assert.deepEqual([receipt.user, receipt.delivered, receipt.read, receipt.timeMs], ['bob', 7, 4, 1700000000300]);
    },

    async WELCOME_tells_the_limits_of_the_page(stage) {
        const session = await (await stage.person('alice')).session();
        const rows = tableBelow('## Limits').map(([name, value]) => [name.replaceAll('`', ''), Number(value)]);
        assert.deepEqual({ ...session.welcome.limits }, Object.fromEntries(rows));
    },

    async the_id_of_a_conversation_can_be_computed_by_anybody(stage) {
        for (const text of ['', 'abc', 'x'.repeat(127), 'x'.repeat(128), 'x'.repeat(129), 'x'.repeat(1000)]) {
            assert.deepEqual(blake2b(Buffer.from(text), 64), createHash('blake2b512').update(text).digest());
        }
        assert.equal(directConversation('alice', 'bob').toString('hex'), '1932b259dc82a37a99a92662f9be860c');
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        assert.deepEqual((await say(session, bob.name, 'hello')).conv, directConversation(bob.name, alice.name));
        assert.deepEqual((await say(session, alice.name, 'a note')).conv, directConversation(alice.name, alice.name));
    },

    async links_are_taken_as_the_page_says_and_nothing_that_is_almost_one(stage) {
        const name = stage.name('alice');
        const [tls, plain] = ['https://chat.example:443', 'http://127.0.0.1:8700'];
        for (const [link, server] of [
            [`https://chat.example/u/${name}`, tls], [`https://chat.example:443/u/${name}`, tls],
            [`HTTPS://Chat.Example/u/${name}`, tls], [`pipit://chat.example/${name}`, tls],
            [`http://127.0.0.1:8700/u/${name}`, plain], [`http://chat.example/u/${name}`, 'http://chat.example:80'],
            [`https://[2001:DB8::1]:8443/u/${name}`, 'https://[2001:db8::1]:8443'],
            [`https://xn--bcher-kva.example/u/${name}`, 'https://xn--bcher-kva.example:443'],
        ]) assert.deepEqual(parseLink(link), { server, user: name });
        for (const link of [
            '', name, `chat.example/u/${name}`, `https://chat.example/${name}`, `pipit://chat.example/u/${name}`,
            `https://chat.example/u/${name}/`, `https://chat.example/u/${name}?x`, `https://chat.example/u/${name}#x`,
            `https://alice@chat.example/u/${name}`, `https://chat.example:0/u/${name}`,
            `https://chat.example:065/u/${name}`, `https://chat.example:65536/u/${name}`,
            `https://chat.example:/u/${name}`, 'https://chat.example/u/Alice', 'https://chat.example/u/a',
            'https://chat.example/u/al%69ce', `https:///u/${name}`, `https://chat example/u/${name}`,
            `https://2001:db8::1/u/${name}`, `https://[chat.example]/u/${name}`, `https://[fe80::1%25eth0]/u/${name}`,
            ` https://chat.example/u/${name}`, `https://chat.example/u/${name} `, `ftp://chat.example/u/${name}`,
        ]) assert.equal(parseLink(link), null, link);
    },

    async the_text_of_a_body_is_kind_0(stage) {
        assert.deepEqual(textBody('hello'), Buffer.from('9200a568656c6c6f', 'hex'));
        assert.equal(bodyText(Buffer.from('9200a568656c6c6f', 'hex')), 'hello');
        for (const other of ['9201a568656c6c6f', '01', '', 'c1', '920001']) {
            assert.equal(bodyText(Buffer.from(other, 'hex')), null);
        }
    },
});
