// test_http.js - the HTTP of the server, byte by byte: methods, paths, bodies, headers, and what is refused.
import assert from 'node:assert/strict';
import { exchange, request, Wire } from './harness/wire.js';
import { tell } from './harness/tell.js';

// Every refusal has this body, whatever is wrong.
function assertRefused(response, status, error, { header, again = false } = {}) {
    assert.equal(response.status, status, response.body);
    const body = JSON.parse(response.body);
    assert.deepEqual([body.error, body.again], [error, again], response.body);
    assert.equal(typeof body.text, 'string');
    if (header) assert.ok(response.headers[header], `no header ${header}`);
}

const newAccount = (name, more = {}) => JSON.stringify({ user: name, password: 'a good password', ...more });

async function refuses(stage, data, ...expected) {
    assertRefused(await exchange(stage.server, data), ...expected);
}

const register = (stage, body, headers) => exchange(stage.server, request('POST', '/v1/register', { body, headers }));

const registers = async (stage, body, ...expected) => assertRefused(await register(stage, body), ...expected);

await tell({
    async health_and_what_the_server_is_can_be_read_by_anybody(stage) {
        const health = await exchange(stage.server, request('GET', '/healthz'));
        assert.deepEqual([health.status, JSON.parse(health.body)], [200, { status: 'ok' }]);
        const about = await exchange(stage.server, request('GET', '/v1/server'));
        const { server, protocol, registration } = JSON.parse(about.body);
        assert.match(server, /^pipitd /);
        assert.deepEqual([about.status, protocol, registration], [200, 1, 'open']);
    },

    async HEAD_is_GET_without_the_body(stage) {
        const whole = await exchange(stage.server, request('GET', '/healthz'));
        const head = await exchange(stage.server, request('HEAD', '/healthz'), { head: true });
        assert.deepEqual([head.status, head.headers['content-length'], head.body],
            [200, whole.headers['content-length'], '']);
    },

    async answers_are_not_to_be_kept_or_guessed_at(stage) {
        const { headers } = await exchange(stage.server, request('GET', '/v1/server'));
        assert.equal(headers['content-type'], 'application/json');
        assert.equal(headers['cache-control'], 'no-store');
        assert.equal(headers['x-content-type-options'], 'nosniff');
    },

    async a_query_is_no_part_of_the_path_but_a_slash_is(stage) {
        assert.equal((await exchange(stage.server, request('GET', '/v1/server?x=1'))).status, 200);
        for (const path of ['/v1/server/', '/v1', '/', '/V1/server', '/v1/ws/', '/v2/server', '/v1/server%20']) {
            await refuses(stage, request('GET', path), 404, 'NOT_FOUND');
        }
    },

    async a_path_takes_its_own_methods_and_names_them(stage) {
        const methods = { 'GET, HEAD': ['/healthz', '/v1/server', '/v1/export'],
                          POST: ['/v1/register', '/v1/login', '/v1/logout', '/v1/password', '/v1/delete'] };
        const paths = Object.entries(methods).flatMap(([allowed, all]) => all.map(path => [path, allowed]));
        for (const [path, allowed] of paths) {
            for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'].filter(name => !allowed.includes(name))) {
                const response = await exchange(stage.server, request(method, path));
                assertRefused(response, 405, 'UNSUPPORTED');
                assert.equal(response.headers.allow, allowed, `${method} ${path}`);
            }
        }
    },

    async a_connection_serves_one_request_after_the_other(stage) {
        const wire = new Wire(stage.server);
        wire.write(Buffer.concat(['/healthz', '/nowhere', '/v1/server'].map(path => request('GET', path))));
        assert.equal((await wire.response()).status, 200);
        assert.equal((await wire.response()).status, 404);
        assert.equal(JSON.parse((await wire.response()).body).protocol, 1);
        wire.end();
    },

    async a_request_may_come_a_byte_at_a_time(stage) {
        const wire = new Wire(stage.server);
        for (const byte of request('POST', '/v1/register', { body: newAccount(stage.name('slow')) })) {
            await new Promise(resolve => { wire.socket.write(Buffer.from([byte]), resolve); });
        }
        assert.equal((await wire.response()).status, 201);
        wire.end();
    },

    async a_body_may_come_in_chunks(stage) {
        const body = newAccount(stage.name('chunks'));
        const chunk = text => `${text.length.toString(16)}\r\n${text}\r\n`;
        const head = 'POST /v1/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
        const chunks = `${chunk(body.slice(0, 5))}${chunk(body.slice(5))}0\r\n\r\n`;
        assert.equal((await exchange(stage.server, head + chunks)).status, 201);
    },

    async who_expects_100_continue_gets_it(stage) {
        const body = newAccount(stage.name('patient'));
        const whole = request('POST', '/v1/register', { body, headers: { Expect: '100-continue' } });
        const wire = new Wire(stage.server);
        wire.write(whole.subarray(0, whole.length - body.length));
        assert.equal((await wire.response()).status, 100);
        wire.write(body);
        assert.equal((await wire.response()).status, 201);
        wire.end();
    },

    async the_content_type_of_a_body_is_not_looked_at(stage) {
        for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=x']) {
            const response = await register(stage, newAccount(stage.name('typed')), { 'Content-Type': type });
            assert.equal(response.status, 201, type);
        }
    },

    async a_body_that_is_no_JSON_object_is_malformed(stage) {
        const name = stage.name('nobody');
        for (const body of ['', 'x', '[]', 'null', '"text"', '5', '{', `${newAccount(name)} x`,
                            `\ufeff${newAccount(name)}`,
                            `{"user":"${name}","user":"${name}","password":"a good password"}`,
                            `{"user":"${name}","password":"a good\\u0000password"}`,
                            `{'user':'${name}'}`, `{"user":"${name}",}`, '{"password":"\\ud800 half of a pair"}']) {
            await registers(stage, body, 400, 'MALFORMED');
        }
        const latin1 = Buffer.from(`{"user":"${name}","password":"caf\xe9 caf\xe9"}`, 'latin1');
        await registers(stage, latin1, 400, 'MALFORMED');
        await registers(stage, '['.repeat(1000), 400, 'MALFORMED');
        assert.equal((await register(stage, newAccount(name))).status, 201);
    },

    async a_member_of_the_wrong_type_or_none_is_named(stage) {
        for (const [body, member] of [[{}, 'user'], [{ user: 5 }, 'user'], [{ user: null }, 'user'],
                                      [{ user: 'someone' }, 'password'],
                                      [{ user: 'someone', password: ['a good password'] }, 'password'],
                                      [{ user: 'someone', password: 'a good password', invite: 5 }, 'invite']]) {
            const response = await register(stage, JSON.stringify(body));
            assertRefused(response, 400, 'TYPE');
            assert.match(JSON.parse(response.body).text, new RegExp(member));
        }
    },

    async members_the_page_does_not_name_are_ignored(stage) {
        const body = newAccount(stage.name('more'), { colour: 'blue', nested: { deeper: [1, 2, { three: null }] } });
        assert.equal((await register(stage, body)).status, 201);
    },

    async a_body_has_at_most_2048_bytes(stage) {
        const padded = size => {
            const empty = newAccount(stage.name('large'), { pad: '' });
            return empty.replace('"pad":""', `"pad":"${'x'.repeat(size - empty.length)}"`);
        };
        assert.equal((await register(stage, padded(2048))).status, 201);
        await registers(stage, padded(2049), 413, 'TOO_BIG');
    },

    async a_body_larger_than_16_KiB_is_refused_before_all_of_it_has_come(stage) {
        const wire = new Wire(stage.server);
        wire.write('POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n');
        assertRefused(await wire.response(), 413, 'TOO_BIG');
        await wire.over();
        const chunks = new Wire(stage.server);
        chunks.write('POST /v1/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n');
        chunks.write('x'.repeat(17 * 1024));
        assertRefused(await chunks.response(), 413, 'TOO_BIG');
        await chunks.over();
    },

    async a_head_has_at_most_16_KiB(stage) {
        const filled = size => request('GET', '/healthz', { headers: { 'X-Fill': 'x'.repeat(size) } });
        assert.equal((await exchange(stage.server, filled(16 * 1024 - 100))).status, 200);
        await refuses(stage, filled(16 * 1024), 431, 'TOO_BIG');
        await refuses(stage, request('GET', `/${'x'.repeat(16 * 1024)}`), 431, 'TOO_BIG');
    },

    async what_could_be_read_in_two_ways_is_refused_and_closes(stage) {
        const post = headers => `POST /v1/register HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`;
        const shapes = [
            post('Content-Length: 2\r\nTransfer-Encoding: chunked'),
            post('Transfer-Encoding: chunked\r\nContent-Length: 2'),
            post('Content-Length: 2\r\nContent-Length: 2'), post('Content-Length: 2, 2'), post('Content-Length: +2'),
            post('Content-Length: -2'), post('Content-Length : 2'), post('X: a\r\n b'),
            'GET /healthz HTTP/1.1\r\n\r\n', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n',
            'GET /healthz HTTP/1.1\nHost: x\n\n', 'GET /healthz HTTP/1.1\r\nHost: x\n\r\n',
            'GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
            'GET healthz HTTP/1.1\r\nHost: x\r\n\r\n', 'GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
            `${post('Transfer-Encoding: chunked').trimEnd()}\r\n\r\n2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n`,
        ];
        for (const shape of shapes) {
            const wire = new Wire(stage.server);
            wire.write(shape);
            assertRefused(await wire.response(), 400, 'MALFORMED');
            await wire.over();
        }
    },

    async what_is_no_HTTP_is_told_so(stage) {
        // The beginning of TLS, another protocol, nothing, a body without a head, no method, one in small letters.
        for (const noise of ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'SSH-2.0-OpenSSH_9.2\r\n', '\0\0\0\0',
                             '\r\n\r\n{}', 'BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n',
                             'get /healthz HTTP/1.1\r\nHost: x\r\n\r\n']) {
            const wire = new Wire(stage.server);
            wire.write(Buffer.from(noise, 'latin1'));
            assertRefused(await wire.response(), 400, 'MALFORMED');
            await wire.over();
        }
    },

    async other_versions_of_HTTP_are_refused_and_1_0_is_served(stage) {
        const old = await exchange(stage.server, 'GET /healthz HTTP/1.0\r\n\r\n');
        assert.deepEqual([old.status, old.headers.connection], [200, 'close']);
        await refuses(stage, request('GET', '/healthz', { version: '2.0' }), 505, 'VERSION');
        await refuses(stage, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'VERSION');
    },

    async codings_and_expectations_that_are_not_spoken_are_named(stage) {
        await refuses(stage, request('POST', '/v1/register', { headers: { 'Transfer-Encoding': 'gzip, chunked' } }),
            501, 'UNSUPPORTED');
        await refuses(stage, request('POST', '/v1/register', { body: '{}', headers: { Expect: 'wonders' } }),
            417, 'UNSUPPORTED');
    },

    async pages_of_other_origins_are_denied_and_of_its_own_are_not(stage) {
        const from = (Origin, path = '/v1/server', method = 'GET') =>
            exchange(stage.server, request(method, path, { headers: { Origin } }));
        const own = await from('http://pipit.example');
        assert.deepEqual([own.status, own.headers['access-control-allow-origin']], [200, 'http://pipit.example']);
        for (const origin of ['http://evil.example', 'http://pipit.example:81', 'null', 'http://pipit.example.com']) {
            assertRefused(await from(origin), 403, 'DENIED');
            assertRefused(await from(origin, '/v1/login', 'OPTIONS'), 403, 'DENIED');
        }
        assert.equal((await from('http://evil.example', '/healthz')).status, 200);    // not below /v1/
    },

    async an_origin_that_the_operator_allows_gets_the_headers_of_CORS(stage) {
        const { server } = await stage.elsewhere({ allowed_origins: 'https://chat.example' });
        const { status, headers } = await exchange(server, request('OPTIONS', '/v1/login', {
            headers: { Origin: 'https://chat.example', 'Access-Control-Request-Method': 'POST' } }));
        assert.ok(status === 200 || status === 204);
        assert.equal(headers['access-control-allow-origin'], 'https://chat.example');
        for (const name of ['GET', 'POST', 'PUT', 'DELETE']) {
            assert.match(headers['access-control-allow-methods'], RegExp(name));
        }
        for (const name of ['authorization', 'content-type']) {
            assert.match(headers['access-control-allow-headers'].toLowerCase(), RegExp(name));
        }
        const asked = request('GET', '/v1/server', { headers: { Origin: 'https://chat.example' } });
        const real = await exchange(server, asked);
        assert.match(real.headers['access-control-expose-headers'], /Retry-After/);
    },

    async a_request_that_never_becomes_whole_is_told_IDLE(stage) {
        const { server } = await stage.elsewhere({ http_request_s: 1 });
        const wire = new Wire(server);
        wire.write('POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"user":');
        assertRefused(await wire.response(), 408, 'IDLE', { again: true });
        await wire.over();
    },

    async a_connection_too_many_is_told_BUSY_and_when_to_come_back(stage) {
        const { server } = await stage.elsewhere({ connections_max: 1, shards: 1 });
        const first = new Wire(server);
        first.write(request('GET', '/healthz'));
        await first.response();
        const second = await exchange(server, request('GET', '/healthz'));
        assertRefused(second, 503, 'BUSY', { header: 'retry-after', again: true });
        first.end();
    },
});
