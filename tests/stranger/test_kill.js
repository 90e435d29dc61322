// test_kill.js - the server is killed with -9: what was accepted is there, once, and what was not can be repeated.
import assert from 'node:assert/strict';
import * as account from './client/account.js';
import { LinkLost } from './client/error.js';
import { bodyText, encodeFrame, textBody } from './client/frames.js';
import { Messenger } from './client/messenger.js';
import { Random } from './harness/random.js';
import { PASSWORD } from './harness/server.js';
import { helloOf, say } from './harness/stage.js';
import { tell } from './harness/tell.js';
import { BINARY, PING, PONG, upgraded } from './harness/wire.js';

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 6);

async function killAndRestart({ server }) {
    await server.kill();
    await server.restart();
}

// All records of a conversation, by HISTORY from the first.
async function wholeHistory(session, to) {
    const records = [];
    for (let more = true; more;) {
        const page = await session.request('HISTORY', { to, after: records.length, limit: 100 });
        records.push(...page.records);
        ({ more } = page);
    }
    return records;
}

// Lets the event loop turn so many times: a moment that depends on nothing else.
async function turns(count) {
    for (let i = 0; i < count; i++) await new Promise(resolve => { setImmediate(resolve); });
}

// A messenger of a new device of this person, that stays connected until the story is over.
async function staying(stage, person) {
    const messenger = new Messenger(stage.server.url, await person.login());
    messenger.texts = [];
    messenger.on('message', ({ body }) => messenger.texts.push(bodyText(body)));
    const stayed = messenger.stay();
    stage.onLeave(async () => {
        await messenger.stop();
        await stayed;
    });
    return messenger;
}

async function hasHeard(messenger, count) {
    while (messenger.texts.length < count) await new Promise(resolve => { messenger.once('message', resolve); });
}

