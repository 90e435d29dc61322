// test_receive.js - "Receiving", "Receipts" and "Catching up": what comes to whom, at once and after being away.
import assert from 'node:assert/strict';
import { bodyText } from './client/frames.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const WINDOW_MESSAGES_MAX = 64, WINDOW_BYTES_MAX = 262144;

// The next `count` messages of a session, in the order in which they came.
async function messages(session, count, onEach = () => {}) {
    const all = [];
    while (all.length < count) {
        const message = await session.ears.next('MESSAGE');
        all.push(message);
        onEach(message);
    }
    return all;
}

const seqs = all => all.map(({ seq }) => seq);
const textOf = ({ body }) => bodyText(body);

// alice and bob, each in a session.
async function pair(stage) {
    const [alice, bob] = await stage.people('alice', 'bob');
    return { alice, bob, ofAlice: await alice.session(), ofBob: await bob.session() };
}

// Twenty rounds to the server and back for each: what it has to say without being asked comes meanwhile. One that is
// wrong might be later than that; one that is right never fails a story by it.
async function quiet(...sessions) {
    for (let i = 0; i < 20; i++) await Promise.all(sessions.map(session => session.request('PING')));
}

// bob gets `count` messages of a conversation of which `fit` fill a window, and acknowledges as late as he may. A
// server sends at least half of a window, and goes on when half of it is free; the other half is its own affair.
async function allButAcknowledged(ofAlice, ofBob, conv, count, fit) {
    const came = await messages(ofBob, fit / 2);
    for (let acknowledged = 0; ;) {
        await quiet(ofAlice, ofBob);
        came.push(...await messages(ofBob, ofBob.ears.rest('MESSAGE').length));
        assert.ok(came.length - acknowledged <= fit, `${came.length - acknowledged} at once`);
        if (came.length === count) break;
        acknowledged = came.length - fit / 2 + 1;
        ofBob.tell('DELIVERED', { to: conv, seq: acknowledged });
        came.push(...await messages(ofBob, 1));
    }
    assert.deepEqual(seqs(came), Array.from({ length: count }, (_, i) => i + 1));
    assert.equal(ofBob.ears.rest('SYNCED').length, 0);    // once in each session, which the story has heard
}

