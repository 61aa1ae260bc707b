// The shipped service with its own folder and port, and a student who registers.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export async function startService(settings) {
  const program = process.env.ORIENTATION_PROGRAM;
  if (!program) throw new Error('ORIENTATION_PROGRAM names the program to test (./scripts/test webhooks sets it)');
  const folder = await mkdtemp(join(tmpdir(), 'orientation-webhooks-'));
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const env = {
    PATH: process.env.PATH, ORIENTATION_LISTEN: '127.0.0.1:0', ORIENTATION_DATA: folder, ORIENTATION_LOG: 'error',
    ...settings,
  };
  const child = spawn(program, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([line]) => line),
    once(child, 'exit').then(([code]) => { throw new Error(`the service ended at its start with ${code}`); }),
  ]);
  return {
    url: line.replace(/\/$/, ''),
    admin(email, password) {
      execFileSync(program, ['admin', 'create', '--email', email], { cwd, env, input: password });
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

const form = {
  legalName: 'Noor Haddad', pronouns: 'she/her', birthDate: '2008-02-29', studentId: 'nh123456', discipline: 'Civil',
  shirtSize: 'M', phone: '+1 506-234-5678',
  emergencyContact: { name: 'Sami', relationship: 'father', phone: '+1 506 233 0166' },
  dietary: [], joinsHunt: true, summerCity: 'Port Autumn', summerCountry: 'CA', movingMonth: 'August',
  photoConsent: false, bursaryRequested: false,
};

// A student who has submitted the form; returns a function that reads the order.
export async function student(url) {
  const [email, password] = ['noor@example.org', 'seven quiet herons at dawn'];
  let cookie = '';
  const ask = async (method, path, body) => {
    const headers = { 'content-type': 'application/json', cookie };
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    cookie = answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? cookie;
    assert.ok(answer.ok, `${method} ${path} answered ${answer.status}`);
    const text = await answer.text();
    return text && JSON.parse(text);
  };
  await ask('POST', '/v1/accounts', { email, password, firstName: 'Noor', lastName: 'Haddad' });
  await ask('POST', '/v1/accounts/confirm', { token: await token(url, email) });
  await ask('POST', '/v1/session', { email, password });
  const { order } = await ask('POST', '/v1/registration', form);
  return { order: () => ask('GET', `/v1/orders/${order.id}`) };
}

async function token(url, to) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const { items } = await (await fetch(`${url}/outbox.json?to=${encodeURIComponent(to)}`)).json();
    const found = items.map(({ text }) => /\/confirm\?token=([^\s&]+)/.exec(text)).find(Boolean);
    if (found) return found[1];
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no email with a link to ${to}`);
}
