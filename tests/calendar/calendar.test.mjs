// Two libraries that aren't ours read the calendars, before and after changes, in two time zones.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ICAL from 'ical.js';
import { startService } from '../webhooks-js/service.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [email, password] = ['planner@example.org', 'seven quiet herons at dawn'];

// What ical.js reads. It knows no time zones but those that a calendar describes.
function byIcalJs(text) {
  const calendar = new ICAL.Component(ICAL.parse(text));
  const moment = (time) => (time.isDate ? time.toString() : time.toJSDate().toISOString().replace('.000Z', 'Z'));
  const events = calendar.getAllSubcomponents('vevent').map((component) => {
    const value = (name) => component.getFirstPropertyValue(name);
    return {
      uid: value('uid'), sequence: value('sequence'), status: value('status'), name: value('summary'),
      start: moment(value('dtstart')), end: moment(value('dtend')),
      stamp: moment(value('dtstamp')), modified: moment(value('last-modified')),
      place: value('location') ?? '', url: value('url') ?? '', description: value('description') ?? '',
    };
  });
  return {
    name: calendar.getFirstPropertyValue('x-wr-calname'),
    zones: calendar.getAllSubcomponents('vtimezone').map((zone) => zone.getFirstPropertyValue('tzid')), events,
  };
}

// What Python's icalendar reads: with the time zone that it knows, and with the one that the calendar describes.
function byPython(text) {
  return JSON.parse(execFileSync(here('.venv/bin/python'), [here('read.py')], { input: text, encoding: 'utf8' }));
}

// What all of them read alike.
function read(text) {
  for (const line of text.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75 && !/[\r\n]/.test(line), line);
  const calendar = byIcalJs(text);
  assert.deepEqual(byPython(text), [calendar, calendar]);
  return calendar;
}

// Entries around both changes of clocks, with the same moments in every zone: [name, times, start, end].
const around = {
  'America/Toronto': [
    ['before the spring', ['2027-03-14T01:30:00-05:00', '2027-03-14T03:30:00-04:00'], '2027-03-14T06:30:00Z', '2027-03-14T07:30:00Z'],
    ['first in the autumn', ['2027-11-07T01:15:00-04:00', '2027-11-07T01:45:00-04:00'], '2027-11-07T05:15:00Z', '2027-11-07T05:45:00Z'],
    ['second in the autumn', ['2027-11-07T01:15:00-05:00', '2027-11-07T01:45:00-05:00'], '2027-11-07T06:15:00Z', '2027-11-07T06:45:00Z'],
    ['over both', ['2027-11-07T01:15:00-04:00', '2027-11-07T01:15:00-05:00'], '2027-11-07T05:15:00Z', '2027-11-07T06:15:00Z'],
    ['in summer', ['2027-07-01T10:00:00-04:00', '2027-07-01T11:00:00-04:00'], '2027-07-01T14:00:00Z', '2027-07-01T15:00:00Z'],
    ['in winter', ['2028-01-10T10:00:00-05:00', '2028-01-10T11:00:00-05:00'], '2028-01-10T15:00:00Z', '2028-01-10T16:00:00Z'],
  ],
  'Australia/Sydney': [
    ['before the autumn', ['2027-04-04T02:15:00+11:00', '2027-04-04T02:45:00+11:00'], '2027-04-03T15:15:00Z', '2027-04-03T15:45:00Z'],
    ['second in the autumn', ['2027-04-04T02:15:00+10:00', '2027-04-04T02:45:00+10:00'], '2027-04-03T16:15:00Z', '2027-04-03T16:45:00Z'],
    ['over the spring', ['2027-10-03T01:30:00+10:00', '2027-10-03T03:30:00+11:00'], '2027-10-02T15:30:00Z', '2027-10-02T16:30:00Z'],
    ['in winter', ['2027-07-01T10:00:00+10:00', '2027-07-01T11:00:00+10:00'], '2027-07-01T00:00:00Z', '2027-07-01T01:00:00Z'],
    ['in summer', ['2028-01-10T10:00:00+11:00', '2028-01-10T11:00:00+11:00'], '2028-01-09T23:00:00Z', '2028-01-10T00:00:00Z'],
  ],
};

