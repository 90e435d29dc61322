// account.js - what goes over HTTP: register, log in, and what a device may do with its account.
import http from 'node:http';
import { PipitError, LinkLost } from './error.js';

// One request, JSON in and out. Throws PipitError for any status that is an error.
async function call(url, method, { body, credentials } = {}) {
    const headers = {};
    if (credentials) headers.Authorization = `Bearer ${bearer(credentials)}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const { status, headers: got, text } = await exchange(url, method, headers, body && JSON.stringify(body));
    const answer = JSON.parse(text);
    if (status < 300) return answer;
    const waitMs = got['retry-after'] ? Number(got['retry-after']) * 1000 : null;
    throw new PipitError({ name: answer.error, text: answer.text, again: answer.again, waitMs, status });
}

function exchange(url, method, headers, body) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method, headers }, response => {
            const pieces = [];
            response.on('data', piece => pieces.push(piece));
            response.on('end', () => resolve({
                status: response.statusCode, headers: response.headers, text: Buffer.concat(pieces).toString(),
            }));
        });
        request.on('error', error => reject(new LinkLost(error.message)));
        request.end(body);
    });
}

export const bearer = ({ user, device, token }) => `${user}.${device}.${token}`;

// server is "http://HOST:PORT"; credentials are what login() gave: { user, device, token }.
export const health = server => call(`${server}/healthz`, 'GET');
export const serverInfo = server => call(`${server}/v1/server`, 'GET');
export const register = (server, user, password, invite) =>
    call(`${server}/v1/register`, 'POST', { body: { user, password, invite } });
export const login = (server, user, password, device) =>
    call(`${server}/v1/login`, 'POST', { body: { user, password, device } });
export const logout = (server, credentials) => call(`${server}/v1/logout`, 'POST', { credentials });
export const changePassword = (server, credentials, password, newPassword, logOutOthers) =>
    call(`${server}/v1/password`, 'POST',
        { credentials, body: { password, new_password: newPassword, log_out_others: logOutOthers } });
export const deleteAccount = (server, credentials, password) =>
    call(`${server}/v1/delete`, 'POST', { credentials, body: { password } });

// All that the server has of this user, its pages put together.
export async function exportAccount(server, credentials) {
    const whole = await call(`${server}/v1/export`, 'GET', { credentials });
    let { after } = whole;
    while (after) {
        const page = await call(`${server}/v1/export?after=${after}`, 'GET', { credentials });
        whole.conversations.push(...page.conversations);
        ({ after } = page);
    }
    delete whole.after;
    return whole;
}
