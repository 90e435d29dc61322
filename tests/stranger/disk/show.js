// show.js - prints the records of segment files with the keys of a file: node show.js keys.txt FILE...
// keys.txt has a line for each key: its number and its 32 bytes in hex.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KIND_MARKS, open, Sorted, unsorted } from './segment.js';

export function readKeys(path) {
    return new Map(readFileSync(path, 'utf8').trim().split('\n').map(line => {
        const [number, hex] = line.split(' ');
        return [BigInt(number), Buffer.from(hex, 'hex')];
    }));
}

export async function readRecords(path) {
    const file = readFileSync(path), records = [];
    const all = basename(path).startsWith('sorted-') ? (await Sorted.open(file)).records() : unsorted(file);
    for await (const record of all) records.push(record);
    return records;
}

const hex16 = value => value.toString(16).padStart(16, '0');

export function line(record, entry) {
    const id = record.id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const head = `${record.partition.toString('hex')} ${record.sequence} kind ${record.kind} log ${record.log}` +
        ` record ${record.number} key ${record.key} flags ${record.flags} id ${id} counted ${record.counted}` +
        ` expiry ${record.expiry}:`;
    if (record.kind === KIND_MARKS) {
        return head + entry.marks.map(m => ` ${m.user} ${hex16(m.device)} ${m.delivered} ${m.read} ${m.time}`).join('');
    }
    return `${head} ${entry.sender} ${hex16(entry.device)} ${entry.clientSequence} ${entry.settled}` +
        ` ${entry.body ?? ''}` +
        (entry.members ? ` | ${entry.members.join(' ')}` : '');
}

export async function show(keysPath, path) {
    const keys = readKeys(keysPath);
    return (await readRecords(path)).map(record => line(record, open(record, keys.get(record.key))) + '\n').join('');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    const [keysPath, ...files] = process.argv.slice(2);
    for (const file of files) process.stdout.write(await show(keysPath, file));
}
