/** The service as it is shipped, started for a test on a folder and a port of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** An email of `/outbox.json`. */
export interface Email {
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
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
      env: {
        PATH: process.env['PATH'], ORIENTATION_LISTEN: '127.0.0.1:0', ORIENTATION_DATA: folder, ORIENTATION_LOG: 'warn',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const first = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line').then(([line]) => line as string),
      once(child, 'exit').then(([code]) => { throw new Error(`the service ended at its start with ${code}`); }),
    ]);
    return new Service(first.replace(/\/$/, ''), child, folder);
  }

  async stop(): Promise<void> {
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    await ended;
    await rm(this.folder, { recursive: true });
  }

  /** Waits for an email to `to` that `wanted` accepts; the newest of them. */
  async waitForEmail(to: string, wanted: (message: Email) => boolean): Promise<Email> {
    return eventually(`an email to ${to}`, async () => {
      const answer = await fetch(`${this.url}/outbox.json?to=${encodeURIComponent(to)}`);
      return ((await answer.json()) as { items: Email[] }).items.find(wanted);
    });
  }

  /** The token of the link to `page` in an email to `to`, but not `known`. */
  async token(to: string, page: string, known?: string): Promise<string> {
    const link = new RegExp(`${this.url}${page}\\?token=([^\\s&]+)`);
    const token = ({ text }: Email) => link.exec(text)?.[1];
    const message = await this.waitForEmail(to, (message) => ![undefined, known].includes(token(message)));
    return token(message) ?? '';
  }
}

/** Presses a button of the sandbox's checkout page; answers with the address that it leads to. */
export async function press(checkoutUrl: string, button: 'pay' | 'later-succeeds' | 'later-fails' | 'back'): Promise<string> {
  const answer = await fetch(checkoutUrl, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ press: button }),
  });
  if (answer.status !== 303) throw new Error(`the checkout page answered ${answer.status}`);
  return answer.headers.get('location') ?? '';
}

/** Asks again until there is an answer. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** `fetch` with a jar: Node keeps no cookies, browsers do. */
export function fetchWithCookies(): typeof fetch {
  const jar = new Map<string, string>();
  return async (input, init) => {
    const request = new Request(input, init);
    if (jar.size > 0) request.headers.set('cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    const answer = await fetch(request);
    for (const cookie of answer.headers.getSetCookie()) {
      const pair = cookie.split(';', 1)[0] ?? '';
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (value) jar.set(name, value);
      else jar.delete(name);
    }
    return answer;
  };
}
