/** The service as it is shipped, started for a test on a folder and a port of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Letter {
  id: string;
  to: string;
  subject: string;
  text: string;
  attachments: { name: string; type: string; address: string }[];
}

export class Service {
  private constructor(readonly url: string, private readonly process: ChildProcess, private readonly folder: string) {}

  static async start(): Promise<Service> {
    const program = process.env['ORIENTATION_PROGRAM'];
    if (!program) throw new Error('ORIENTATION_PROGRAM names the program to test (./scripts/test client sets it)');
    const folder = await mkdtemp(join(tmpdir(), 'orientation-client-'));
    const child = spawn(program, {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      env: { ...process.env, ORIENTATION_LISTEN: '127.0.0.1:0', ORIENTATION_DATA: folder, ORIENTATION_LOG: 'warn' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const [first] = (await once(lines, 'line')) as [string];
    return new Service(first.replace(/\/$/, ''), child, folder);
  }

  async stop(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await ended;
    await rm(this.folder, { recursive: true });
  }

  /** Waits for a letter to `to` that `wanted` accepts. */
  async letter(to: string, wanted: (letter: Letter) => boolean): Promise<Letter> {
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline) {
      const answer = await fetch(`${this.url}/outbox.json?to=${encodeURIComponent(to)}`);
      const found = ((await answer.json()) as { items: Letter[] }).items.find(wanted);
      if (found) return found;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`no such letter to ${to}`);
  }
}

/** `fetch` with a jar: Node keeps no cookies, browsers do. */
export function fetchWithCookies(): typeof fetch {
  const jar = new Map<string, string>();
  return async (input, init) => {
    const request = new Request(input, init);
    if (jar.size > 0) request.headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const answer = await fetch(request);
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';');
      const [name = '', value = ''] = pair.split('=');
      if (value) jar.set(name, value);
      else jar.delete(name);
    }
    return answer;
  };
}
