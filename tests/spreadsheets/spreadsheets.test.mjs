// Programs that aren't ours open the exports: Python's csv, openpyxl, and LibreOffice.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startService } from '../webhooks-js/service.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [email, password] = ['exporter@example.org', 'seven quiet herons at dawn'];
const formula = '=HYPERLINK("https://example.org","Click")';

// Every 50th student of the data, in many scripts. The first have what spreadsheets take for something else.
async function students() {
  const rows = (await readFile(here('../data/students.jsonl'), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
  const chosen = rows.filter((_, number) => number % 50 === 0);
  chosen.forEach(({ form }, number) => {
    form.answers = { bus: number % 3 === 0, laptop: 'Linux' };
    if (form.answers.bus) form.answers.arrival = '2027-08-25';
    if (number % 2) {
      form.answers.workshops = ['Welding', 'Résumé writing'];
      form.answers.firstAid = `${form.legalName.trim()}\n"1,2";`;
    }
  });
  Object.assign(chosen[0].form, { legalName: formula, studentId: '001234567' });
  Object.assign(chosen[1].form, { legalName: '-2+3', studentId: '1e5000000' });
  chosen[2].form.legalName = '@SUM(A1)';
  return chosen;
}

const fields = [
  'studentId', 'legalName', 'birthDate', 'phone', 'photoConsent', 'dietary', 'answers.bus', 'answers.arrival',
  'answers.workshops', 'answers.firstAid',
];
const headings = [
  'Student id', 'Legal name', 'Birth date', 'Phone', 'May be photographed', 'Dietary needs', 'Do you need the bus from the airport?',
  'On which day do you arrive?', 'Which workshops would you like to join?', 'What helps you in an emergency?',
];
const query = fields.map((field) => `fields=${field}`).join('&');
const [dates, booleans] = [[2, 7], [4, 6]];

let service;
let folder;
let list;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orientation-spreadsheets-'));
  service = await startService({ ORIENTATION_EVENT: 'tests/data/event-with-questions.toml', ORIENTATION_LIMITS: '0' });
  service.admin(email, password);
  const forms = join(folder, 'students.jsonl');
  await writeFile(forms, (await students()).map((row) => JSON.stringify(row)).join('\n'));
  // Not execFileSync: the test would not read what the service writes.
  await promisify(execFile)(process.env.ORIENTATION_PROGRAM, ['demo', '--url', service.url, '--from', forms]);
  const signedIn = await fetch(`${service.url}/v1/session`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ email, password }),
  });
  const cookie = signedIn.headers.getSetCookie().map((set) => set.split(';', 1)[0]).join('; ');
  const get = async (path) => {
    const answer = await fetch(service.url + path, { headers: { cookie } });
    assert.equal(answer.status, 200, path);
    return answer;
  };
  ({ items: list } = await (await get(`/v1/students?limit=100&${query}`)).json());
  for (const [file, options] of [['students.csv', '&excel=true'], ['students.xlsx', '']]) {
    const exported = await get(`/v1/${file}?${query}${options}`);
    await writeFile(join(folder, file), Buffer.from(await exported.arrayBuffer()));
  }
});
after(async () => {
  await service.stop();
  await rm(folder, { recursive: true });
});

function read(file) {
  const output = execFileSync(here('.venv/bin/python'), [here('read.py'), join(folder, file)], { encoding: 'utf8' });
  return JSON.parse(output);
}

// Converts a file with LibreOffice. The options say what to, and how CSV is read or written.
function convert(file, options) {
  const profile = `-env:UserInstallation=file://${join(folder, 'profile')}`;
  const paths = ['--outdir', join(folder, 'converted'), join(folder, file)];
  execFileSync('soffice', [profile, '--headless', ...options, ...paths], { stdio: 'ignore' });
}

// The list's values of one student, in the order of the columns.
function values(student) {
  return fields.map((field) => field.split('.').reduce((value, part) => value?.[part], student));
}
const text = (value) => (Array.isArray(value) ? value.join('; ') : value) || undefined;
const defused = (value) => (/^[=@-]/.test(value) ? `'${value}` : value);
const yesOrNo = (value) => (value === undefined ? '' : value ? 'yes' : 'no');

function written(value, column) {
  return booleans.includes(column) ? yesOrNo(value) : defused(text(value) ?? '');
}

test('openpyxl reads dates, texts and booleans, and no formula', () => {
  const { frozen, rows } = read('students.xlsx');
  assert.equal(frozen, 'A2');
  assert.deepEqual(rows[0], headings.map((heading) => ['s', heading]));
  const cell = (value, column) => {
    if (booleans.includes(column)) return value === undefined ? null : ['b', value];
    if (text(value) === undefined) return null;
    return dates.includes(column) ? ['d', `${value}T00:00:00`] : ['s', text(value)];
  };
  assert.deepEqual(rows.slice(1), list.map((student) => values(student).map(cell)));
  assert.equal(list.length, 40);
  const first = list.find(({ studentId }) => studentId === '001234567');
  assert.equal(first?.legalName, formula);
});

test('Python reads the CSV file', () => {
  const { rows } = read('students.csv');
  assert.deepEqual(rows, [headings, ...list.map((student) => values(student).map(written))]);
});

test('LibreOffice shows the XLSX file as it is', () => {
  // Comma, quotation marks, UTF-8; texts as they are shown.
  convert('students.xlsx', ['--convert-to', 'csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true']);
  const shown = (value, column) => {
    if (booleans.includes(column)) return value === undefined ? '' : String(value).toUpperCase();
    return text(value) ?? '';
  };
  assert.deepEqual(read('converted/students.csv').rows, [headings, ...list.map((student) => values(student).map(shown))]);
});

test('LibreOffice reads quoted values of the CSV file as texts', () => {
  // As in its dialogue: comma, quotation marks, UTF-8, "format quoted field as text".
  convert('students.csv', ['--infilter=CSV:44,34,76,1,,0,true,false', '--convert-to', 'xlsx']);
  const cell = (value, column) => (written(value, column) ? ['s', written(value, column)] : null);
  const { rows } = read('converted/students.xlsx');
  assert.deepEqual(rows.slice(1), list.map((student) => values(student).map(cell)));
});
