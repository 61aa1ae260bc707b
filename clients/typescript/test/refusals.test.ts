/** What is refused comes as a typed problem; what never reached the service doesn't. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  client, getEvent, getMe, getOrder, isProblem, register, signUp, type Problem, type RegisterError,
} from '../src/index.js';
import { Service, fetchWithCookies } from './service.js';
import { form, signedIn } from './students.js';

let service: Service;

before(async () => {
  service = await Service.start();
  client.setConfig({ baseUrl: service.url, credentials: 'include', fetch: fetchWithCookies() });
});
after(() => service?.stop());

test('a refusal is a typed problem that lists every validation error', async () => {
  const { data, error, response } = await signUp({ body: { email: 'a@b.example', password: 'x', firstName: '', lastName: 'Y'.repeat(101) } });
  assert.equal(data, undefined);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  const problem: Problem | undefined = error;
  assert.ok(isProblem(problem));
  assert.deepEqual([problem.type, problem.status], ['/problems/invalid', 422]);
  assert.deepEqual(problem.errors?.map(({ pointer }) => pointer).sort(), ['/firstName', '/lastName', '/password']);
  for (const fault of problem.errors ?? []) assert.ok(fault.code && fault.detail, fault.pointer);
});

test('validation errors have the pointer of their field', async () => {
  await signedIn(service, 'faults@mail.example.edu');
  const emergencyContact = { ...form.emergencyContact, phone: 'none' };
  const { error } = await register({ body: { ...form, emergencyContact, discipline: 'Alchemy', dietary: ['Halal', 'Air'] } });
  assert.deepEqual(
    error?.errors?.map(({ pointer }) => pointer).sort(), ['/dietary/1', '/discipline', '/emergencyContact/phone'],
  );
});

/** Doesn't compile if a type is missing, or isn't one that `register` lists. */
function whatToDo(error: RegisterError): string {
  switch (error.type) {
    case '/problems/invalid':
      return `fix ${(error.errors ?? []).map(({ pointer }) => pointer).join(', ')}`;
    case '/problems/already-registered':
    case '/problems/registration-closed':
    case '/problems/student-id-taken':
      return `conflict ${error.status satisfies 409}`;
    case '/problems/not-signed-in':
      return 'sign in';
    case '/problems/sold-out':
      return 'ask the committee';
    case '/problems/students-only':
    case '/problems/foreign-origin':
    case '/problems/unknown-host':
      return 'go away';
    case '/problems/bad-parameter':
    case '/problems/broken-body':
    case '/problems/malformed-json':
    case '/problems/idempotency-key-reused':
    case '/problems/too-large':
    case '/problems/wrong-content-type':
      return 'report a bug';
    case '/problems/too-slow':
    case '/problems/too-many-requests':
    case '/problems/unavailable':
      return 'try again';
    default:
      return error satisfies never;
  }
}

test('the compiler knows the types that an operation can return', async () => {
  await signedIn(service, 'switch@mail.example.edu');
  const { error: invalid } = await register({ body: { ...form, discipline: 'Alchemy' } });
  assert.ok(isProblem(invalid));
  assert.equal(whatToDo(invalid), 'fix /discipline');
  await register({ body: { ...form, studentId: 'sw123456' }, throwOnError: true });
  const { error: twice } = await register({ body: form });
  assert.ok(isProblem(twice));
  assert.equal(whatToDo(twice), 'conflict 409');
});

test('an anonymous client is refused, and an unknown order is not found', async () => {
  const { error } = await getMe({ fetch });
  assert.deepEqual([error?.type, error?.status], ['/problems/not-signed-in', 401]);
  const { error: unknown } = await getOrder({ path: { orderId: '01890000-0000-7000-8000-000000000000' } });
  assert.equal(unknown?.type, '/problems/no-such-order');
});

test('with throwOnError the problem is thrown', async () => {
  await assert.rejects(getMe({ fetch, throwOnError: true }), (error) => isProblem(error) && error.status === 401);
});

test('an error without a response is not a problem', async () => {
  const { error, response } = await getEvent({ baseUrl: 'http://127.0.0.1:1' });
  assert.ok(error !== undefined && !isProblem(error));
  assert.equal(response, undefined);
});
