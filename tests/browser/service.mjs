// The shipped service with its own folder and port, and a browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const artefacts = process.env.ORIENTATION_ARTEFACTS ?? join(tmpdir(), 'orientation-browser');

export const desktop = { width: 1200, height: 900 };
export const phone = { width: 360, height: 780 };

export async function startService() {
  const program = process.env.ORIENTATION_PROGRAM;
  if (!program) throw new Error('ORIENTATION_PROGRAM names the program to test (./scripts/test browser sets it)');
  const folder = await mkdtemp(join(tmpdir(), 'orientation-browser-'));
  const child = spawn(program, {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: {
      PATH: process.env.PATH, ORIENTATION_LISTEN: '127.0.0.1:0', ORIENTATION_DATA: folder, ORIENTATION_LOG: 'warn',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([line]) => line),
    once(child, 'exit').then(([code]) => { throw new Error(`the service ended at its start with ${code}`); }),
  ]);
  return {
    url: line.replace(/\/$/, ''),
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

// Debian's Chromium; the flags keep it from contacting other hosts.
export async function startBrowser() {
  await mkdir(artefacts, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
}

// A window with its own session. `complaints` collects the faults of its pages: failed scripts, errors in the console, and
// requests to other hosts.
export async function openWindow(browser, service) {
  const context = await browser.newContext({ baseURL: service.url, viewport: desktop });
  const complaints = [];
  context.on('weberror', (error) => complaints.push(String(error.error())));
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`);
  });
  context.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== service.url) complaints.push(`asked ${origin}`);
  });
  return { page: await context.newPage(), context, complaints };
}

// Takes pictures of the page on a desktop and on a phone, kept as artefacts for people to look at. Nothing may be wider than
// the screen, except in Swagger UI, whose long lines are not ours.
export async function look(page, name, { ours = true } = {}) {
  for (const [kind, size] of Object.entries({ phone, desktop })) {
    await page.setViewportSize(size);
    await page.screenshot({ path: join(artefacts, `${name}-${kind}.png`), fullPage: true });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(!ours || width <= size.width, `${name} is ${width} wide on a ${kind}`);
  }
}

// Waits for an email to `to` that `wanted` accepts.
export async function waitForEmail(url, to, wanted) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const { items } = await (await fetch(`${url}/outbox.json?to=${encodeURIComponent(to)}`)).json();
    const found = items.find(wanted);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no such email to ${to}`);
}

// The newest email to `to` with a link to `path`, and that link.
export async function waitForLink(url, to, path) {
  const link = new RegExp(`${url}${path}\\?token=\\S+`);
  const found = await waitForEmail(url, to, ({ text }) => link.test(text));
  return { ...found, link: link.exec(found.text)[0] };
}
