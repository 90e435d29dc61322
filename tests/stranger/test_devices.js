// test_devices.js - DEVICES: look, name, revoke; what the user's other devices hear of it.
import assert from 'node:assert/strict';
import { changePassword, logout } from './client/account.js';
import { PASSWORD } from './harness/server.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';

const LIST = 0, NAME = 1, REVOKE = 2;
const ADDED = 1, NAMED = 2, REVOKED = 3;

const list = session => session.request('DEVICES', { action: LIST });

await tell({
    async the_list_has_ones_own_devices_oldest_first(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        await bob.login('of bob');
        const [phone, laptop] = [await alice.login('phone'), await alice.login('laptop')];
        const session = await alice.session(laptop);
        const { version, devices } = await list(session);
        assert.ok(version > 0);
        assert.deepEqual(devices.map(({ device, name, mine, liveMs }) => [device, name, mine, liveMs !== null]),
            [[phone.device, 'phone', false, false], [laptop.device, 'laptop', true, true]]);
        const { nowMs } = await session.request('PING');
        for (const { createdMs } of devices) assert.ok(createdMs > 0 && createdMs <= nowMs);
    },

    async a_device_is_named_and_the_others_hear_of_it(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.login(), await alice.login()];
        const [ofPhone, ofLaptop] = [await alice.session(phone), await alice.session(laptop)];
        const naming = { action: NAME, device: laptop.device, name: 'kitchen laptop' };
        const answer = await ofPhone.request('DEVICES', naming);
        assert.deepEqual(answer.devices.map(({ name }) => name), ['', 'kitchen laptop']);
        const changed = await ofLaptop.ears.next('DEVICE_CHANGED');
        assert.deepEqual([changed.what, changed.device, changed.name, changed.version],
            [NAMED, laptop.device, 'kitchen laptop', answer.version]);
        assert.equal((await list(ofLaptop)).version, answer.version);
        assert.equal(ofPhone.ears.rest('DEVICE_CHANGED').length, 0);    // who asked has the answer
    },

    async a_name_is_taken_away_with_an_empty_one(stage) {
        const alice = await stage.person('alice');
        const session = await alice.session(await alice.login('phone'));
        const { device } = session.credentials;
        const { devices } = await session.request('DEVICES', { action: NAME, device, name: '' });
        assert.equal(devices[0].name, '');
    },

    async a_revoked_device_loses_its_session_before_the_answer(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.login(), await alice.login()];
        const [ofPhone, ofLaptop] = [await alice.session(phone), await alice.session(laptop)];
        const revocation = { action: REVOKE, device: laptop.device };
        const { devices } = await ofPhone.request('DEVICES', revocation);
        assert.deepEqual(devices.map(({ device }) => device), [phone.device]);
        const { code, goodbye } = await ofLaptop.ended;
        assert.deepEqual([code, goodbye.code], [4025, 25]);
        await assert.rejects(alice.sessionAtWelcome(laptop), { name: 'REVOKED', again: false });
        await assert.rejects(ofPhone.request('DEVICES', revocation), { name: 'NOT_FOUND' });
    },

    async what_a_revoked_device_had_sent_stays(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const [phone, laptop] = [await alice.login(), await alice.login()];
        await say(await alice.session(laptop), bob.name, 'from the laptop');
        const session = await alice.session(phone);
        await session.request('DEVICES', { action: REVOKE, device: laptop.device });
        const { records } = await session.request('HISTORY', { to: bob.name, limit: 10 });
        assert.deepEqual(records.map(({ device }) => device), [laptop.device]);
        await (await bob.session()).ears.next('MESSAGE');
    },

    async who_revokes_the_device_that_asks_hears_GOODBYE_instead(stage) {
        const session = await (await stage.person('alice')).session();
        const { device } = session.credentials;
        const answer = session.request('DEVICES', { action: REVOKE, device });
        await assert.rejects(answer, { name: 'LinkLost' });
        const { code, goodbye } = await session.ended;
        assert.deepEqual([code, goodbye.code], [4025, 25]);
    },

    async devices_of_others_cannot_be_seen_named_or_revoked(stage) {
        const [alice, bob] = await stage.people('alice', 'bob');
        const session = await alice.session();
        const ofBob = await bob.session();
        const { device } = ofBob.credentials;
        for (const action of [{ action: NAME, device, name: 'mine now' }, { action: REVOKE, device }]) {
            await assert.rejects(session.request('DEVICES', action), { name: 'NOT_FOUND', again: false });
        }
        assert.deepEqual((await list(ofBob)).devices.map(each => each.name), ['']);
    },

    async a_log_in_is_heard_by_the_devices_that_are_there(stage) {
        const alice = await stage.person('alice');
        const session = await alice.session();
        const laptop = await alice.login('laptop');
        const changed = await session.ears.next('DEVICE_CHANGED');
        assert.deepEqual([changed.what, changed.device, changed.name], [ADDED, laptop.device, 'laptop']);
        assert.ok(changed.version > session.welcome.listVersion);
        assert.equal((await list(session)).version, changed.version);
    },

    async a_log_out_is_heard_by_the_devices_that_stay(stage) {
        const alice = await stage.person('alice');
        const laptop = await alice.login('laptop');
        const session = await alice.session();
        await logout(stage.server.url, laptop);
        const changed = await session.ears.next('DEVICE_CHANGED');
        assert.deepEqual([changed.what, changed.device], [REVOKED, laptop.device]);
    },

    async changes_made_at_once_have_one_version(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop, tablet] = [await alice.login(), await alice.login(), await alice.login()];
        const session = await alice.session(phone);
        await changePassword(stage.server.url, phone, PASSWORD, 'a better password', true);
        const changes = [await session.ears.next('DEVICE_CHANGED'), await session.ears.next('DEVICE_CHANGED')];
        assert.deepEqual(changes.map(({ device }) => device).sort(), [laptop.device, tablet.device].sort());
        assert.deepEqual(changes.map(({ what }) => what), [REVOKED, REVOKED]);
        assert.equal(changes[0].version, changes[1].version);
    },

    async a_change_that_was_missed_shows_in_the_list_version_of_WELCOME(stage) {
        const alice = await stage.person('alice');
        const phone = await alice.login();
        const before = await alice.session(phone);
        const { version } = await list(before);
        assert.equal(before.welcome.listVersion, version);
        await before.close();
        await alice.login('made meanwhile');
        const after = await alice.session(phone);
        assert.ok(after.welcome.listVersion > version);
        assert.equal((await list(after)).version, after.welcome.listVersion);
        assert.equal(after.ears.rest('DEVICE_CHANGED').length, 0);    // it is not repeated
    },
});