await tell({
    async a_message_says_all_the_page_says(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        const { conv, seq, id } = await say(ofAlice, bob.name, 'hello');
        const message = await ofBob.ears.next('MESSAGE');
        const { body, ...rest } = message;
        assert.deepEqual(rest, {
            type: 'MESSAGE', ref: null, conv, seq, id, kind: 1, flags: 1, counted: 1, from: alice.name,
            device: ofAlice.credentials.device, clientSeq: 1, members: [alice.name, bob.name],
            expiryMs: null,
        });
        assert.equal(bodyText(body), 'hello');
    },

    async members_are_the_two_users_lesser_first_whoever_sends(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        await say(ofBob, alice.name, 'from the greater one');
        assert.deepEqual((await ofAlice.ears.next('MESSAGE')).members, [alice.name, bob.name]);
    },

    async counted_rises_with_each_message_of_either(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        await say(ofAlice, bob.name, 'one');
        await say(ofBob, alice.name, 'two');
        await say(ofAlice, bob.name, 'three');
        assert.deepEqual((await messages(ofBob, 2)).map(({ seq, counted }) => [seq, counted]), [[1, 1], [3, 3]]);
    },

    async messages_of_a_conversation_come_in_rising_sequence(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const numbers = Array.from({ length: WINDOW_MESSAGES_MAX / 2 }, (_, i) => i + 1);
        await Promise.all(numbers.map(number => say(ofAlice, bob.name, `${number}`, { settled: 1 })));
        assert.deepEqual((await messages(ofBob, numbers.length)).map(textOf), numbers.map(String));
    },

    async the_session_that_sends_gets_no_message_and_the_users_other_devices_do(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        const ofLaptop = await alice.session();
        const { seq } = await say(ofAlice, bob.name, 'from the phone');
        const [atLaptop, atBob] = [await ofLaptop.ears.next('MESSAGE'), await ofBob.ears.next('MESSAGE')];
        assert.deepEqual([atLaptop.seq, atLaptop.device, atBob.seq], [seq, ofAlice.credentials.device, seq]);
        // bob's answer comes behind anything that the phone might have got for its own send.
        await say(ofBob, alice.name, 'an answer');
        assert.equal(textOf(await ofAlice.ears.next('MESSAGE')), 'an answer');
    },

    async all_devices_of_a_user_get_a_message(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const others = [await bob.session(), await bob.session()];
        const { id } = await say(ofAlice, bob.name, 'everywhere');
        for (const session of [ofBob, ...others]) assert.deepEqual((await session.ears.next('MESSAGE')).id, id);
    },

    async notes_to_oneself_reach_ones_other_devices_and_count_for_nothing(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.session(), await alice.session()];
        const { conv } = await say(phone, alice.name, 'buy milk');
        const note = await laptop.ears.next('MESSAGE');
        assert.deepEqual([note.conv, note.flags & 1, note.counted], [conv, 0, 0]);
        assert.deepEqual(note.members, [alice.name, alice.name]);
    },

    async what_came_while_a_device_was_away_comes_before_SYNCED(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        await ofBob.close();
        for (const text of ['1', '2', '3']) await say(ofAlice, bob.name, text);
        const back = await bob.sessionAtWelcome(ofBob.credentials);
        await back.ears.next('SYNCED');
        assert.deepEqual(back.ears.rest('MESSAGE').map(textOf), ['1', '2', '3']);
    },

    async what_was_acknowledged_does_not_come_again_and_the_rest_does(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, '1');
        await say(ofAlice, bob.name, '2');
        await say(ofAlice, bob.name, '3');
        await messages(ofBob, 3);
        ofBob.tell('DELIVERED', { to: conv, seq: 2 });
        await ofAlice.ears.next('RECEIPT', ({ delivered }) => delivered === 2);
        const back = await bob.session(ofBob.credentials);
        assert.deepEqual(seqs(back.ears.rest('MESSAGE')), [3]);
    },

    async what_nobody_acknowledged_comes_again_with_each_connection(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { id } = await say(ofAlice, bob.name, 'did you get it?');
        for (let i = 0; i < 3; i++) {
            const back = await bob.session(ofBob.credentials);
            assert.deepEqual(back.ears.rest('MESSAGE').map(message => message.id), [id]);
        }
    },

    async a_device_of_its_own_has_a_cursor_of_its_own(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const laptop = await bob.session();
        const { conv } = await say(ofAlice, bob.name, 'to both');
        await laptop.ears.next('MESSAGE');
        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        await ofAlice.ears.next('RECEIPT');
        assert.deepEqual(seqs((await bob.session(ofBob.credentials)).ears.rest('MESSAGE')), []);
        assert.deepEqual(seqs((await bob.session(laptop.credentials)).ears.rest('MESSAGE')), [1]);
    },

    async what_waited_for_a_user_without_a_device_comes_to_the_first_one(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const ofAlice = await alice.session();
        for (const text of ['1', '2', '3']) await say(ofAlice, bob.name, text);
        const first = await bob.session();
        assert.deepEqual(first.ears.rest('MESSAGE').map(textOf), ['1', '2', '3']);
    },

    async a_later_device_gets_what_no_device_had_acknowledged_and_what_comes_after(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, '1');
        await say(ofAlice, bob.name, '2');
        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        await ofAlice.ears.next('RECEIPT');
        const tablet = await bob.session();
        assert.deepEqual(seqs(tablet.ears.rest('MESSAGE')), [2]);
        await say(ofAlice, bob.name, '3');
        assert.deepEqual(seqs(await messages(tablet, 2)), [2, 3]);
    },

    async at_most_64_messages_come_before_some_are_acknowledged(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const numbers = Array.from({ length: 100 }, (_, i) => i + 1);
        const sent = numbers.map(number => say(ofAlice, bob.name, `${number}`, { settled: 1 }));
        const [{ conv }] = await Promise.all(sent);
        await allButAcknowledged(ofAlice, ofBob, conv, 100, WINDOW_MESSAGES_MAX);
    },

    async at_most_256_KiB_come_before_some_are_acknowledged(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const body = Buffer.alloc(16384, 1);
        const sent = Array.from({ length: 30 }, () => say(ofAlice, bob.name, '', { settled: 1, body }));
        const [{ conv }] = await Promise.all(sent);
        await allButAcknowledged(ofAlice, ofBob, conv, 30, WINDOW_BYTES_MAX / body.length);
    },

    async a_long_absence_is_caught_up_in_windows(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        await ofBob.close();
        const numbers = Array.from({ length: 200 }, (_, i) => i + 1);
        await Promise.all(numbers.map(number => say(ofAlice, bob.name, `${number}`, { settled: 1 })));
        const back = await bob.sessionAtWelcome(ofBob.credentials);
        for (const number of numbers) {
            const message = await back.ears.next('MESSAGE');
            assert.equal(message.seq, number);
            if (number < 150) assert.equal(back.ears.rest('SYNCED').length, 0);    // 50 still wait for a window
            if (number % 20 === 0) back.tell('DELIVERED', { to: message.conv, seq: number });
        }
        await back.ears.next('SYNCED');
    },

    async what_waits_in_many_conversations_comes_all(stage) {
        const bob = await stage.person('bob');
        const phone = await bob.login();
        const others = await stage.people(...Array.from({ length: 20 }, (_, i) => `peer${i}`));
        for (const peer of others) {
            const session = await peer.session();
            await say(session, bob.name, 'one');
            await say(session, bob.name, 'two');
        }
        const session = await bob.sessionAtWelcome(phone);
        const came = await messages(session, 40, ({ conv, seq }) => session.tell('DELIVERED', { to: conv, seq }));
        await session.ears.next('SYNCED');
        for (const peer of others) {
            const theirs = came.filter(({ from }) => from === peer.name);
            assert.deepEqual(theirs.map(textOf), ['one', 'two'], peer.name);
        }
    },

    async DELIVERED_is_told_to_the_sender_as_a_RECEIPT(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        const { conv, id } = await say(ofAlice, bob.name, 'one');
        ofBob.tell('DELIVERED', { to: alice.name, seq: 1 });
        const receipt = await ofAlice.ears.next('RECEIPT');
        const { timeMs, ...rest } = receipt;
        assert.deepEqual(rest, { type: 'RECEIPT', ref: null, conv, user: bob.name, delivered: 1, read: 0 });
        assert.ok(timeMs >= id.readUIntBE(0, 6));
    },

    async READ_says_DELIVERED_too(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, 'one');
        ofBob.tell('READ', { to: conv, seq: 1 });
        const { delivered, read } = await ofAlice.ears.next('RECEIPT');
        assert.deepEqual([delivered, read], [1, 1]);
        assert.deepEqual(seqs((await bob.session(ofBob.credentials)).ears.rest('MESSAGE')), []);
    },

    async one_acknowledgement_is_for_all_below_it(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        for (const text of ['1', '2', '3', '4', '5']) await say(ofAlice, bob.name, text);
        const { conv } = (await messages(ofBob, 5))[0];
        ofBob.tell('READ', { to: conv, seq: 5 });
        await ofAlice.ears.next('RECEIPT', ({ delivered, read }) => delivered === 5 && read === 5);
        for (const seq of [1, 3, 5]) {
            const [{ deliveredMs, readMs }] = (await ofAlice.request('INFO', { to: conv, seq })).members;
            assert.ok(deliveredMs > 0 && readMs > 0);
        }
    },

    async cursors_only_move_forward(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, '1');
        await say(ofAlice, bob.name, '2');
        ofBob.tell('READ', { to: conv, seq: 2 });
        await ofAlice.ears.next('RECEIPT', ({ read }) => read === 2);
        for (const type of ['DELIVERED', 'READ']) for (const seq of [0, 1]) ofBob.tell(type, { to: conv, seq });
        await say(ofAlice, bob.name, '3');
        ofBob.tell('READ', { to: conv, seq: 3 });
        await ofAlice.ears.next('RECEIPT', ({ read }) => read === 3);
        for (const { delivered, read } of ofAlice.ears.rest('RECEIPT')) assert.ok(delivered >= 2 && read >= 2);
        assert.equal(ofBob.ears.rest('ERROR').length, 0);
    },

    async an_acknowledgement_past_the_end_is_refused(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, '1');
        for (const type of ['DELIVERED', 'READ']) {
            ofBob.tell(type, { to: conv, seq: 2 });
            const error = await ofBob.ears.next('ERROR');
            assert.deepEqual([error.name, error.ref, error.again], ['PAST_HEAD', null, false]);
        }
        await say(ofAlice, bob.name, '2');
        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        assert.equal((await ofAlice.ears.next('RECEIPT')).delivered, 1);    // the refused ones moved nothing
    },

    async READ_of_one_device_is_told_to_the_others_of_the_user(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const laptop = await bob.session();
        const { conv } = await say(ofAlice, bob.name, 'one');
        ofBob.tell('READ', { to: conv, seq: 1 });
        await laptop.ears.next('RECEIPT', ({ user, read }) => user === bob.name && read === 1);
    },

    async delivered_is_the_furthest_of_a_users_devices(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const laptop = await bob.session();
        const { conv } = await say(ofAlice, bob.name, '1');
        await say(ofAlice, bob.name, '2');
        laptop.tell('DELIVERED', { to: conv, seq: 2 });
        await ofAlice.ears.next('RECEIPT', ({ delivered }) => delivered === 2);
        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        ofBob.tell('READ', { to: conv, seq: 1 });
        assert.equal((await ofAlice.ears.next('RECEIPT', ({ read }) => read === 1)).delivered, 2);
    },

    async receipts_missed_while_away_come_with_the_catch_up(stage) {
        const { bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, 'one');
        await ofAlice.close();
        ofBob.tell('READ', { to: conv, seq: 1 });
        // bob's other device hears of the read when it is on disk: from then on it is told to whoever comes.
        while ((await ofBob.request('INFO', { to: conv, seq: 1 })).members[0].readMs === null) continue;
        const back = await ofAlice.person.session(ofAlice.credentials);
        const receipts = back.ears.rest('RECEIPT').filter(({ user }) => user === bob.name);
        assert.deepEqual(receipts.map(({ read }) => read), [1]);
    },

    async an_own_send_needs_no_acknowledgement_when_all_before_it_had_one(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        const { conv } = await say(ofAlice, bob.name, 'one');
        ofBob.tell('DELIVERED', { to: conv, seq: 1 });
        await ofAlice.ears.next('RECEIPT');
        await say(ofBob, alice.name, 'two');
        assert.deepEqual(seqs((await bob.session(ofBob.credentials)).ears.rest('MESSAGE')), []);
    },

    async an_own_send_above_what_waits_comes_with_it(stage) {
        const { alice, bob, ofAlice, ofBob } = await pair(stage);
        await say(ofAlice, bob.name, 'one');
        const own = await say(ofBob, alice.name, 'two');
        const came = (await bob.session(ofBob.credentials)).ears.rest('MESSAGE');
        assert.deepEqual(seqs(came), [1, 2]);
        assert.deepEqual([came[1].id, came[1].device, came[1].clientSeq], [own.id, ofBob.credentials.device, 1]);
    },
});
