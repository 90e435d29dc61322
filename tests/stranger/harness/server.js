// server.js - a pipitd of its own for each test program: BUILD's, on a free port, with its data in a temporary folder.
//
// It can be killed and started again on the same data and the same port. stop() is what ends it well: it fails when the
// server ended badly, which is how a sanitizer's findings are noticed. Whatever happens to the test program, no server
// outlives it.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const BUILD = process.env.BUILD ?? 'build';

// Of all accounts, those that pipitctl makes too.
export const PASSWORD = 'a good password';

// Cheap passwords and no limits on attempts: what is tested here is not how long guessing takes.
const SETTINGS = {
    registration: 'open', shards: 2, password_mib: 1, password_passes: 1,
    attempts_account_max: 0, attempts_address_max: 0,
};

const living = new Set();

process.on('exit', () => { for (const server of living) server.discard(); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

export class Server {
    // settings go over SETTINGS and are named as in docs/configuration.md.
    static async start(settings = {}) {
        const server = new Server();
        server.settings = { ...SETTINGS, ...settings };
        server.folder = mkdtempSync(join(tmpdir(), 'pipit-stranger-'));
        server.address = '127.0.0.1:0';
        await server.up();
        return server;
    }

    get url() { return `http://${this.address}`; }
    get data() { return join(this.folder, 'data'); }
    get port() { return Number(this.address.split(':')[1]); }

    async up() {
        const flags = Object.entries(this.settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
        const words = ['--data', this.data, '--listen', this.address, ...flags];
        const leashed = ['--pdeathsig', 'KILL', join(BUILD, 'pipitd'), ...words];    // it dies with us, however we die
        const child = spawn('setpriv', leashed, { stdio: ['ignore', 'pipe', 'pipe'] });
        this.child = child;
        this.said = '';
        this.going = null;
        this.isUp = false;
        living.add(this);
        child.stderr.on('data', data => { this.said += data; });
        this.gone = new Promise(resolve => {
            child.on('close', (code, signal) => {
                this.isUp = false;
                if (signal === null || signal !== this.going) this.onEndedBadly(code, signal);
                resolve(code ?? signal);
            });
        });
        this.address = await new Promise((resolve, reject) => {
            let line = '';
            child.stdout.on('data', data => {
                line += data;
                const ready = /127\.0\.0\.1:\d+/.exec(line);
                if (ready && line.includes('\n')) resolve(ready[0]);
            });
            this.gone.then(how => reject(new Error(`pipitd did not start: ${how}\n${this.said}`)));
        });
        this.isUp = true;
    }

    // Nobody asked for it, or not for this: all of the program fails.
    onEndedBadly(code, signal) {
        if (this.going === 'SIGTERM' && code === 0) return;
        console.log(`pipitd ended with ${code ?? signal}; it said:\n${this.said}`);
        process.exitCode = 1;
    }

    async signal(name) {
        this.going = name;
        this.child.kill(name);
        return this.gone;
    }

    // Stops it from running for a while, as a machine that hangs: nothing is closed.
    freeze() { this.child.kill('SIGSTOP'); }
    thaw() { this.child.kill('SIGCONT'); }

    async kill() { await this.signal('SIGKILL'); }

    async restart(settings = {}) {
        this.settings = { ...this.settings, ...settings };
        await this.up();
    }

    async stop() {
        const how = await this.signal('SIGTERM');
        this.discard();
        if (how !== 0) throw new Error(`pipitd ended with ${how}`);
    }

    discard() {
        living.delete(this);
        this.child.kill('SIGKILL');
        rmSync(this.folder, { recursive: true, force: true });
    }

    // pipitctl on this server; returns what it printed.
    async ctl(...words) {
        const env = { ...process.env, PIPIT_PASSWORD: PASSWORD };
        const { stdout } = await promisify(execFile)(join(BUILD, 'pipitctl'), ['--data', this.data, ...words], { env });
        return stdout;
    }
}