await tell({
    async an_accepted_message_survives_a_kill(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const accepted = await say(await alice.session(), bob.name, 'one two three');
        await killAndRestart(stage);
        const { records } = await (await alice.session()).request('HISTORY', { to: bob.name, limit: 10 });
        assert.deepEqual(records.map(({ body }) => bodyText(body)), ['one two three']);
        assert.deepEqual(records[0].id, accepted.id);
    },

    async what_waited_for_a_device_waits_for_it_after_a_kill(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await bob.login();
        const accepted = await say(await alice.session(), bob.name, 'are you there?');
        await killAndRestart(stage);
        const there = await bob.session(phone);
        const [message] = there.ears.rest('MESSAGE');
        assert.deepEqual([message.seq, message.id], [accepted.seq, accepted.id]);
    },

    async a_repeat_after_a_kill_gets_the_first_answer(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const accepted = await say(await alice.session(phone), bob.name, 'once');
        await killAndRestart(stage);
        const again = await alice.session(phone);
        assert.equal(again.clientSeq, 1);
        again.clientSeq = 0;
        const repeated = await say(again, bob.name, 'once');
        assert.deepEqual([repeated.seq, repeated.id], [accepted.seq, accepted.id]);
        assert.equal((await wholeHistory(again, bob.name)).length, 1);
    },

    async a_server_killed_between_a_send_and_its_answer_stores_it_once_or_not_at_all(stage) {
        const random = new Random();
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const texts = [];
        for (let clientSeq = 1; clientSeq <= ROUNDS; clientSeq++) {
            const session = await alice.session(phone);
            const frame = { to: bob.name, clientSeq, settled: clientSeq, body: textBody(`${clientSeq}`) };
            texts.push(`${clientSeq}`);
            const first = session.request('SEND', frame).catch(error => error);
            await turns(random.below(20));
            await killAndRestart(stage);
            const answer = await first;
            const repeated = await (await alice.session(phone)).request('SEND', frame);
            if (answer instanceof LinkLost) continue;
            assert.deepEqual([repeated.seq, repeated.id], [answer.seq, answer.id]);
        }
        const records = await wholeHistory(await alice.session(phone), bob.name);
        assert.deepEqual(records.map(({ body }) => bodyText(body)), texts);
    },

    async half_a_frame_before_a_kill_is_nothing_after_it(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const phone = await alice.login();
        const socket = await upgraded(stage.server);
        socket.frame(BINARY, helloOf(phone));
        const half = { type: 'SEND', ref: 9, to: bob.name, clientSeq: 1, settled: 1, body: textBody('half') };
        socket.frame(BINARY, encodeFrame(half).subarray(0, 10), { fin: false });
        socket.frame(PING);
        while ((await socket.nextFrame()).opcode !== PONG) continue;    // so it has come as far as this
        await killAndRestart(stage);
        const back = await alice.session(phone);
        assert.equal(back.welcome.clientSeqMax, 0);
        await assert.rejects(back.request('HISTORY', { to: bob.name, limit: 1 }), { name: 'NOT_FOUND' });
    },

    async a_receipt_that_was_shown_is_not_taken_back_by_a_kill(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [phone, laptop] = [await alice.login(), await bob.login()];
        const session = await alice.session(phone);
        const { conv } = await say(session, bob.name, 'read me');
        (await bob.session(laptop)).tell('READ', { to: conv, seq: 1 });
        await session.ears.next('RECEIPT', ({ read }) => read === 1);
        await killAndRestart(stage);
        const info = await (await alice.session(phone)).request('INFO', { to: conv, seq: 1 });
        const [{ deliveredMs, readMs }] = info.members;
        assert.ok(deliveredMs > 0 && readMs > 0);
        assert.deepEqual((await bob.session(laptop)).ears.rest('MESSAGE'), []);
    },

    async what_HTTP_has_answered_survives_a_kill(stage) {
        const { server } = stage;
        const alice = await stage.person('alice');
        await killAndRestart(stage);
        const [phone, laptop] = [await alice.login('phone'), await alice.login()];
        await killAndRestart(stage);
        await account.logout(server.url, laptop);
        await killAndRestart(stage);
        await assert.rejects(alice.sessionAtWelcome(laptop), { name: 'REVOKED' });
        await account.changePassword(server.url, phone, PASSWORD, 'another password');
        await killAndRestart(stage);
        await assert.rejects(alice.login(), { name: 'AUTH' });
        const { devices } = await (await alice.session(phone)).request('DEVICES', { action: 0 });
        assert.deepEqual(devices.map(({ name }) => name), ['phone']);
        await account.deleteAccount(server.url, phone, 'another password');
        await killAndRestart(stage);
        await assert.rejects(alice.sessionAtWelcome(phone), { name: 'AUTH' });
        await assert.rejects(account.register(server.url, alice.name, PASSWORD), { name: 'EXISTS' });
    },

    async a_messenger_goes_on_after_a_kill_as_if_nothing_had_happened(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [sender, receiver] = [await staying(stage, alice), await staying(stage, bob)];
        await sender.send(bob.name, 'before');
        await stage.server.kill();
        const sent = sender.send(bob.name, 'while it is down');
        await stage.server.restart();
        await sent;
        await hasHeard(receiver, 2);
        assert.deepEqual(receiver.texts, ['before', 'while it is down']);
    },

    async a_messenger_stays_away_when_its_device_is_revoked_or_replaced(stage) {
        const alice = await stage.person('alice');
        const messenger = new Messenger(stage.server.url, await alice.login());
        const opened = new Promise(resolve => { messenger.once('connected', resolve); });
        const stayed = messenger.stay();
        await opened;
        await account.logout(stage.server.url, messenger.credentials);
        await stayed;
        const other = new Messenger(stage.server.url, await alice.login());
        const openedToo = new Promise(resolve => { other.once('connected', resolve); });
        const stayedToo = other.stay();
        await openedToo;
        await alice.session(other.credentials);
        await stayedToo;
    },

    // alice and carol write to bob, who has two devices, and to each other, while the server is killed again and again.
    async kills_at_random_moments_lose_nothing_and_double_nothing(stage) {
        const random = new Random();
        const [alice, bob, carol] = await stage.people('alice', 'bob', 'carol');
        const [ofAlice, ofCarol] = [await staying(stage, alice), await staying(stage, carol)];
        const atBob = [await staying(stage, bob), await staying(stage, bob)];
        const accepted = new Map();    // text -> what ACCEPTED said
        let onAccepted = () => {};
        const sent = { [alice.name]: [], [carol.name]: [] };
        const waiting = [];
        const write = (messenger, to) => {
            const from = messenger.credentials.user;
            const text = `${from} ${sent[from].length}`;
            sent[from].push(text);
            waiting.push(messenger.send(to, text).then(answer => {
                accepted.set(text, answer);
                onAccepted();
            }));
        };
        for (let round = 0; round < ROUNDS; round++) {
            const count = 1 + random.below(30);
            for (let i = 0; i < count; i++) write(...(random.below(2) ? [ofAlice, bob.name] : [ofCarol, bob.name]));
            const enough = accepted.size + random.below(count);
            while (accepted.size < enough) await new Promise(resolve => { onAccepted = resolve; });
            await turns(random.below(10));
            await killAndRestart(stage);
        }
        await Promise.all(waiting);

        for (const [messenger, from] of [[ofAlice, alice.name], [ofCarol, carol.name]]) {
            if (sent[from].length === 0) continue;
            const session = await bob.session();
            const records = await wholeHistory(session, from);
            assert.deepEqual(records.map(({ body }) => bodyText(body)), sent[from]);
            assert.deepEqual(records.map(({ seq }) => seq), sent[from].map((_, i) => i + 1));
            for (const { body, seq, id } of records) {
                const told = accepted.get(bodyText(body));
                assert.deepEqual([told.seq, told.id], [seq, id]);
            }
            assert.equal(messenger.store.outbox.size, 0);
        }
        const all = [...sent[alice.name], ...sent[carol.name]];
        for (const device of atBob) {
            await hasHeard(device, all.length);
            assert.deepEqual([...device.texts].sort(), [...all].sort());    // each once, on each device
        }
    },
});
