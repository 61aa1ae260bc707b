// The service as it is shipped, on a folder and a port of its own, and a browser to look at it with.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const artefacts = process.env.ORIENTATION_ARTEFACTS ?? join(tmpdir(), 'orientation-browser');

export async function startService() {
  const program = process.env.ORIENTATION_PROGRAM;
  if (!program) throw new Error('ORIENTATION_PROGRAM names the program to test (./scripts/test browser sets it)');
  const folder = await mkdtemp(join(tmpdir(), 'orientation-browser-'));
  const child = spawn(program, {
    cwd: join(import.meta.dirname, '../..'),
    env: { ...process.env, ORIENTATION_LISTEN: '127.0.0.1:0', ORIENTATION_DATA: folder, ORIENTATION_LOG: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
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

// Chromium from Debian; the flags keep it from looking for hosts that a test has no business with.
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

// Kept as an artefact, for people to look at.
export const picture = (page, name) => page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });

// Waits for a letter to `to` that `wanted` accepts.
export async function letter(url, to, wanted) {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const { items } = await (await fetch(`${url}/outbox.json?to=${encodeURIComponent(to)}`)).json();
    const found = items.find(wanted);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no such letter to ${to}`);
}
