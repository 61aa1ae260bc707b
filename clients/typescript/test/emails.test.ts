/** What is done by emails: another one, a forgotten password, another address. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  changeEmail, changePassword, client, confirmAccount, confirmEmail, getMe, requestPasswordReset, resendConfirmation,
  resetPassword, signIn, signUp,
} from '../src/index.js';
import { Service, fetchWithCookies } from './service.js';
import { password, signedIn } from './students.js';

const other = 'a brass kettle hums at noon';
let service: Service;

before(async () => {
  service = await Service.start();
});
// The jar holds the session. It is emptied before each test, so that nobody is signed in.
beforeEach(() => {
  client.setConfig({ baseUrl: service.url, credentials: 'include', fetch: fetchWithCookies() });
});
after(() => service?.stop());

test('the confirmation email can be sent again, and the newest link is valid', async () => {
  const email = 'again@mail.example.edu';
  await signUp({ body: { email, password, firstName: 'Noor', lastName: 'Haddad' } });
  const first = await service.token(email, '/confirm');
  assert.equal((await resendConfirmation({ body: { email } })).response.status, 202);
  const second = await service.token(email, '/confirm', first);
  assert.equal((await confirmAccount({ body: { token: second } })).response.status, 204);
  assert.equal((await signIn({ body: { email, password } })).data?.email, email);
});

test('a forgotten password is reset by an email, once, and every session ends', async () => {
  const email = 'forgetful@mail.example.edu';
  await signedIn(service, email);
  const known = await requestPasswordReset({ body: { email } });
  const unknown = await requestPasswordReset({ body: { email: 'nobody@mail.example.edu' } });
  assert.deepEqual([known.response.status, unknown.response.status], [202, 202], 'the same answer for everybody');

  const token = await service.token(email, '/reset-password');
  const weak = await resetPassword({ body: { token, password: 'password' } });
  assert.deepEqual(weak.error?.errors?.map(({ pointer }) => pointer), ['/password']);
  assert.equal((await resetPassword({ body: { token, password: other } })).response.status, 204);
  assert.equal((await resetPassword({ body: { token, password: other } })).error?.type, '/problems/token-used');
  assert.equal((await getMe()).error?.status, 401, 'the session has ended');
  assert.equal((await signIn({ body: { email, password } })).error?.type, '/problems/wrong-credentials');
  assert.equal((await signIn({ body: { email, password: other } })).data?.email, email);
});

test('an address is changed by an email to the new one, with a notice to the old', async () => {
  const [old, next] = ['old@mail.example.edu', 'next@mail.example.edu'];
  await signedIn(service, old);
  const refused = await changeEmail({ body: { email: next, currentPassword: other } });
  assert.deepEqual(refused.error?.errors?.map(({ pointer }) => pointer), ['/currentPassword']);
  assert.equal((await changeEmail({ body: { email: next, currentPassword: password } })).response.status, 202);
  const waiting = await getMe();
  assert.deepEqual([waiting.data?.email, waiting.data?.pendingEmail], [old, next], 'the old one counts until then');

  const notice = await service.waitForEmail(old, ({ text }) => text.includes(next));
  assert.doesNotMatch(notice.text, /token=/, 'the notice confirms nothing');
  const token = await service.token(next, '/confirm-email');
  assert.equal((await confirmEmail({ body: { token } })).response.status, 204);
  const changed = await getMe();
  assert.deepEqual([changed.data?.email, changed.data?.pendingEmail], [next, undefined]);
  assert.equal((await signIn({ body: { email: next, password } })).data?.email, next);
});

test('a changed password is reported by an email', async () => {
  const email = 'careful@mail.example.edu';
  await signedIn(service, email);
  const changed = await changePassword({ body: { currentPassword: password, newPassword: other } });
  assert.equal(changed.response.status, 204);
  await service.waitForEmail(email, ({ subject }) => /password/i.test(subject));
  assert.equal((await getMe()).data?.email, email, 'this session stays');
});
