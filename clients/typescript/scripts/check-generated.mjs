// Fails if src/generated is out of date: generates the client from openapi/orientation.json again and compares.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'orientation-client-'));
const files = (root) => readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
  .sort();
try {
  execFileSync('npx', ['--no-install', 'openapi-ts', '--output', folder, '--silent'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [made, committed] = [files(folder), files('src/generated')];
  const differs = [...new Set([...made, ...committed])].filter((file) =>
    !made.includes(file) || !committed.includes(file)
    || readFileSync(join(folder, file), 'utf8') !== readFileSync(join('src/generated', file), 'utf8'));
  if (differs.length > 0) {
    console.error(`src/generated is not what openapi/orientation.json gives: ${differs.join(', ')}\nRun: just generate`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
