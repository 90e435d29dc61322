// test_accounts.js - accounts over HTTP: register, log in and out, change the password, export, delete.
import assert from 'node:assert/strict';
import * as account from './client/account.js';
import { PASSWORD } from './harness/server.js';
import { say } from './harness/stage.js';
import { tell } from './harness/tell.js';
import { exchange, request } from './harness/wire.js';

const NEW_PASSWORD = 'a better password';

const register = (stage, name, password = PASSWORD, invite = undefined) =>
    account.register(stage.server.url, name, password, invite);
const login = (stage, name, password = PASSWORD, device = undefined) =>
    account.login(stage.server.url, name, password, device);

// The device cannot be used any more, over HTTP and over the WebSocket.
async function assertRevoked(stage, person, credentials) {
    await assert.rejects(account.logout(stage.server.url, credentials), { status: 401, name: 'REVOKED', again: false });
    await assert.rejects(person.sessionAtWelcome(credentials), { name: 'REVOKED' });
}

await tell({
    async an_account_is_made_and_each_log_in_makes_a_device(stage) {
        const name = stage.name('alice');
        assert.deepEqual(await register(stage, name), { user: name });
        const devices = [await login(stage, name), await login(stage, name)];
        for (const { user, device, token } of devices) {
            assert.equal(user, name);
            assert.match(device, /^[0-9a-f]{16}$/);
            assert.match(token, /^[0-9a-f]{64}$/);
        }
        assert.notEqual(devices[0].device, devices[1].device);
        assert.notEqual(devices[0].token, devices[1].token);
    },

    async a_name_is_given_once_and_not_to_what_looks_like_it(stage) {
        await register(stage, 'robin.001');
        for (const name of ['robin.001', 'robin001', 'rob-in_001', 'r0bin.001', 'robin.ool', 'robin.oo1']) {
            await assert.rejects(register(stage, name), { status: 409, name: 'EXISTS', again: false });
        }
        await register(stage, 'moving.vowels');
        for (const name of ['rnoving.vowels', 'moving.vovvels', 'm0vingvowe1s']) {
            await assert.rejects(register(stage, name), { name: 'EXISTS', text: /looks like/ });
        }
        await register(stage, 'robin.002');
        await assert.rejects(login(stage, 'robin001'), { name: 'AUTH' });    // a look-alike is nobody
    },

    async a_name_is_taken_as_it_stands_or_refused(stage) {
        for (const name of ['x', '', 'Alice', 'alice!', 'al ice', '.alice', '-alice', '_alice', 'ålice', 'alice\n',
                            'a'.repeat(33)]) {
            await assert.rejects(register(stage, name), { status: 400, name: 'NAME', again: false });
        }
        for (const name of ['zy', 'x9._-', '9lives', 'q'.repeat(32)]) {
            assert.deepEqual(await register(stage, name), { user: name });
        }
    },

    async names_that_speak_for_the_server_are_kept_back(stage) {
        for (const name of ['admin', 'root', 'support', 'a.d.m.i.n', 'r00t', 'r-o-o-t']) {
            await assert.rejects(register(stage, name), { status: 400, name: 'NAME' });
        }
    },

    async a_password_has_8_to_256_bytes_of_UTF_8(stage) {
        for (const password of ['', 'x'.repeat(7), 'x'.repeat(257), 'é'.repeat(129)]) {
            await assert.rejects(register(stage, stage.name('short'), password), { status: 400, name: 'PASSWORD' });
        }
        for (const password of ['x'.repeat(8), 'é'.repeat(4), 'é'.repeat(128), ' '.repeat(8), '🦜🦜']) {
            const name = stage.name('right');
            await register(stage, name, password);
            await login(stage, name, password);
            await assert.rejects(login(stage, name, NEW_PASSWORD), { name: 'AUTH' });
        }
    },

    async a_wrong_password_and_an_unknown_user_look_the_same(stage) {
        const { name } = await stage.person('alice');
        const wrong = await login(stage, name, 'a wrong password').catch(error => error);
        const unknown = await login(stage, 'nobody.at.all').catch(error => error);
        assert.deepEqual([wrong.status, wrong.name, wrong.again], [401, 'AUTH', false]);
        assert.deepEqual([unknown.status, unknown.name, unknown.text], [401, 'AUTH', wrong.text]);
    },

    async what_cannot_be_a_name_or_a_password_is_told_so_at_log_in_too(stage) {
        const { name } = await stage.person('alice');
        await assert.rejects(login(stage, 'Alice!'), { status: 400, name: 'NAME' });
        for (const password of ['short', 'x'.repeat(257)]) {
            await assert.rejects(login(stage, name, password), { status: 400, name: 'PASSWORD' });
        }
    },

    async a_device_has_a_name_of_at_most_64_bytes_in_one_line(stage) {
        const alice = await stage.person('alice');
        await assert.rejects(alice.login('x'.repeat(65)), { status: 413, name: 'TOO_BIG' });
        await assert.rejects(alice.login('two\nlines'), { status: 400, name: 'MALFORMED' });
        const kitchen = await alice.login('kitchen laptop, é');
        const session = await alice.session(kitchen);
        const { devices } = await session.request('DEVICES', { action: 0 });
        assert.deepEqual(devices.map(({ name, mine }) => [name, mine]), [['kitchen laptop, é', true]]);
    },

    async a_user_has_at_most_16_devices(stage) {
        const alice = await stage.person('alice');
        const first = await alice.login();
        for (let i = 1; i < 16; i++) await alice.login();
        await assert.rejects(alice.login(), { status: 400, name: 'TOO_MANY', again: false });
        await account.logout(stage.server.url, first);
        await alice.login();
    },

    async an_invite_lets_as_many_in_as_it_is_for(stage) {
        const there = await stage.elsewhere({ registration: 'invite' });
        assert.equal((await account.serverInfo(there.server.url)).registration, 'invite');
        const code = (await there.server.ctl('invite')).trim();
        for (const invite of [undefined, '', 'x'.repeat(64), code.slice(1)]) {
            const refused = register(there, 'alice', PASSWORD, invite);
            await assert.rejects(refused, { status: 403, name: 'INVITE', again: false });
        }
        await assert.rejects(register(there, 'alice', PASSWORD, 'x'.repeat(65)), { status: 413, name: 'TOO_BIG' });
        await register(there, 'alice', PASSWORD, code);
        await assert.rejects(register(there, 'bob', PASSWORD, code), { status: 403, name: 'INVITE' });
        const forTwo = (await there.server.ctl('invite', '--uses', '2')).trim();
        await register(there, 'bob', PASSWORD, forTwo);
        await assert.rejects(register(there, 'bob', PASSWORD, forTwo), { name: 'EXISTS' });    // which costs no use
        await register(there, 'carol', PASSWORD, forTwo);
        await assert.rejects(register(there, 'dave', PASSWORD, forTwo), { name: 'INVITE' });
    },

    async a_closed_door_opens_for_nobody(stage) {
        const there = await stage.elsewhere({ registration: 'closed' });
        assert.equal((await account.serverInfo(there.server.url)).registration, 'closed');
        const code = (await there.server.ctl('invite')).trim();
        for (const invite of [undefined, code]) {
            const refused = register(there, 'alice', PASSWORD, invite);
            await assert.rejects(refused, { status: 403, name: 'CLOSED_DOOR', again: false });
        }
    },

    async logging_out_ends_this_device_and_no_other(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.login(), await alice.login()];
        const [ofPhone, ofLaptop] = [await alice.session(phone), await alice.session(laptop)];
        assert.deepEqual(await account.logout(stage.server.url, phone), { user: alice.name });
        const { code, goodbye } = await ofPhone.ended;
        assert.deepEqual([code, goodbye.code], [4025, 25]);
        await assertRevoked(stage, alice, phone);
        await ofLaptop.request('PING');
    },

    async a_password_is_changed_by_who_knows_the_old_one(stage) {
        const alice = await stage.person('alice');
        const phone = await alice.login();
        const session = await alice.session(phone);
        const change = (...args) => account.changePassword(stage.server.url, phone, ...args);
        await assert.rejects(change('a wrong password', NEW_PASSWORD), { status: 403, name: 'DENIED', again: false });
        await assert.rejects(change(PASSWORD, 'short'), { status: 400, name: 'PASSWORD', text: /new_password/ });
        await assert.rejects(change(PASSWORD, undefined), { status: 400, name: 'TYPE', text: /new_password/ });
        const noBool = change(PASSWORD, NEW_PASSWORD, 'yes');
        await assert.rejects(noBool, { status: 400, name: 'TYPE', text: /log_out_others/ });
        await login(stage, alice.name);    // nothing has changed so far
        assert.deepEqual(await change(PASSWORD, NEW_PASSWORD), { user: alice.name, logged_out: 0 });
        await assert.rejects(login(stage, alice.name), { name: 'AUTH' });
        await login(stage, alice.name, NEW_PASSWORD);
        await session.request('PING');     // a token outlives the password it was got with
    },

    async a_new_password_can_log_out_all_other_devices(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop, tablet] = [await alice.login(), await alice.login(), await alice.login()];
        const [ofPhone, ofLaptop] = [await alice.session(phone), await alice.session(laptop)];
        const changed = await account.changePassword(stage.server.url, phone, PASSWORD, NEW_PASSWORD, true);
        assert.deepEqual(changed, { user: alice.name, logged_out: 2 });
        assert.equal((await ofLaptop.ended).code, 4025);
        await assertRevoked(stage, alice, laptop);
        await assertRevoked(stage, alice, tablet);
        await ofPhone.request('PING');
    },

    async a_request_as_a_device_needs_its_credentials_whole(stage) {
        const phone = await (await stage.person('alice')).login();
        const good = account.bearer(phone);
        const get = async headers => (await exchange(stage.server, request('GET', '/v1/export', { headers }))).status;
        assert.equal(await get({ Authorization: `Bearer ${good}` }), 200);
        assert.equal(await get({ authorization: `bearer ${good}` }), 200);    // RFC 9110: no case in either
        for (const Authorization of [null, '', good, 'Bearer', `Basic ${good}`, `Bearer ${good}0`,
                                     `Bearer ${good.slice(1)}`, `Bearer ${good.slice(0, -1)}`,
                                     `Bearer ${good.replaceAll('.', ':')}`, `Bearer ${good.toUpperCase()}`,
                                     `Bearer ${good}, Bearer ${good}`, `Bearer .${good}`]) {
            assert.equal(await get({ Authorization }), 401, Authorization);
        }
        const twice = `GET /v1/export HTTP/1.1\r\nHost: x\r\n${`Authorization: Bearer ${good}\r\n`.repeat(2)}\r\n`;
        const response = await exchange(stage.server, twice);
        assert.equal(response.status, 401);
        assert.ok(response.headers['www-authenticate']);
    },

    async an_export_of_a_new_account_has_its_devices(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.login('phone'), await alice.login('laptop')];
        await account.logout(stage.server.url, laptop);
        const whole = await account.exportAccount(stage.server.url, phone);
        assert.deepEqual([whole.user, whole.conversations], [alice.name, []]);
        assert.ok(whole.created_ms <= Date.now() && whole.list_version > 0);
        assert.deepEqual(whole.devices.map(({ device, name, revoked }) => [device, name, revoked]),
            [[phone.device, 'phone', false], [laptop.device, 'laptop', true]]);
        assert.equal(whole.devices[0].live_ms, undefined);    // it has never been connected
    },

    async an_export_tells_of_each_conversation_where_it_stands(stage) {
        const there = await stage.elsewhere({});
        const [alice, bob] = await there.people('alice', 'bob');
        const phone = await alice.login();
        const [ofAlice, ofBob] = [await alice.session(phone), await bob.session()];
        const { conv } = await say(ofBob, alice.name, 'one');
        await say(ofAlice, bob.name, 'two');
        await say(ofBob, alice.name, 'three');
        ofAlice.tell('READ', { to: conv, seq: 3 });
        await ofBob.ears.next('RECEIPT', ({ read }) => read === 3);
        await ofAlice.close();
        await there.server.signal('SIGTERM');    // figures may be a second old; now they are not
        await there.server.restart();
        const { conversations } = await account.exportAccount(there.server.url, phone);
        assert.equal(conversations.length, 1);
        const [{ created_ms, last_ms, read_ms, delivered_ms, ...rest }] = conversations;
        assert.deepEqual(rest, { conversation: conv.toString('hex'), with: bob.name, head: 3, counted: 3, read: 3,
                                 delivered: 3, sent: 2 });
        assert.ok(created_ms <= last_ms && last_ms <= read_ms && delivered_ms <= read_ms);
    },

    async an_export_of_many_conversations_comes_in_pages(stage) {
        const there = await stage.elsewhere({});
        const alice = await there.person('alice');
        const phone = await alice.login();
        const session = await alice.session(phone);
        const names = Array.from({ length: 203 }, (_, i) => `peer.${i}`);
        await there.server.ctl('user', 'add', ...names);
        await Promise.all(names.map(name => say(session, name, 'hello', { settled: 1 })));
        await session.close();
        await there.server.signal('SIGTERM');
        await there.server.restart();
        const page = async query => JSON.parse((await exchange(there.server, request('GET', `/v1/export${query}`, {
            headers: { Authorization: `Bearer ${account.bearer(phone)}` } }))).body);
        const first = await page('');
        assert.equal(first.conversations.length, 100);
        assert.equal(first.after, first.conversations[99].conversation);
        const second = await page(`?after=${first.after}`);
        assert.deepEqual(Object.keys(second).sort(), ['after', 'conversations']);
        const whole = await account.exportAccount(there.server.url, phone);
        assert.deepEqual(whole.conversations.map(each => each.with).sort(), [...names].sort());
        const failure = await page('?after=nonsense');
        assert.equal(failure.error, 'MALFORMED');
    },

    async a_deleted_account_is_gone_and_its_name_stays_taken(stage) {
        const alice = await stage.person('alice');
        const [phone, laptop] = [await alice.login(), await alice.login()];
        const [ofPhone, ofLaptop] = [await alice.session(phone), await alice.session(laptop)];
        const remove = password => account.deleteAccount(stage.server.url, phone, password);
        await assert.rejects(remove('a wrong password'), { status: 403, name: 'DENIED' });
        await ofPhone.request('PING');
        assert.deepEqual(await remove(PASSWORD), { user: alice.name });
        for (const { code, goodbye } of [await ofPhone.ended, await ofLaptop.ended]) {
            assert.deepEqual([code, goodbye.code], [4025, 25]);
        }
        await assert.rejects(login(stage, alice.name), { status: 401, name: 'AUTH' });
        await assert.rejects(register(stage, alice.name), { status: 409, name: 'EXISTS' });
        await assert.rejects(alice.sessionAtWelcome(phone), { name: 'AUTH' });
        await assert.rejects(account.logout(stage.server.url, phone), { status: 401, name: 'AUTH' });
    },

    async what_others_have_of_a_deleted_account_stays_with_them(stage) {
        const [alice, bob, carol] = await stage.people('alice', 'bob', 'carol');
        const phone = await alice.login();
        const [ofBob, ofCarol] = [await bob.session(), await carol.session()];
        await say(await alice.session(phone), bob.name, 'remember me');
        await account.deleteAccount(stage.server.url, phone, PASSWORD);
        const page = await ofBob.request('HISTORY', { to: alice.name, limit: 10 });
        assert.deepEqual(page.records.map(({ from }) => from), [alice.name]);
        await assert.rejects(say(ofCarol, alice.name, 'hello?'), { name: 'NOT_FOUND', again: false });
        const laptop = await bob.session();
        assert.equal((await say(ofBob, alice.name, 'I do')).seq, 2);
        await laptop.ears.next('MESSAGE', ({ seq }) => seq === 2);
    },

    async too_many_attempts_are_told_RATE_and_when_to_come_again(stage) {
        const there = await stage.elsewhere({ attempts_account_max: 4 });    // an open registration is the first
        const [alice, bob] = await there.people('alice', 'bob');
        for (let i = 0; i < 3; i++) {
            await assert.rejects(login(there, alice.name, 'a wrong password'), { name: 'AUTH' });
        }
        const refused = await login(there, alice.name).catch(error => error);    // though it would be right
        assert.deepEqual([refused.status, refused.name, refused.again], [429, 'RATE', true]);
        assert.ok(refused.waitMs > 0);
        await login(there, bob.name);
    },

    async too_many_at_once_are_told_BUSY_and_when_to_come_again(stage) {
        const there = await stage.elsewhere({ password_queue_max: 1, password_threads: 1, password_mib: 64 });
        const alice = await there.person('alice');
        const all = await Promise.all(Array.from({ length: 12 }, () => alice.login().catch(error => error)));
        const refused = all.filter(answer => answer instanceof Error);
        assert.ok(refused.length > 0 && refused.length < all.length);
        for (const { status, name, again, waitMs } of refused) {
            assert.deepEqual([status, name, again], [503, 'BUSY', true]);
            assert.ok(waitMs > 0);
        }
        await alice.login();
    },

    async a_good_password_counts_for_nothing(stage) {
        const there = await stage.elsewhere({ attempts_account_max: 2 });
        const alice = await there.person('alice');
        for (let i = 0; i < 6; i++) await alice.login();
    },
});