for (const [zone, entries] of Object.entries(around)) {
  describe(`the calendars of an event in ${zone}`, () => {
    const file = join(tmpdir(), `orientation-calendar-${process.pid}.toml`);
    let service;
    let cookie;

    async function ask(method, path, body, headers) {
      const answer = await fetch(service.url + path, {
        method, headers: { 'content-type': 'application/json', cookie, ...headers }, body: body && JSON.stringify(body),
      });
      const text = await answer.text();
      assert.ok(answer.ok, `${method} ${path} answered ${answer.status} ${text}`);
      cookie = answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? cookie;
      return text && JSON.parse(text);
    }
    const add = (content) => ask('POST', '/v1/schedule-entries', { audience: { for: 'everyone' }, ...content });
    const edit = ({ id, etag }, changes) => ask('PATCH', `/v1/schedule-entries/${id}`, changes, { 'if-match': etag });

    async function calendar(query = '') {
      const answer = await fetch(`${service.url}/v1/schedule.ics${query}`);
      assert.equal(answer.headers.get('content-type'), 'text/calendar; charset=utf-8');
      return read(await answer.text());
    }
    // The only event with the entry's UID.
    async function event({ id }, query) {
      const found = (await calendar(query)).events.filter(({ uid }) => uid === id);
      assert.ok(found.length <= 1);
      return found[0];
    }

    before(async () => {
      const shipped = await readFile(here('../../event.toml'), 'utf8');
      await writeFile(file, shipped.replace('"America/Toronto"', JSON.stringify(zone)));
      service = await startService({ ORIENTATION_EVENT: file });
      service.admin(email, password);
      cookie = '';
      await ask('POST', '/v1/session', { email, password });
    });
    after(async () => {
      await service.stop();
      await rm(file);
    });

    test('an empty calendar can be read', async () => {
      assert.deepEqual(await calendar(), { name: 'Orientation Week', zones: [zone], events: [] });
    });

    test('every entry is at its time, on both sides of both changes of clocks', async () => {
      for (const [name, [startsAt, endsAt], start, end] of entries) {
        const found = await event(await add({ name, times: { startsAt, endsAt } }));
        assert.deepEqual([found.name, found.start, found.end, found.status], [name, start, end, 'CONFIRMED']);
      }
      const all = (await calendar()).events.map(({ name, start }) => [name, start]).sort();
      assert.deepEqual(all, entries.map(([name, , start]) => [name, start]).sort());
    });

    test('days have dates, and end before the next one', async () => {
      const found = await event(await add({ name: 'Fair', times: { firstDay: '2027-10-02', lastDay: '2027-10-03' } }));
      assert.deepEqual([found.start, found.end], ['2027-10-02', '2027-10-04']);
    });

    test('texts arrive as they are', async () => {
      const name = 'Walk; talk, \\n "and" Frühstück: 早餐 '.repeat(4).trim();
      const place = { name: 'Lawn, north; by the ⛲', mapUrl: 'https://maps.example.org/?q=a,b;c' };
      const link = { url: 'https://example.org/a;b,c?d=e', label: 'More, here' };
      const description = '**Bring** water; a, b\\\\c\n\n- 早餐 '.repeat(20);
      const times = { startsAt: '2027-07-02T10:00:00Z', endsAt: '2027-07-02T11:00:00Z' };
      const found = await event(await add({ name, place, link, description, times }));
      assert.deepEqual([found.name, found.place, found.url], [name, place.name, link.url]);
      assert.ok(found.description.endsWith(`${link.label}: ${link.url}\n\nMap: ${place.mapUrl}`), found.description);
      assert.ok(found.description.startsWith('Bring water; a, b\\c') && found.description.includes('早餐'));
    });

    test('an event keeps its UID and counts its changes', async () => {
      const first = { startsAt: '2027-07-03T10:00:00Z', endsAt: '2027-07-03T11:00:00Z' };
      const second = { startsAt: '2027-12-03T10:00:00Z', endsAt: '2027-12-03T11:00:00Z' };
      let entry = await add({ name: 'Tour', times: first });
      const { uid, stamp } = await event(entry);
      const changed = async (expected, query) => {
        const found = await event(entry, query);
        assert.deepEqual({ ...found, ...expected }, found);
        assert.equal(found.uid, uid);
        assert.ok(found.stamp >= stamp && found.modified === found.stamp);
      };
      entry = await edit(entry, { times: second });
      await changed({ sequence: 1, status: 'CONFIRMED', start: '2027-12-03T10:00:00Z', name: 'Tour' });
      assert.match((await event(entry)).description, /^Moved\. Announced first for Saturday, 3 July 2027, \d\d:00 to \d\d:00\.$/);
      const cancellation = `/v1/schedule-entries/${entry.id}/cancellation`;
      entry = await ask('PUT', cancellation, { reason: 'Rain, much of it' }, { 'if-match': entry.etag });
      await changed({ sequence: 2, status: 'CANCELLED', name: 'Cancelled: Tour' });
      assert.match((await event(entry)).description, /^Cancelled: Rain, much of it\n\nMoved\./);
      entry = await ask('DELETE', cancellation, undefined, { 'if-match': entry.etag });
      await changed({ sequence: 3, status: 'CONFIRMED', name: 'Tour' });
      entry = await edit(entry, { audience: { for: 'groups', groups: ['Alpha'] } });
      await changed({ sequence: 4, status: 'CANCELLED' });
      await changed({ sequence: 4, status: 'CONFIRMED' }, '?group=Alpha');
      await changed({ sequence: 4, status: 'CANCELLED' }, '?group=Beta');
      await ask('DELETE', `/v1/schedule-entries/${entry.id}`);
      await changed({ sequence: 5, status: 'CANCELLED' }, '?group=Alpha');
      assert.equal((await calendar('?group=Alpha')).name, 'Orientation Week: Alpha');
    });
  });
}
